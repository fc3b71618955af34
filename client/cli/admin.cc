// admin, bench disk and internal: thin wrappers.
#include <unistd.h>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include "client/cli/all.h"
#include "client/cli/cluster_options.h"
#include "core/base/version.h"

namespace skua::cli {

namespace {

struct Fsck {
    u64 problems = 0;
    bool quiet = false;
};

// Every shard checks its own rows; what crosses groups is joined by the simulator for now.
Task<Result<>> fsck(Client& client, Fsck& found) {
    for (u16 s = 0; s < client.cluster.shards(); s++) {
        shard::Check check;
        do {
            CO_TRY(auto reply, co_await client.metadata.caller().query(groupOf(ShardId{s}), check));
            for (const auto& problem : reply.problems) {
                found.problems++;
                print("shard " + std::to_string(s) + ": " + problem + "\n");
            }
            check.cursor = reply.cursor;
        } while (!check.cursor.value.empty());
    }
    co_return Ok{};
}

Task<Result<>> setDisk(Client& client, u64 id, registry::DiskState state) {
    registry::SetDisk set;
    set.id = BlockServiceId{static_cast<u32>(id)};
    set.state = state;
    CO_TRY_OK(co_await client.metadata.caller().mutate(kRegistryGroup, set));
    co_return Ok{};
}

// roff of what a command's own --help says.
void manPage(const std::string& dir, const std::string& name, const std::string& help, const std::string& text) {
    std::string file = "skua-" + name;
    for (char& c : file) if (c == ' ') c = '-';
    std::ofstream out(dir + "/" + file + ".1");
    std::string title;
    for (char c : file) title += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    out << ".TH " << title << " 1 \"\" \"SkuaFS " << kRelease << "\"\n.SH NAME\nskua " << name << " \\- " << help << "\n.SH DESCRIPTION\n.nf\n";
    for (char c : text) {
        if (c == '\\') out << "\\e";
        else if (c == '-') out << "\\-";
        else out << c;
    }
    out << "\n.fi\n.SH SEE ALSO\nskua(1)\n";
}

std::string helpOf(const std::string& program, const std::string& name) {
    std::string text;
    if (std::FILE* p = popen(("'" + program + "' " + name + " --help").c_str(), "r")) {
        char buffer[4096];
        for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, p)) > 0;) text.append(buffer, n);
        pclose(p);
    }
    return text;
}

int manPages(const Commands& all, const std::string& dir) {
    std::error_code ec;
    std::filesystem::create_directories(dir, ec);
    const std::string self = std::filesystem::read_symlink("/proc/self/exe", ec).string();
    for (const auto& c : all.all()) if (!c.name.starts_with("internal")) manPage(dir, c.name, c.help, helpOf(self, c.name));
    std::ofstream main_page(dir + "/skua.1");
    main_page << ".TH SKUA 1 \"\" \"SkuaFS " << kRelease << "\"\n.SH NAME\nskua \\- a distributed file system for large data sets\n.SH COMMANDS\n";
    for (const auto& c : all.all()) if (!c.name.starts_with("internal")) main_page << ".TP\n.B skua " << c.name << "\n" << c.help << ".\n";
    return main_page ? kFine : fail(dir + " cannot be written");
}

int completion(const Commands& all) {
    std::string top, out = "# bash completion of skua, made from its own declarations\n_skua() {\n  local cur=${COMP_WORDS[COMP_CWORD]} words=\n  case \"${COMP_WORDS[1]}\" in\n";
    std::map<std::string, std::string> below;
    for (const auto& c : all.all()) {
        if (c.name.starts_with("internal")) continue;
        const auto space = c.name.find(' ');
        if (space == c.name.npos) below[c.name];
        else below[c.name.substr(0, space)] += " " + c.name.substr(space + 1);
    }
    for (const auto& [name, subs] : below) {
        top += " " + name;
        if (!subs.empty()) out += "    " + name + ") [ \"$COMP_CWORD\" = 2 ] && words=\"" + subs.substr(1) + "\" ;;\n";
    }
    out += "  esac\n  [ \"$COMP_CWORD\" = 1 ] && words=\"" + top.substr(top.empty() ? 0 : 1) + "\"\n";
    out += "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n  [ -z \"$words\" ] && COMPREPLY=($(compgen -f -- \"$cur\"))\n}\ncomplete -o default -F _skua skua\n";
    print(out);
    return kFine;
}

}  // namespace

void addAdmin(Commands& all) {
    auto found = std::make_shared<Fsck>();
    all.add("admin fsck", "Every shard checks its rows against the invariants", "skua admin fsck", [&all, found] {
        const int code = withClient(all.settings, [&](Client& client) { return fsck(client, *found); });
        if (code == kFine && found->problems == 0) print("no problems found\n");
        return code != kFine ? code : found->problems ? kFailed : kFine;
    });
    struct Verb { const char* name; const char* help; registry::DiskState state; };
    for (const Verb& v : {Verb{"admin set-read-only", "A disk takes no new blocks", registry::DiskState::kReadOnly}, Verb{"admin set-up", "A disk takes blocks again", registry::DiskState::kUp},
                          Verb{"admin confirm-dead", "A human's word that a disk is lost", registry::DiskState::kDead}}) {
        auto id = std::make_shared<u64>(0);
        const registry::DiskState state = v.state;
        Flags& f = all.add(v.name, v.help, std::string("skua ") + v.name + " --disk 3", [&all, id, state] {
            return withClient(all.settings, [&](Client& client) { return setDisk(client, *id, state); });
        });
        f.option("--disk", *id, "Its id, as in `skua status --json`");
    }
}

void addBenchDisk(Commands& all) {
    struct Options {
        std::string path;
        bool json = false;
    };
    auto o = std::make_shared<Options>();
    Flags& f = all.add("bench disk", "The raw disk under a folder, by io_uring with O_DIRECT", "skua bench disk /data", [o] {
        auto program = findProgram("skua-blocks");
        if (!program) return fail(program.error());
        if (o->json) execl(program->c_str(), "skua-blocks", "bench", o->path.c_str(), "--json", static_cast<char*>(nullptr));
        else execl(program->c_str(), "skua-blocks", "bench", o->path.c_str(), static_cast<char*>(nullptr));
        return fail(*program + " cannot be run");
    });
    f.positional("DIR", o->path, "A folder on the disk; a file is made there and removed");
    f.flag("--json", o->json, "As JSON");
}

void addInternal(Commands& all) {
    auto dir = std::make_shared<std::string>();
    Flags& man = all.add("internal man", "Writes the man pages", "", [&all, dir] { return manPages(all, *dir); });
    man.positional("DIR", *dir, "Where to");
    all.add("internal completion", "Prints the completion for bash", "", [&all] { return completion(all); });
}

}  // namespace skua::cli
