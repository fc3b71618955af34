#include "tests/sim/checker.h"

#include <algorithm>
#include <cstdio>

namespace skua::sim {

namespace {
constexpr std::size_t kMostWays = 60'000;
constexpr std::size_t kHistory = 40;
} // namespace

Checker::Checker(World& world, std::string name, InodeId root) : world_(world), name_(std::move(name)) {
    Config c;
    Node n;
    n.sym = 1;
    n.type = InodeType::kDirectory;
    n.mode = 0755;
    c.state.nodes.push_back(n);
    c.state.ids.push_back({root, 1});
    configs_.push_back(std::move(c));
}

u32 Checker::invoke(Op op) {
    op.id = ++lastOp_;
    op.invoked = world_.now();
    world_.tell("{} {}", name_, show(op));
    for (Config& c : configs_) {
        Progress p;
        p.op = op.id;
        c.going.push_back(p);
    }
    const u32 id = op.id;
    history_.push_back(show(op));
    ops_.emplace(id, Known{std::move(op), 0});
    return id;
}

// Depth first over all that may happen; take() says that this one is an end.
void Checker::expand(std::vector<Config> from, const std::set<u32>& which, const std::function<bool(Config&)>& take,
                     std::vector<Config>& into) {
    Circumstances circumstances;
    circumstances.now = world_.now();
    circumstances.alone = ops_.size() == 1;
    circumstances.untils = &untils_;
    std::set<std::string> seen, taken;
    std::vector<Config> next;
    while (!from.empty()) {
        Config c = std::move(from.back());
        from.pop_back();
        if (!seen.insert(wire::encode(c)).second) continue;
        if (seen.size() > kMostWays) fail("there are too many ways to tell apart", {});
        Config end = c;
        if (take(end)) {
            if (taken.insert(wire::encode(end)).second) into.push_back(std::move(end));
            continue;
        }
        for (std::size_t i = 0; i < c.going.size(); i++) {
            if (c.going[i].done || !which.contains(c.going[i].op)) continue;
            const Known& known = ops_.at(c.going[i].op);
            next.clear();
            stepsOf(c, i, known.op, circumstances, next);
            for (Config& n : next) {
                // Nobody waits for its answer.
                if (known.given_up != 0 && n.going[i].done) n.going.erase(n.going.begin() + static_cast<std::ptrdiff_t>(i));
                from.push_back(std::move(n));
            }
        }
    }
}

void Checker::respond(u32 id, const Heard& heard) {
    answers_++;
    world_.tell("{} op={} heard {}", name_, id, show(heard));
    history_.push_back("   op=" + std::to_string(id) + " " + show(heard));
    if (history_.size() > kHistory)
        history_.erase(history_.begin(), history_.begin() + static_cast<std::ptrdiff_t>(history_.size() - kHistory));
    forget();
    if (heard.until != 0) untils_.emplace_back(id, heard.until);
    std::set<u32> all;
    for (const auto& [op, _] : ops_) all.insert(op);
    std::vector<Config> after;
    const std::vector<Config> before = configs_;
    // An end: the operation has taken effect. If its answer is another, this way is not how it was.
    std::vector<Config> wrong;
    expand(
        configs_, all,
        [&](Config& c) {
            auto at = std::find_if(c.going.begin(), c.going.end(), [&](const Progress& p) { return p.op == id; });
            return at != c.going.end() && at->done;
        },
        wrong);
    std::set<std::string> seen;
    for (Config& c : wrong) {
        auto at = std::find_if(c.going.begin(), c.going.end(), [&](const Progress& p) { return p.op == id; });
        const Outcome outcome = at->out;
        if (!match(c.state, outcome, heard)) continue;
        c.going.erase(at);
        if (seen.insert(wire::encode(c)).second) after.push_back(std::move(c));
    }
    if (after.empty())
        fail("no order explains op=" + std::to_string(id) + ": " + show(ops_.at(id).op) + " heard " + show(heard),
             wrong.empty() ? before : wrong);
    configs_ = std::move(after);
    ops_.erase(id);
}

void Checker::nothingHappened(u32 id) {
    world_.tell("{} op={} did not happen", name_, id);
    history_.push_back("   op=" + std::to_string(id) + " did not happen");
    const bool reads = onlyReads(ops_.at(id).op.kind);
    std::vector<Config> after;
    std::set<std::string> seen;
    for (Config& c : configs_) {
        auto at = std::find_if(c.going.begin(), c.going.end(), [&](const Progress& p) { return p.op == id; });
        if (at == c.going.end()) continue;
        if (!reads && (at->done || at->pc != 0)) continue;
        c.going.erase(at);
        if (seen.insert(wire::encode(c)).second) after.push_back(std::move(c));
    }
    if (after.empty())
        fail("op=" + std::to_string(id) + " was said not to have happened, and it has: " + show(ops_.at(id).op), configs_);
    configs_ = std::move(after);
    ops_.erase(id);
}

void Checker::uncertain(u32 id) {
    world_.tell("{} op={} is uncertain", name_, id);
    history_.push_back("   op=" + std::to_string(id) + " is uncertain");
    if (onlyReads(ops_.at(id).op.kind)) return nothingHappened(id);
    ops_.at(id).given_up = std::max<u64>(world_.now(), 1);
    for (Config& c : configs_) std::erase_if(c.going, [&](const Progress& p) { return p.op == id && p.done; });
}

// The ways grow with each operation under way, most with those that take several steps.
u32 Checker::load() const {
    u32 all = 0;
    for (const auto& [_, known] : ops_) {
        switch (known.op.kind) {
            case Kind::kRename:
            case Kind::kExchange:
            case Kind::kRmdir:
            case Kind::kUndeleteDir: all += 2; break;
            default: all += 1;
        }
    }
    return all;
}

bool Checker::onlyUncertain() const {
    return !ops_.empty() && std::all_of(ops_.begin(), ops_.end(), [](const auto& op) { return op.second.given_up != 0; });
}

void Checker::forget() {
    std::set<u32> old, given_up;
    for (const auto& [id, known] : ops_) {
        if (known.given_up == 0) continue;
        given_up.insert(id);
        if (world_.now() >= known.given_up + kNoLonger) old.insert(id);
    }
    if (old.empty()) return;
    std::vector<Config> after;
    std::set<std::string> seen;
    std::set<u32> left;
    expand(
        configs_, given_up,
        [&](Config& c) {
            Config end = c;
            std::erase_if(end.going, [&](const Progress& p) { return old.contains(p.op) && p.pc == 0; });
            if (!seen.insert(wire::encode(end)).second) return false;
            for (const Progress& p : end.going) left.insert(p.op);
            after.push_back(std::move(end));
            return false;
        },
        after);
    configs_ = std::move(after);
    for (const u32 id : old)
        if (!left.contains(id)) ops_.erase(id);
}

void Checker::settle() {
    std::set<u32> all;
    for (const auto& [op, known] : ops_) {
        if (known.given_up == 0) fail("op=" + std::to_string(op) + " has never ended: " + show(known.op), configs_);
        all.insert(op);
    }
    // Every way in which those under way end, those that have not begun happen or not.
    std::vector<Config> ended;
    std::set<std::string> seen;
    expand(
        configs_, all,
        [&](Config& c) {
            const bool half = std::any_of(c.going.begin(), c.going.end(), [](const Progress& p) { return p.pc != 0; });
            if (!half) {
                Config end = c;
                end.going.clear();
                if (seen.insert(wire::encode(end)).second) ended.push_back(std::move(end));
            }
            return false;
        },
        ended);
    if (ended.empty()) fail("what was under way cannot have ended", configs_);
    configs_ = std::move(ended);
    ops_.clear();
}

void Checker::observe(Op op, const Heard& heard) {
    const u32 id = invoke(std::move(op));
    respond(id, heard);
}

u32 Checker::linksOf(InodeId inode) const {
    const State& s = configs_.front().state;
    return s.countNames(s.symOf(inode));
}

void Checker::fail(const std::string& why, const std::vector<Config>& before) {
    std::string story = name_ + ": " + why;
    story += "\n  lately:";
    for (const auto& line : history_) story += "\n    " + line;
    story += fmt::format("\n  ways: {}", before.size());
    for (std::size_t i = 0; i < before.size() && i < 4; i++) {
        const State& s = before[i].state;
        story += "\n  one:";
        for (const Name& n : s.names) {
            story += fmt::format(" {}/{}={}({:x})", n.dir, n.name, n.node, s.idOf(n.node).value);
            if (const Node* node = s.node(n.node); node && node->closed) story += "closed";
        }
        for (const Lock& l : s.locks) story += fmt::format(" lock:{}/{}={}", l.dir, l.name, l.op);
        for (const Progress& p : before[i].going) {
            story += fmt::format(" going:{}@{}", p.op, p.pc);
            if (p.done) story += fmt::format("={} [{}]", static_cast<int>(p.out.code), p.out.detail);
            for (const auto& [name, sym] : p.out.names) story += fmt::format(" {}:{}", name, sym);
        }
    }
    world_.fail(story);
}

} // namespace skua::sim
