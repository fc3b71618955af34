// skua-sim --seed N --runs M: M whole clusters, one after the other, each from its own seed, in one thread and
// virtual time. The first that fails is told: its seed, why, and its last 50 events; exit 1.
//
//   --trace     every event is a line            --calm       no faults
//   --bug NAME  one planted (docs/testing.md)    --repeat     each seed twice: the same story?
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "core/base/log.h"
#include "core/base/probe.h"
#include "tests/sim/run.h"
#include "tests/sim/world.h"

using namespace skua;

namespace {

constexpr u64 kWholeSuite = 150; // so many runs must have seen everything

int usage() {
    std::fprintf(
        stderr, "usage: skua-sim [--seed N] [--runs M] [--operations N] [--trace] [--calm] [--repeat] [--counts] [--bug NAME]\n");
    return 2;
}

bool plant(sim::Bugs& bugs, const std::string& name) {
    bool* bug = name == "answer-early"     ? &bugs.answer_early
                : name == "forget-answers" ? &bugs.forget_answers
                : name == "cut-early"      ? &bugs.cut_early
                : name == "erase-kept"     ? &bugs.erase_kept
                : name == "receipt-early"  ? &bugs.receipt_early
                                           : nullptr;
    if (bug) *bug = true;
    return bug != nullptr;
}

// A CHECK that failed, or worse: the seed is told all the same.
void died(int signal) {
    std::signal(signal, SIG_DFL);
    sim::World::tellEnd(signal == SIGABRT ? "a CHECK failed (see above)" : "a signal ended it");
    std::raise(signal);
}

// Everything that a batch must see, and how often it did.
void addWhatMustHappen(sim::Counts& counts) {
    for (const auto& what : sim::mustHappen()) counts.try_emplace(what, 0);
    for (const auto& row : probe::all()) counts["probe " + std::string(row.name)] += *row.count;
}

} // namespace

int main(int argc, char** argv) {
    sim::RunOptions options;
    u64 runs = 1;
    bool repeat = false, show_counts = false;
    for (int i = 1; i < argc; i++) {
        const std::string flag = argv[i];
        auto number = [&] { return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0; };
        if (flag == "--seed") options.seed = number();
        else if (flag == "--runs") runs = number();
        else if (flag == "--operations") options.operations = static_cast<u32>(number());
        else if (flag == "--trace") options.trace = true;
        else if (flag == "--calm") options.calm = true, sim::World::replay_flags += " FLAGS=--calm";
        else if (flag == "--repeat") repeat = true;
        else if (flag == "--counts") show_counts = true;
        else if (flag == "--bug" && i + 1 < argc && plant(options.bugs, argv[i + 1]))
            sim::World::replay_flags += " FLAGS='--bug " + std::string(argv[++i]) + "'";
        else return usage();
    }
    log::setLevel(log::Level::kError);
    probe::counting = true;
    for (const int bad : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(bad, died);
    sim::Counts counts;
    const auto started = std::chrono::steady_clock::now();
    u64 events = 0, seconds = 0, answers = 0, operations = 0, print = 0;
    const u64 first = options.seed;
    for (u64 n = 0; n < runs; n++) {
        options.seed = first + n;
        const sim::RunResult result = sim::run(options, counts);
        if (repeat) {
            sim::Counts again;
            const sim::RunResult second = sim::run(options, again);
            if (second.print != result.print) {
                std::printf("seed %llu told two different stories\n", static_cast<unsigned long long>(options.seed));
                return 1;
            }
        }
        events += result.events;
        seconds += result.seconds;
        answers += result.answers;
        operations += result.operations;
        print = (print ^ result.print) * 1099511628211ull;
    }
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    addWhatMustHappen(counts);
    if (runs >= 20 || show_counts)
        for (const auto& [what, n] : counts) std::printf("%10llu %s\n", static_cast<unsigned long long>(n), what.c_str());
    std::printf(
        "%llu seeds from %llu: %llu h simulated in %.1f s, %llu events, %llu operations, %llu answers checked, print %016llx\n",
        static_cast<unsigned long long>(runs), static_cast<unsigned long long>(first),
        static_cast<unsigned long long>(seconds / 3600), took, static_cast<unsigned long long>(events),
        static_cast<unsigned long long>(operations), static_cast<unsigned long long>(answers),
        static_cast<unsigned long long>(print));
    int missing = 0;
    if (runs >= kWholeSuite && !options.calm) {
        for (const auto& [what, n] : counts)
            if (n == 0) std::printf("never in %llu seeds: %s\n", static_cast<unsigned long long>(runs), what.c_str()), missing++;
    }
    return missing ? 1 : 0;
}
