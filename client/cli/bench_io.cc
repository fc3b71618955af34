// bench io: how many bytes a second the whole cluster takes and gives; beside what the raw disk does, if asked.
#include <sys/wait.h>
#include <cstdio>
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "client/cli/bench_common.h"
#include "client/cli/local_cluster.h"
#include "core/base/random.h"

namespace skua::cli {

namespace {

struct IoFlags {
    std::string disk, path = "/";
    u32 streams = 2, rounds = 3;
    u64 mib = 512;
    bool json = false;
};

// The same random bytes over and over: nothing here looks at them twice.
class Repeated final : public client::Source {
public:
    Repeated(const std::string& bytes, u64 total) : bytes_(bytes), left_(total) {}
    Task<Result<Some>> next() override {
        Some some;
        const std::size_t n = static_cast<std::size_t>(std::min<u64>(left_, bytes_.size()));
        some.bytes = {reinterpret_cast<const u8*>(bytes_.data()), n};
        left_ -= n;
        co_return some;
    }

private:
    const std::string& bytes_;
    u64 left_;
};

struct Run {
    FileSystem fs;
    const IoFlags& flags;
    std::string dir, bytes;
    Result<> result = Ok{};
    std::vector<double> writes, reads; // MB/s
};

std::string nameOf(const Run& run, u32 stream) { return run.dir + "/stream-" + std::to_string(stream); }

Task<> writeOne(Run& run, u32 stream) {
    Repeated source(run.bytes, (run.flags.mib << 20) / run.flags.streams);
    client::PutOptions put;
    put.owner = ourOwner();
    auto done = co_await run.fs.putFile(nameOf(run, stream), put, source);
    if (!done) run.result = done.error();
    co_return Ok{};
}

Task<> readOne(Run& run, u32 stream) {
    auto reader = co_await run.fs.open(nameOf(run, stream));
    if (!reader) run.result = reader.error();
    for (u64 at = 0; run.result && at < (*reader)->size();) {
        auto pieces = co_await (*reader)->pieces(at, 4u << 20);
        if (!pieces) run.result = pieces.error();
        for (std::size_t i = 0; pieces && i < pieces->size(); i++) at += (*pieces)[i].size();
    }
    co_return Ok{};
}

Task<double> pass(Run& run, bool write) {
    Clock& clock = run.fs.client().clock;
    const u64 started = clock.now().value;
    TaskGroup streams;
    for (u32 i = 0; i < run.flags.streams; i++) streams.spawn(write ? writeOne(run, i) : readOne(run, i));
    co_await streams.all();
    const u64 bytes = (run.flags.mib << 20) / run.flags.streams * run.flags.streams;
    co_return static_cast<double>(bytes) * 1e3 / static_cast<double>(clock.now().value - started + 1);
}

Task<Result<>> measure(Run& run) {
    CO_TRY(run.dir, co_await makeBenchDir(run.fs, run.flags.path));
    for (u32 i = 0; i < run.flags.rounds && run.result; i++) {
        const double w = co_await pass(run, true);
        const double r = co_await pass(run, false);
        run.writes.push_back(w);
        run.reads.push_back(r);
    }
    co_return run.result;
}

Task<Result<>> all(Run& run) {
    auto done = co_await measure(run);
    if (!run.dir.empty()) {
        auto gone = co_await run.fs.removeTree(run.dir, true);
        if (done && !gone) done = gone.error();
    }
    co_return done;
}

double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v.empty() ? 0 : v[v.size() / 2];
}

nlohmann::json rawDisk(const std::string& path) {
    auto program = findProgram("skua-blocks");
    if (!program) return {};
    std::string quoted;
    for (char c : path) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    std::FILE* p = popen(("'" + *program + "' bench --json '" + quoted + "'").c_str(), "r");
    if (!p) return {};
    std::string text;
    char buffer[512];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, p)) > 0;) text.append(buffer, n);
    pclose(p);
    return nlohmann::json::parse(text, nullptr, false);
}

int benchIo(const Settings& settings, const IoFlags& flags) {
    return withProcess(settings, [&](client::Process& process) {
        Run run{FileSystem(process.client()), flags, {}, std::string(4u << 20, '\0'), Ok{}, {}, {}};
        randomFromKernel(run.bytes.data(), run.bytes.size());
        auto done = process.run(all(run));
        if (!done) return fail(done.error());
        nlohmann::json raw;
        if (!flags.disk.empty()) raw = rawDisk(flags.disk);
        const double w = median(run.writes), r = median(run.reads);
        const bool compared = raw.is_object() && raw.contains("write_mb_s") && raw.contains("read_mb_s");
        if (flags.json) {
            nlohmann::json out = {{"mib", flags.mib}, {"streams", flags.streams}, {"write_mb_s", w},
                                  {"read_mb_s", r},   {"writes", run.writes},     {"reads", run.reads}};
            if (compared) out["disk"] = raw;
            print(out);
            return kFine;
        }
        auto row = [&](const char* what, double value, std::vector<double> v, const char* key) {
            std::sort(v.begin(), v.end());
            char line[160], ratio[48] = "";
            if (compared)
                std::snprintf(ratio, sizeof ratio, ", %.2f of the raw disk's %.0f", value / raw[key].get<double>(),
                              raw[key].get<double>());
            std::snprintf(line, sizeof line, "%-6s %7.0f MB/s (%.0f..%.0f)%s\n", what, value, v.front(), v.back(), ratio);
            print(line);
        };
        row("write", w, run.writes, "write_mb_s");
        row("read", r, run.reads, "read_mb_s");
        return kFine;
    });
}

} // namespace

void addBenchIo(Commands& all) {
    auto o = std::make_shared<IoFlags>();
    Flags& f = all.add("bench io", "Bytes a second, written and read by this client", "skua bench io --mib 1024 --disk /data",
                       [&all, o] {
                           if (o->streams < 1 || o->streams > 64) return usage("--streams takes 1 to 64");
                           if (o->rounds < 1 || o->rounds > 100) return usage("--rounds takes 1 to 100");
                           if (o->mib < 1) return usage("--mib takes at least 1");
                           auto path = remotePath(o->path);
                           if (!path) return usage("--path: " + path.error().detail);
                           o->path = *path;
                           return benchIo(all.settings, *o);
                       });
    f.option("--mib,--size-mib", o->mib, "Written and read each round, MiB");
    f.option("--streams", o->streams, "Files at a time");
    f.option("--rounds", o->rounds, "How often; the median is shown");
    f.option("--path", o->path, "A directory in skua, whose policy holds");
    f.option("--disk", o->disk, "A folder on the disk to compare with");
    f.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
