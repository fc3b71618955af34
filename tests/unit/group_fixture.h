// Shared by the tests of raft/group.h: members whose network is instant and whose disks are, unless a test holds
// them; time goes on only when a test says so.
#pragma once

#include <gtest/gtest.h>
#include <set>
#include "raft/group.h"

namespace skua::raft {

inline const GroupId kGroup = groupOf(ShardId{1});
inline constexpr u64 kE = 500 * kMillisecond, kBeat = 100 * kMillisecond;

class GroupTest : public testing::Test {
protected:
    struct Node {
        Member id;
        std::unique_ptr<Group> group;
        std::vector<GroupRecord> disk, writing;
        std::vector<u64> numbers; // of writing
        std::vector<GroupEffects::Send> held;
        std::vector<Entry> applied;
        LogBase rows;
        std::vector<GroupEffects::Read> reads;
        std::vector<Member> snapshots;
        bool slowDisk = false, install = false;
        u64 durable = 0;
        Error refused;
        Monotonic offset{};
    };
    static Member member(u32 n) { return {ServerId{n}, 100 + n}; }
    GroupOptions options(u32 n) {
        GroupOptions o;
        o.group = kGroup;
        o.self = member(n);
        o.seed = n + seed;
        o.own_heartbeats = own;
        o.keep_bytes = keep;
        o.window_bytes = window;
        o.append_bytes = append;
        return o;
    }
    Moment now() const { return {Monotonic{clock}, Wall{1'700'000'000 * kSecond + clock}}; }

    Node& start(u32 n) {
        Node& node = nodes[n];
        node.id = member(n);
        node.writing.clear();
        node.numbers.clear();
        node.held.clear();
        node.durable = 0;
        GroupPast past(kGroup);
        for (auto& r : node.disk) {
            if (r.kind == GroupRecordKind::kVote) EXPECT_TRUE(past.takeVote(*r.payload));
            else if (r.kind == GroupRecordKind::kBase) EXPECT_TRUE(past.takeBase(*r.payload));
            else EXPECT_TRUE(past.takeEntry(*r.payload));
        }
        GroupLog log;
        EXPECT_TRUE(past.join(node.rows, log));
        node.group = std::make_unique<Group>(options(n), past.vote(), std::move(log), node.rows, false, now());
        return node;
    }
    void crash(u32 n) { nodes[n].group.reset(); }
    // `voters` members formatted alike; time goes on until one leads and can read.
    void form(u32 voters) {
        Format f;
        f.group = kGroup;
        for (u32 n = 1; n <= voters; n++) f.members.push_back(member(n));
        Entry e;
        e.wall = Wall{1};
        e.payload.value = wire::encode(f);
        for (u32 n = 1; n <= voters; n++) {
            start(n);
            step(n, MakeGroup{e});
        }
    }
    u32 lead(u32 voters) {
        form(voters);
        run(3 * kSecond);
        return leader();
    }
    u32 leader() const {
        u32 best = 0;
        for (auto& [n, node] : nodes)
            if (node.group && node.group->leads() && (best == 0 || node.group->term() > nodes.at(best).group->term())) best = n;
        return best;
    }
    Group& g(u32 n) { return *nodes[n].group; }
    u32 other(u32 than, u32 nor = 0) {
        for (auto& [n, node] : nodes)
            if (n != than && n != nor && node.group) return n;
        return 0;
    }

    void step(u32 n, Input input) {
        Node& node = nodes[n];
        if (!node.group) return;
        GroupEffects out;
        node.group->step({Monotonic{clock + node.offset.value}, now().wall}, std::move(input), out);
        take(n, out);
    }
    void take(u32 n, GroupEffects& out) {
        Node& node = nodes[n];
        node.refused = out.refused;
        node.install = out.install;
        if (out.write) {
            for (auto& r : out.records) node.writing.push_back(r);
            node.numbers.push_back(out.write);
        }
        for (auto& s : out.sends) node.held.push_back(s);
        for (auto& r : out.reads) node.reads.push_back(r);
        for (auto& s : out.snapshots) node.snapshots.push_back(s);
        for (auto& e : out.committed) {
            EXPECT_EQ(e.index.value, node.rows.index.value + 1);
            node.rows.index = e.index;
            node.rows.term = e.term;
            node.rows.wall = e.wall;
            node.rows.age = e.age;
            if (auto m = membersOf(writeEntry(e))) node.rows.config = e.index, node.rows.members = *m;
            node.applied.push_back(e);
        }
        if (!out.committed.empty()) step(n, RowsApplied{node.rows.index});
    }
    void sync(u32 n) {
        Node& node = nodes[n];
        if (node.numbers.empty() || !node.group) return;
        for (auto& r : node.writing) node.disk.push_back(r);
        node.durable = node.numbers.back();
        node.writing.clear();
        node.numbers.clear();
        step(n, Durable{node.durable});
    }
    // What may leave now, delivered. Says how many.
    std::size_t deliver() {
        std::vector<GroupMessage> going;
        for (auto& [n, node] : nodes) {
            std::erase_if(node.held, [&](auto& s) {
                if (s.after > node.durable) return false;
                going.push_back(s.message);
                return true;
            });
        }
        for (auto& m : going) {
            const u32 from = m.from.server.value, to = m.to.server.value;
            if (cut.contains({from, to}) || !nodes.contains(to)) continue;
            sent.push_back(m);
            step(to, Received{m});
        }
        return going.size();
    }
    // One moment: everything that can happen does.
    void settle() {
        for (int i = 0; i < 50; i++) {
            for (auto& [n, node] : nodes) {
                step(n, EndTurn{});
                if (!node.slowDisk) sync(n);
            }
            if (deliver() == 0) break;
        }
    }
    void run(u64 time) {
        for (u64 end = clock + time; clock < end;) {
            clock += 5 * kMillisecond;
            for (auto& [n, node] : nodes)
                if (node.group && node.group->wakeAt().value <= clock + node.offset.value) step(n, Tick{});
            settle();
        }
    }
    void propose(u32 n, const std::string& what) {
        Entry e;
        e.kind = EntryKind::kCommand;
        e.payload.value = what;
        step(n, Propose{e});
    }
    bool has(u32 n, const std::string& what) {
        for (auto& e : nodes[n].applied)
            if (e.payload.value == what) return true;
        return false;
    }
    void cutOff(u32 n) {
        for (u32 o = 1; o < 10; o++)
            if (o != n) cut.insert({n, o}), cut.insert({o, n});
    }
    // A message out of nowhere.
    template <class Body>
    void tell(u32 from, u32 to, u64 term, Body body) {
        GroupMessage m;
        m.group = kGroup;
        m.from = member(from);
        m.to = member(to);
        m.term = Term{term};
        m.body = body;
        step(to, Received{m});
    }
    // The last message of this kind that `from` wants to send to `to`.
    template <class Body>
    std::optional<std::pair<Body, u64>> wants(u32 from, u32 to) {
        std::optional<std::pair<Body, u64>> found;
        for (auto& s : nodes[from].held)
            if (s.message.to == member(to))
                if (auto* b = std::get_if<Body>(&s.message.body)) found = {*b, s.after};
        return found;
    }

    std::map<u32, Node> nodes;
    std::set<std::pair<u32, u32>> cut;
    std::vector<GroupMessage> sent;
    u64 clock = kHour, seed = 0;
    bool own = true;
    std::size_t keep = 16u << 20, window = 4u << 20, append = 1u << 20;
};

} // namespace skua::raft
