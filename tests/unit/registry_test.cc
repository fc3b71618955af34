// The registry's machine: registration, fencing, groups, heartbeats, silence.
#include <gtest/gtest.h>
#include <algorithm>
#include <map>
#include "core/net/group_caller.h"
#include "core/store/kv_memory.h"
#include "raft/messages.h"
#include "registry/state.h"

namespace skua::registry {
namespace {

struct FakeLeader final : raft::Leader {
    void propose(std::string body) override { proposals.push_back(std::move(body)); }
    void call(GroupId, std::string, u64) override {}
    void tellHost(std::string address, std::string body, u64 token) override {
        told.push_back({std::move(address), std::move(body), token});
    }
    Random& random() override { return rng; }
    struct Told {
        std::string address, body;
        u64 token;
    };
    std::vector<std::string> proposals;
    std::vector<Told> told;
    Random rng{1};
};

class RegistryTest : public testing::Test {
protected:
    RegistryTest() {
        RegistryConfig config;
        config.cluster = ClusterId{7};
        config.shards = 2;
        config.local = true;
        config.policy.scheme = {{1 << 17, 1, 2}, {~0ull, 4, 2}};
        store::Transaction t(kv);
        machine.format(t, now(), wire::encode(config));
        EXPECT_TRUE(kv.write(t.writes()));
        machine.started(kv, now(), leader);
    }
    raft::Time now() { return {Wall{1'700'000'000 * kSecond + age}, Age{age}}; }
    raft::Answer applied(std::string body, bool own) {
        raft::Command c{{}, {}, true, own, body};
        if (auto ok = machine.admit(kv, now(), c); !ok) return {ok.error(), {}};
        store::Transaction t(kv);
        raft::Outcome out;
        machine.apply(t, now(), c, out);
        if (out.answer->error.code == Code::Ok) EXPECT_TRUE(kv.write(t.writes()));
        return *out.answer;
    }
    template <class R>
    Result<typename R::Reply> ask(const R& request) {
        const std::string body = net::encodeRequest(request);
        raft::Command c{{}, {}, true, false, body};
        raft::Answer answer;
        switch (machine.classify(body)) {
            case raft::StateMachine::Class::kQuery: {
                auto got = machine.query(kv, now(), c, false);
                if (!got) return Error(Code::Busy, "waits");
                answer = *got;
                break;
            }
            case raft::StateMachine::Class::kVolatile: answer = machine.tell(kv, now(), c, leader); break;
            case raft::StateMachine::Class::kCommand: answer = applied(body, false); break;
        }
        if (answer.error.code != Code::Ok) return answer.error;
        typename R::Reply reply{};
        EXPECT_TRUE(wire::decode(answer.body, reply));
        return reply;
    }
    Register::Reply server(const std::string& name, ServerRole role) {
        Register r;
        r.name = name;
        r.role = role;
        r.address.text = "127.0.0.1:" + std::to_string(4000 + servers++);
        return ask(r).value();
    }
    RegisterDisk::Reply disk(ServerId on, u64 uuid, BlockServiceId id = {}) {
        RegisterDisk r;
        r.id = id;
        r.uuid = uuid;
        r.server = on;
        r.capacity = 1 << 30;
        return ask(r).value();
    }
    void beat(const Register::Reply& s, BlockServiceId disk_id) {
        Heartbeat h;
        h.server = s.id;
        h.incarnation = s.incarnation;
        DiskHint hint;
        hint.id = disk_id;
        hint.up = true;
        h.disks = {hint};
        h.wall = now().wall;
        EXPECT_TRUE(ask(h));
    }
    // Leads, and applies what it proposes, until nothing more comes.
    void lead() {
        for (int i = 0; i < 20; i++) {
            machine.lead(kv, now(), leader);
            if (leader.proposals.empty()) return;
            for (auto body : std::exchange(leader.proposals, {})) EXPECT_EQ(applied(body, true).error.code, Code::Ok);
        }
    }
    DiskState stateOf(BlockServiceId id) { return Disks::get(kv, {id})->disk.state; }

    store::KvMemory kv;
    Registry machine;
    FakeLeader leader;
    u64 age = kHour;
    int servers = 0;
};

TEST_F(RegistryTest, ARepeatedRegistrationKeepsTheIdAndRaisesTheIncarnation) {
    auto a = server("shard-0", ServerRole::kShard), b = server("shard-0", ServerRole::kShard);
    EXPECT_EQ(a.id, b.id);
    EXPECT_LT(a.incarnation, b.incarnation);
}

TEST_F(RegistryTest, ADiskThatAppearsFromAnotherServerIsFenced) {
    auto a = server("blocks-0", ServerRole::kBlocks), b = server("blocks-1", ServerRole::kBlocks);
    auto first = disk(a.id, 99);
    EXPECT_EQ(disk(a.id, 99, first.id).incarnation, first.incarnation);
    EXPECT_LT(first.incarnation, disk(b.id, 99, first.id).incarnation);
    EXPECT_EQ(disk(b.id, 99).id, first.id);
}

TEST_F(RegistryTest, GroupsGetMembersAndAreFormattedOnceTheyAnswered) {
    auto s = server("shard-0", ServerRole::kShard);
    server("cdc-0", ServerRole::kCoordinator);
    lead();
    ASSERT_EQ(leader.told.size(), 3u);
    GetMap get;
    EXPECT_FALSE(ask(get)->map->groups[0].formatted);
    for (auto& t : std::exchange(leader.told, {})) machine.heard(kv, now(), t.token, Result<std::string>(std::string()), leader);
    lead();
    auto map = ask(get)->map;
    ASSERT_EQ(map->groups.size(), 3u);
    for (const auto& g : map->groups) EXPECT_TRUE(g.formatted);
    ASSERT_EQ(map->groups[1].members.size(), 1u);
    EXPECT_EQ(map->groups[1].members[0].server, s.id);
    EXPECT_TRUE(problems(kv).empty());
}

TEST_F(RegistryTest, AGroupIsNotGivenToOthersByASecondProposalUnderWay) {
    server("shard-0", ServerRole::kShard);
    machine.lead(kv, now(), leader);
    const auto first = std::exchange(leader.proposals, {});
    server("shard-1", ServerRole::kShard); // in the log before the first proposals
    machine.lead(kv, now(), leader);
    const auto second = std::exchange(leader.proposals, {});
    for (const auto& body : first) EXPECT_EQ(applied(body, true).error.code, Code::Ok);
    GetMap get;
    const auto given = ask(get)->map->groups;
    for (const auto& body : second) (void)applied(body, true);
    EXPECT_TRUE(ask(get)->map->groups == given);
}

TEST_F(RegistryTest, AMemberThatDidNotAnswerIsToldAgain) {
    server("shard-0", ServerRole::kShard);
    lead();
    ASSERT_EQ(leader.told.size(), 2u);
    for (auto& t : std::exchange(leader.told, {})) machine.heard(kv, now(), t.token, Error(Code::Unavailable), leader);
    lead();
    EXPECT_TRUE(leader.told.empty());
    age += kSecond;
    lead();
    EXPECT_EQ(leader.told.size(), 2u);
}

TEST_F(RegistryTest, AMapIsAnsweredOnlyWhenItIsNewer) {
    GetMap get;
    get.since = ask(get)->map->version;
    get.wait = true;
    EXPECT_EQ(ask(get).code(), Code::Busy);
    server("blocks-0", ServerRole::kBlocks);
    EXPECT_TRUE(ask(get)->map);
}

TEST_F(RegistryTest, SilenceMakesADiskNotUpThenDeadAndReturningMakesItUp) {
    auto s = server("blocks-0", ServerRole::kBlocks);
    auto d = disk(s.id, 5);
    beat(s, d.id);
    GetMap get;
    EXPECT_TRUE(ask(get)->disks[0].up);
    age += 6 * kSecond;
    lead();
    EXPECT_FALSE(ask(get)->disks[0].up);
    EXPECT_EQ(stateOf(d.id), DiskState::kUp);
    age += 30 * kSecond;
    lead();
    EXPECT_EQ(stateOf(d.id), DiskState::kDead);
    beat(s, d.id);
    age += 2 * kSecond;
    lead();
    EXPECT_EQ(stateOf(d.id), DiskState::kUp);
}

TEST_F(RegistryTest, WhatAHumanSaysOfADiskHoldsWhileItsServerLives) {
    auto s = server("blocks-0", ServerRole::kBlocks);
    auto d = disk(s.id, 5);
    SetDisk set;
    set.id = d.id;
    set.state = DiskState::kDead;
    EXPECT_TRUE(ask(set));
    for (int i = 0; i < 5; i++, age += 2 * kSecond) {
        beat(s, d.id);
        lead();
    }
    EXPECT_EQ(disk(s.id, 5, d.id).state, DiskState::kDead);
    EXPECT_EQ(stateOf(d.id), DiskState::kDead);
    set.state = DiskState::kUp;
    EXPECT_TRUE(ask(set));
    EXPECT_EQ(stateOf(d.id), DiskState::kUp);
}

TEST_F(RegistryTest, ADrainingDiskThatWasSilentDrainsOn) {
    auto s = server("blocks-0", ServerRole::kBlocks);
    auto d = disk(s.id, 5);
    SetDisk set;
    set.id = d.id;
    set.state = DiskState::kDraining;
    EXPECT_TRUE(ask(set));
    age += kMinute;
    lead();
    EXPECT_EQ(stateOf(d.id), DiskState::kDead);
    beat(s, d.id);
    age += 2 * kSecond;
    lead();
    EXPECT_EQ(stateOf(d.id), DiskState::kDraining);
}

TEST_F(RegistryTest, ADiskThatIsGoneFromALivingServerIsDeclaredDead) {
    auto s = server("blocks-0", ServerRole::kBlocks);
    auto good = disk(s.id, 5), gone = disk(s.id, 6);
    for (int i = 0; i < 40; i++, age += kSecond) {
        beat(s, good.id);
        lead();
    }
    EXPECT_EQ(stateOf(good.id), DiskState::kUp);
    EXPECT_EQ(stateOf(gone.id), DiskState::kDead);
}

TEST_F(RegistryTest, PastTheLimitOfDomainsNothingIsProposedAgainAndAgain) {
    for (u64 n = 0; n < 8; n++) disk(server("blocks-" + std::to_string(n), ServerRole::kBlocks).id, n + 1);
    age += kMinute;
    lead();
    for (int i = 0; i < 5; i++) {
        age += 2 * kSecond;
        machine.lead(kv, now(), leader);
        EXPECT_TRUE(leader.proposals.empty());
    }
}

TEST_F(RegistryTest, ANewLeaderListensBeforeItDeclaresAnybodyDead) {
    auto s = server("blocks-0", ServerRole::kBlocks);
    auto d = disk(s.id, 5);
    beat(s, d.id);
    age += 29 * kSecond;
    machine.started(kv, now(), leader);
    age += 20 * kSecond;
    lead();
    EXPECT_EQ(stateOf(d.id), DiskState::kUp);
}

TEST_F(RegistryTest, NoMoreDomainsAreDeclaredDeadThanTheSchemeCanLose) {
    std::vector<BlockServiceId> disks;
    for (u64 n = 0; n < 8; n++) disks.push_back(disk(server("blocks-" + std::to_string(n), ServerRole::kBlocks).id, n + 1).id);
    age += kMinute;
    lead();
    int dead = 0;
    for (auto id : disks) dead += stateOf(id) == DiskState::kDead;
    EXPECT_EQ(dead, 2);
}

TEST_F(RegistryTest, AnOlderProcessOfTheSameNameIsRefused) {
    auto old = server("blocks-0", ServerRole::kBlocks);
    server("blocks-0", ServerRole::kBlocks);
    Heartbeat h;
    h.server = old.id;
    h.incarnation = old.incarnation;
    EXPECT_EQ(ask(h).code(), Code::Stale);
}

TEST_F(RegistryTest, AClockThatIsFarOffIsRefused) {
    auto s = server("blocks-0", ServerRole::kBlocks);
    Heartbeat h;
    h.server = s.id;
    h.incarnation = s.incarnation;
    h.wall = Wall{now().wall.value + kHour};
    EXPECT_EQ(ask(h).code(), Code::NotPermitted);
}

// A cluster of three servers of shards, whose first leads all groups; what a group's leader is told happens at once.
class RegistryMembersTest : public RegistryTest {
protected:
    RegistryMembersTest() {
        Meta meta = *Metas::get(kv, {});
        meta.config.replicas = 3;
        store::Transaction t(kv);
        Metas::put(t, {}, meta);
        EXPECT_TRUE(kv.write(t.writes()));
        for (u64 i = 0; i < 3; i++) registered("shard-" + std::to_string(i), 100 + i);
        for (u64 i = 0; i < 3; i++) registered("cdc-" + std::to_string(i), 200 + i, ServerRole::kCoordinator);
        lead();
        for (auto& t : std::exchange(leader.told, {}))
            machine.heard(kv, now(), t.token, Result<std::string>(std::string()), leader);
        lead();
    }
    Register::Reply registered(const std::string& name, u64 store, ServerRole role = ServerRole::kShard) {
        Register r;
        r.name = name;
        r.role = role;
        r.store = store;
        auto reply = ask(r).value();
        byName[name] = reply;
        return reply;
    }
    // The group's leader says what it has, or that it leads.
    void beats(const std::string& name, std::vector<GroupRow> groups = {}) {
        Heartbeat h;
        h.server = byName[name].id;
        h.incarnation = byName[name].incarnation;
        h.leads = {kGroup};
        h.groups = std::move(groups);
        h.wall = now().wall;
        EXPECT_TRUE(ask(h));
        for (auto body : std::exchange(leader.proposals, {})) EXPECT_EQ(applied(body, true).error.code, Code::Ok);
    }
    // One step: what the leader is told is done, and comes back.
    bool step(const std::string& leads) {
        age += kSecond;
        beats(leads);
        leader.told.clear();
        lead();
        for (auto& t : std::exchange(leader.told, {})) {
            machine.heard(kv, now(), t.token, Result<std::string>(std::string()), leader);
            raft::HostRequest request;
            EXPECT_TRUE(wire::decode(t.body, request));
            auto* change = std::get_if<raft::ChangeGroup>(&request);
            if (!change || change->group != kGroup) continue;
            EXPECT_EQ(change->was, (raft::Members{group().members, group().learners}));
            GroupRow row;
            row.id = kGroup;
            row.members = change->becomes.voters;
            row.learners = change->becomes.learners;
            row.configuration = ++configuration;
            beats(leads, {row});
            return true;
        }
        return false;
    }
    GroupRow group() { return *Groups::get(kv, {kGroup}); }
    std::vector<u64> stores() {
        std::vector<u64> all;
        for (const raft::Member& m : group().members) all.push_back(m.store);
        std::sort(all.begin(), all.end());
        return all;
    }

    static constexpr GroupId kGroup = groupOf(ShardId{0});
    std::map<std::string, Register::Reply> byName;
    u64 configuration = 1;
};

TEST_F(RegistryMembersTest, AServerThatCameBackEmptyTakesItsPlaceAgainStepByStep) {
    EXPECT_EQ(stores(), (std::vector<u64>{100, 101, 102}));
    EXPECT_FALSE(step("shard-1"));
    registered("shard-0", 777);
    ASSERT_TRUE(step("shard-1"));
    EXPECT_EQ(group().learners.size(), 1u);
    EXPECT_EQ(stores(), (std::vector<u64>{100, 101, 102})); // a voter goes only when another has come
    ASSERT_TRUE(step("shard-1"));
    EXPECT_EQ(stores(), (std::vector<u64>{100, 101, 102, 777}));
    ASSERT_TRUE(step("shard-1"));
    EXPECT_EQ(stores(), (std::vector<u64>{101, 102, 777}));
    EXPECT_FALSE(step("shard-1"));
    EXPECT_TRUE(problems(kv).empty());
}

TEST_F(RegistryMembersTest, WhoHasTheGroupsAlreadyTakesNobodysPlaceInThem) {
    const auto refused = ask(ReplaceServer{byName["shard-0"].id, byName["shard-1"].id});
    EXPECT_EQ(refused.code(), Code::Invalid); // two copies would be left of three
    EXPECT_FALSE(step("shard-1"));
    EXPECT_EQ(stores(), (std::vector<u64>{100, 101, 102}));
}

TEST_F(RegistryTest, WhoComesBackEmptyBeforeItsGroupsAreFormattedDoesNotHoldThemUp) {
    Meta meta = *Metas::get(kv, {});
    meta.config.replicas = 3;
    store::Transaction t(kv);
    Metas::put(t, {}, meta);
    ASSERT_TRUE(kv.write(t.writes()));
    auto registered = [&](const std::string& name, u64 store, ServerRole role) {
        Register r;
        r.name = name;
        r.role = role;
        r.store = store;
        r.address.text = name;
        ASSERT_TRUE(ask(r));
    };
    for (u64 i = 0; i < 3; i++) registered("shard-" + std::to_string(i), 100 + i, ServerRole::kShard);
    for (u64 i = 0; i < 3; i++) registered("cdc-" + std::to_string(i), 200 + i, ServerRole::kCoordinator);
    lead();
    auto answered = [&] {
        for (auto& told : std::exchange(leader.told, {})) {
            Result<std::string> reply = std::string();
            if (told.address == "shard-0") reply = Error(Code::Unavailable, "it hangs");
            machine.heard(kv, now(), told.token, reply, leader);
        }
        age += kMinute;
        lead();
    };
    answered();
    EXPECT_FALSE(Groups::get(kv, {groupOf(ShardId{0})})->formatted) << "it may come back as it was";
    registered("shard-0", 777, ServerRole::kShard);
    answered();
    EXPECT_TRUE(Groups::get(kv, {groupOf(ShardId{0})})->formatted);
    EXPECT_TRUE(Groups::get(kv, {groupOf(ShardId{1})})->formatted);
}

TEST_F(RegistryMembersTest, ALearnerThatLostItsStoreOnceMoreGoes) {
    registered("shard-0", 777);
    ASSERT_TRUE(step("shard-1"));
    registered("shard-0", 778);
    ASSERT_TRUE(step("shard-1"));
    EXPECT_TRUE(group().learners.empty());
    for (int i = 0; i < 3; i++) ASSERT_TRUE(step("shard-1"));
    EXPECT_EQ(stores(), (std::vector<u64>{101, 102, 778}));
}

TEST_F(RegistryMembersTest, AReplacedServerIsDroppedFromTheMapWhenItIsInNoGroup) {
    registered("shard-3", 103);
    ReplaceServer replace{byName["shard-0"].id, byName["shard-3"].id};
    ASSERT_TRUE(ask(replace));
    EXPECT_EQ(ask(ReplaceServer{byName["shard-0"].id, byName["shard-0"].id}).code(), Code::Invalid);
    EXPECT_EQ(ask(ReplaceServer{byName["shard-0"].id, byName["cdc-0"].id}).code(), Code::Invalid);
    EXPECT_EQ(ask(DropServer{byName["shard-0"].id}).code(), Code::NotPermitted); // only the leader's own
    for (int i = 0; i < 3; i++) ASSERT_TRUE(step("shard-1"));
    EXPECT_EQ(stores(), (std::vector<u64>{101, 102, 103}));
    EXPECT_TRUE(Servers::has(kv, {byName["shard-0"].id})); // the other shard's group has it still
}

TEST_F(RegistryMembersTest, AGroupOfOneCopyGrowsAgainAndTheOtherCopiesNeverComeBack) {
    EXPECT_EQ(ask(AbandonCopies{kGroup, byName["shard-3"].id}).code(), Code::Invalid); // no member
    ASSERT_TRUE(ask(AbandonCopies{kGroup, byName["shard-1"].id}));
    GroupRow alone = group();
    alone.members = {{byName["shard-1"].id, 101}};
    alone.configuration = ++configuration;
    beats("shard-1", {alone});
    ASSERT_EQ(stores(), (std::vector<u64>{101}));
    Register old;
    old.name = "shard-0";
    old.role = ServerRole::kShard;
    old.store = 100;
    EXPECT_EQ(ask(old).code(), Code::Stale);
    EXPECT_FALSE(step("shard-1")); // nobody is there that may join
    registered("shard-0", 777);
    beats("shard-0", {});
    ASSERT_TRUE(step("shard-1"));
    ASSERT_EQ(group().learners.size(), 1u);
    EXPECT_EQ(group().learners[0].store, 777u);
    ASSERT_TRUE(step("shard-1"));
    EXPECT_EQ(stores(), (std::vector<u64>{101, 777}));
}

TEST_F(RegistryMembersTest, WhoseCopyIsAbandonedEndsWithItsNextHeartbeatAndTheMapFollowsTheKeptOne) {
    GroupRow far = group();
    far.configuration = configuration = 40;
    beats("shard-0", {far});
    ASSERT_TRUE(ask(AbandonCopies{kGroup, byName["shard-1"].id}));
    EXPECT_EQ(stores(), (std::vector<u64>{101}));
    for (const char* name : {"shard-0", "shard-2"}) {
        Heartbeat h;
        h.server = byName[name].id;
        h.incarnation = byName[name].incarnation;
        EXPECT_EQ(ask(h).code(), Code::Stale) << name;
    }
    GroupRow lagged = group(); // its log ends before the configuration that the map had
    lagged.configuration = 7;
    beats("shard-1", {lagged});
    EXPECT_EQ(group().configuration, 7u);
}

TEST_F(RegistryMembersTest, OnlyWhoHasTheClustersKeyMayAbandonCopies) {
    const std::string body = net::encodeRequest(AbandonCopies{kGroup, byName["shard-1"].id});
    EXPECT_EQ(machine.admit(kv, now(), {{}, {}, false, false, body}).code(), Code::NotPermitted);
    EXPECT_TRUE(machine.admit(kv, now(), {{}, {}, true, false, body}));
}

TEST_F(RegistryMembersTest, AnAbandonedCopyIsKnownAfterItsServerWasDropped) {
    ASSERT_TRUE(ask(AbandonCopies{kGroup, byName["shard-1"].id}));
    {
        store::Transaction t(kv);
        Servers::erase(t, {byName["shard-0"].id});
        EXPECT_TRUE(kv.write(t.writes()));
    }
    Register old;
    old.name = "another";
    old.role = ServerRole::kShard;
    old.store = 100;
    EXPECT_EQ(ask(old).code(), Code::Stale);
}

TEST_F(RegistryMembersTest, WhatIsTakenBackIsTheLatestAbandonmentOnly) {
    const auto mayRegister = [&](const std::string& name, u64 store) {
        Register r;
        r.name = name;
        r.role = ServerRole::kShard;
        r.store = store;
        return ask(r).code();
    };
    ASSERT_TRUE(ask(AbandonCopies{kGroup, byName["shard-1"].id}));
    GroupRow grown = group();
    registered("shard-0", 777);
    grown.members.push_back({byName["shard-0"].id, 777});
    grown.configuration = ++configuration;
    beats("shard-1", {grown});
    ASSERT_EQ(stores(), (std::vector<u64>{101, 777}));
    ASSERT_TRUE(ask(AbandonCopies{kGroup, byName["shard-1"].id}));
    EXPECT_EQ(mayRegister("shard-0", 777), Code::Stale);
    ASSERT_TRUE(ask(AbandonCopies{kGroup, byName["shard-1"].id, true}));
    EXPECT_EQ(mayRegister("shard-0", 777), Code::Ok);
    EXPECT_EQ(mayRegister("shard-0", 100), Code::Stale) << "of the first recovery, which was carried out";
}

TEST_F(RegistryMembersTest, AnOlderMembershipIsNotTakenForTheNewest) {
    registered("shard-0", 777);
    ASSERT_TRUE(step("shard-1"));
    GroupRow old;
    old.id = kGroup;
    old.members = {{byName["shard-1"].id, 101}};
    old.configuration = 1;
    beats("shard-1", {old});
    EXPECT_EQ(group().members.size(), 3u);
}

TEST_F(RegistryTest, BytesThatAreNoRequestAreRefused) {
    Random rng(3);
    for (int i = 0; i < 2000; i++) {
        std::string body(rng.below(60), 0);
        for (char& c : body) c = static_cast<char>(rng.next());
        raft::Command c{{}, {}, false, false, body};
        if (machine.classify(body) == raft::StateMachine::Class::kCommand) (void)machine.admit(kv, now(), c);
        else if (machine.classify(body) == raft::StateMachine::Class::kQuery) (void)machine.query(kv, now(), c, true);
    }
}

} // namespace
} // namespace skua::registry
