#include "tests/sim/checker.h"

#include <xxhash.h>
#include <algorithm>
#include <cstdio>

namespace skua::sim {

namespace {
constexpr std::size_t kMostWays = 1'000'000;
constexpr std::size_t kHistory = 40;

// Two ways with one hash are one way.
std::pair<u64, u64> hashOf(const Config& c) {
    const std::string bytes = wire::encode(c);
    const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
    return {h.high64, h.low64};
}
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
    const Circumstances circumstances = now();
    std::set<std::pair<u64, u64>> seen, taken;
    std::vector<Config> next;
    while (!from.empty()) {
        Config c = std::move(from.back());
        from.pop_back();
        if (!seen.insert(hashOf(c)).second) continue;
        if (seen.size() > kMostWays) fail("there are too many ways to tell apart", {});
        Config end = c;
        if (take(end)) {
            if (taken.insert(hashOf(end)).second) into.push_back(std::move(end));
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
    std::set<std::pair<u64, u64>> seen;
    for (Config& c : wrong) {
        auto at = std::find_if(c.going.begin(), c.going.end(), [&](const Progress& p) { return p.op == id; });
        const Outcome outcome = at->out;
        if (!match(c.state, outcome, heard)) continue;
        c.going.erase(at);
        if (seen.insert(hashOf(c)).second) after.push_back(std::move(c));
    }
    if (after.empty())
        fail("no order explains op=" + std::to_string(id) + ": " + show(ops_.at(id).op) + " heard " + show(heard),
             wrong.empty() ? before : wrong);
    configs_ = std::move(after);
    ops_.erase(id);
    prune();
}

// A way that may still come out of another one need not be kept beside it.
void Checker::prune() {
    if (configs_.size() < 2) return;
    std::map<std::string, bool> kept;
    for (const Config& c : configs_) kept.emplace(wire::encode(c), true);
    const Circumstances circumstances = now();
    std::vector<Config> next;
    for (const Config& c : configs_) {
        const std::string self = wire::encode(c);
        if (!kept.at(self)) continue;
        for (std::size_t i = 0; i < c.going.size(); i++) {
            if (c.going[i].done) continue;
            const Known& known = ops_.at(c.going[i].op);
            next.clear();
            stepsOf(c, i, known.op, circumstances, next);
            for (Config& n : next) {
                if (known.given_up != 0 && n.going[i].done) n.going.erase(n.going.begin() + static_cast<std::ptrdiff_t>(i));
                const std::string other = wire::encode(n);
                if (auto at = kept.find(other); at != kept.end() && other != self) at->second = false;
            }
        }
    }
    std::erase_if(configs_, [&](const Config& c) { return !kept.at(wire::encode(c)); });
}

Circumstances Checker::now() const {
    Circumstances c;
    c.now = world_.now();
    c.alone = ops_.size() == 1;
    c.untils = &untils_;
    return c;
}

void Checker::nothingHappened(u32 id) {
    world_.tell("{} op={} did not happen", name_, id);
    history_.push_back("   op=" + std::to_string(id) + " did not happen");
    const bool reads = onlyReads(ops_.at(id).op.kind);
    std::vector<Config> after;
    std::set<std::pair<u64, u64>> seen;
    for (Config& c : configs_) {
        auto at = std::find_if(c.going.begin(), c.going.end(), [&](const Progress& p) { return p.op == id; });
        if (at == c.going.end()) continue;
        if (!reads && (at->done || begun(*at))) continue;
        c.going.erase(at);
        if (seen.insert(hashOf(c)).second) after.push_back(std::move(c));
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

// Has it changed anything? An exchange looks at both names first.
bool Checker::begun(const Progress& p) const { return p.pc > (ops_.at(p.op).op.kind == Kind::kExchange ? 2 : 0); }

// The ways grow with each operation under way, most with those that take several steps.
u32 Checker::load() const {
    u32 all = 0;
    for (const auto& [_, known] : ops_) {
        switch (known.op.kind) {
            case Kind::kExchange: all += 3; break;
            case Kind::kRename:
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
    std::set<u32> old, all;
    for (const auto& [id, known] : ops_) {
        all.insert(id);
        if (known.given_up != 0 && world_.now() >= known.given_up + kNoLonger) old.insert(id);
    }
    if (old.empty()) return;
    // Nor is it half done by now: a way in which it is cannot end (two that wait for each other's names).
    std::vector<Config> after;
    std::set<std::pair<u64, u64>> seen;
    const std::vector<Config> before = configs_;
    expand(
        configs_, all,
        [&](Config& c) {
            if (std::any_of(c.going.begin(), c.going.end(), [&](const Progress& p) { return old.contains(p.op) && begun(p); }))
                return false;
            Config end = c;
            std::erase_if(end.going, [&](const Progress& p) { return old.contains(p.op); });
            if (seen.insert(hashOf(end)).second) after.push_back(std::move(end));
            return false;
        },
        after);
    if (after.empty()) fail("what was given up long ago cannot have ended", before);
    configs_ = std::move(after);
    for (const u32 id : old) ops_.erase(id);
    prune();
}

void Checker::settle() {
    std::set<u32> all;
    for (const auto& [op, known] : ops_) {
        if (known.given_up == 0) fail("op=" + std::to_string(op) + " has never ended: " + show(known.op), configs_);
        all.insert(op);
    }
    // Every way in which those under way end, those that have not begun happen or not.
    std::vector<Config> ended;
    std::set<std::pair<u64, u64>> seen;
    expand(
        configs_, all,
        [&](Config& c) {
            const bool half = std::any_of(c.going.begin(), c.going.end(), [this](const Progress& p) { return begun(p); });
            if (!half) {
                Config end = c;
                end.going.clear();
                if (seen.insert(hashOf(end)).second) ended.push_back(std::move(end));
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
