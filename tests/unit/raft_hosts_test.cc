// Several hosts with groups of three: what is acknowledged outlives any one of them, once; idle groups are silent.
#include "tests/unit/raft_hosts.h"

namespace skua::raft {
namespace {

TEST_F(Hosts, ACommandIsOnAllOfThemAndAFollowerSaysWhoLeads) {
    format(group);
    settle();
    for (auto& [i, h] : hosts)
        for (auto& [_, r] : h.hosts) EXPECT_TRUE(r);
    run(3 * kSecond);
    const u32 l = leader(group);
    ASSERT_NE(l, 0u);
    EXPECT_EQ(hosts[l].leads, 1);
    const u64 t = ask(l, "a", 1);
    settle();
    EXPECT_EQ(answer(l, t), "2");
    run(kSecond);
    const u32 f = l % 3 + 1;
    const u64 q = ask(f, "get");
    settle();
    EXPECT_EQ(answer(f, q), "NotLeader");
    EXPECT_EQ(hosts[f].replies.at(q).error.leader, ServerId{l});
    for (auto& [i, h] : hosts) EXPECT_EQ(h.kv.get(std::string("\0\2\0\0all", 7)), "a;");
}
TEST_F(Hosts, WhatWasAcknowledgedOutlivesTheLeaderOnce) {
    format(group);
    run(3 * kSecond);
    const u32 l = leader(group);
    const u64 t = ask(l, "a", 1);
    settle();
    ASSERT_EQ(answer(l, t), "2");
    crash(l);
    run(2 * kSecond);
    const u32 next = leader(group);
    ASSERT_NE(next, 0u);
    ASSERT_NE(next, l);
    const u64 again = ask(next, "a", 1); // the answer was lost: the same request at the new leader
    settle();
    EXPECT_EQ(answer(next, again), "2");
    const u64 more = ask(next, "b", 2);
    settle();
    EXPECT_EQ(answer(next, more), "4");
    start(l);
    run(2 * kSecond);
    EXPECT_EQ(hosts[l].kv.get(std::string("\0\2\0\0all", 7)), "a;b;");
}
// The registry's own changes: a registration raises an incarnation, so a second one would show.
TEST_F(Hosts, ARegistrationHappensOnceWhetherTheOldLeaderHearsOfItOrTheNewOneOrBoth) {
    registry::RegistryConfig config;
    config.shards = 1;
    config.replicas = 3;
    format(kRegistryGroup, wire::encode(config));
    run(3 * kSecond);
    auto registers = [&](u32 host, u64 request) {
        registry::Register r;
        r.name = "blocks-0";
        r.role = registry::ServerRole::kBlocks;
        const u64 token = ask(host, wire::encode(registry::Request{r}), request, kRegistryGroup);
        settle();
        return token;
    };
    auto heard = [&](u32 host, u64 token) {
        registry::Register::Reply reply;
        EXPECT_TRUE(wire::decode(answer(host, token), reply)) << answer(host, token);
        return reply;
    };
    auto incarnation = [&](u32 host) { // as its rows have it
        const store::Prefixed rows(hosts[host].kv, prefixOf(kRegistryGroup));
        u64 found = 0;
        registry::Servers::scan(rows, registry::Servers::All{}, [&](const auto&, const registry::ServerRow& row) {
            if (row.name == "blocks-0") found = row.incarnation.value;
            return true;
        });
        return found;
    };
    // The old one did it and answered; the answer was lost, and so is the leader.
    const u32 first = leader(kRegistryGroup);
    ASSERT_NE(first, 0u);
    const auto said = heard(first, registers(first, 1));
    EXPECT_EQ(said.incarnation, Incarnation{1});
    crash(first);
    run(3 * kSecond);
    const u32 second = leader(kRegistryGroup);
    ASSERT_NE(second, 0u);
    const u64 again = registers(second, 1);
    EXPECT_EQ(answer(second, again), wire::encode(said)) << "the same answer, the map's version too";
    EXPECT_EQ(incarnation(second), 1u);
    start(first);
    run(2 * kSecond);

    // The old one has it in its log only, the new one does it; then the old one's entry is nobody's.
    cutOff(second);
    const u64 old = registers(second, 2);
    EXPECT_EQ(answer(second, old), "none");
    run(3 * kSecond);
    const u32 third = leader(kRegistryGroup);
    ASSERT_NE(third, second);
    const auto now_said = heard(third, registers(third, 2));
    EXPECT_EQ(now_said.incarnation, Incarnation{2});
    cut.clear();
    run(2 * kSecond);
    EXPECT_EQ(answer(second, old), "lost") << "not known here: to be asked where the leader is";
    EXPECT_EQ(answer(second, registers(second, 2)), "NotLeader");
    EXPECT_EQ(heard(third, registers(third, 2)).version, now_said.version);

    // The old one's entry reaches a follower, which leads next: the request came with the log, and comes again.
    const u32 last = leader(kRegistryGroup);
    for (u32 h = 1; h <= 3; h++)
        if (h != last) cut.insert({h, last});
    const u64 unheard = registers(last, 3);
    EXPECT_EQ(answer(last, unheard), "none");
    cutOff(last);
    run(3 * kSecond);
    const u32 heir = leader(kRegistryGroup);
    ASSERT_NE(heir, last);
    EXPECT_EQ(incarnation(heir), 3u) << "it was in the log of the new one";
    EXPECT_EQ(heard(heir, registers(heir, 3)).incarnation, Incarnation{3});
    cut.clear();
    run(2 * kSecond);
    for (u32 h = 1; h <= 3; h++) EXPECT_EQ(incarnation(h), 3u);
}
TEST_F(Hosts, WithoutItsMajorityAGroupGoesOnWithOneCopyByAHumansWordOnly) {
    format(group);
    run(3 * kSecond);
    u32 l = leader(group);
    const u64 t = ask(l, "a", 1);
    settle();
    ASSERT_EQ(answer(l, t), "2");
    const u32 kept = l % 3 + 1, other = kept % 3 + 1;
    const std::string word = wire::encode(HostRequest{RecoverGroup{group}});
    hosts[kept].server->hostRequest(now(kept), ++tokens, word, hosts[kept].out);
    settle();
    EXPECT_EQ(hosts[kept].hosts.at(tokens).error().code, Code::Busy); // a leader is there
    crash(l);
    crash(other);
    run(5 * kSecond);
    EXPECT_EQ(leader(group), 0u);
    hosts[kept].server->hostRequest(now(kept), ++tokens, word, hosts[kept].out);
    settle();
    EXPECT_TRUE(hosts[kept].hosts.at(tokens));
    run(kSecond);
    ASSERT_EQ(leader(group), kept);
    EXPECT_EQ(hosts[kept].server->group(group)->members().voters.size(), 1u);
    const u64 again = ask(kept, "a", 1), more = ask(kept, "b", 2);
    settle();
    EXPECT_EQ(answer(kept, again), "2"); // what was answered is remembered
    EXPECT_EQ(answer(kept, more), "4");
    crash(kept);
    start(kept);
    run(2 * kSecond);
    EXPECT_EQ(leader(group), kept);
    EXPECT_EQ(hosts[kept].kv.get(std::string("\0\2\0\0all", 7)), "a;b;");
}
TEST_F(Hosts, AClockThatIsFarFromMostOthersEndsNothing) {
    format(group);
    run(3 * kSecond);
    const u32 l = leader(group);
    EXPECT_TRUE(hosts[l].server->clocksAgree());
    ahead[l % 3 + 1] = 8 * kDay; // one of three: most are near
    run(kSecond);
    EXPECT_TRUE(hosts[l].server->clocksAgree());
    ahead = {{l, 8 * kDay}};
    run(kSecond);
    EXPECT_FALSE(hosts[l].server->clocksAgree());
    ahead.clear();
    run(kSecond);
    EXPECT_TRUE(hosts[l].server->clocksAgree());
}
TEST_F(Hosts, WhoHasLittleRoomHandsOverAndIsLedUntilThereIsRoom) {
    format(group);
    run(3 * kSecond);
    const u32 l = leader(group);
    hosts[l].server->setLow(true);
    run(kSecond);
    const u32 next = leader(group);
    ASSERT_NE(next, 0u);
    ASSERT_NE(next, l);
    EXPECT_FALSE(hosts[l].server->leads(group));
    const u64 t = ask(next, "a", 1, group, false);
    settle();
    EXPECT_EQ(answer(next, t), "2");
    hosts[next].server->hostRequest(now(), ++tokens, wire::encode(HostRequest{MoveLeader{group, {ServerId{l}, storeOf(l)}}}),
                                    hosts[next].out);
    settle();
    EXPECT_EQ(hosts[next].hosts.at(tokens).code(), Code::NoSpace);
    const u32 third = 6 - l - next; // with the leader away the third one leads, again and again
    for (int i = 0; i < 3; i++) {
        const u32 gone = leader(group);
        ASSERT_NE(gone, l);
        crash(gone);
        run(3 * kSecond);
        EXPECT_EQ(leader(group), gone == next ? third : next);
        start(gone);
        run(kSecond);
    }
    hosts[l].server->setLow(false);
    run(kSecond);
    cutOff(next);
    cutOff(third);
    cut.erase({third, l}), cut.erase({l, third}); // without the leader either of the two may lead
    run(5 * kSecond);
    EXPECT_NE(leader(group), 0u);
}
TEST_F(Hosts, WhereAllHaveLittleRoomReadsAndDeletesGoOn) {
    format(group);
    run(3 * kSecond);
    for (auto& [_, h] : hosts) h.server->setLow(true);
    run(3 * kSecond);
    const u32 l = leader(group);
    ASSERT_NE(l, 0u);
    const u64 add = ask(l, "a", 1, group, false), del = ask(l, "delete", 2, group, false), step = ask(l, "step");
    settle();
    EXPECT_EQ(answer(l, add), "NoSpace");
    EXPECT_EQ(answer(l, del), "7");
    EXPECT_EQ(answer(l, step), "12");
    const u64 get = ask(l, "get", 3, group, false);
    settle();
    EXPECT_EQ(answer(l, get), "delete;step;");
    crash(l); // nobody with room is left to be chosen: one of the two leads nevertheless
    run(6 * kSecond);
    const u32 next = leader(group);
    ASSERT_NE(next, 0u);
    for (auto& [_, h] : hosts)
        if (h.server) h.server->setLow(false);
    run(kSecond);
    const u64 again = ask(leader(group), "b", 4, group, false);
    settle();
    EXPECT_EQ(answer(leader(group), again), "14");
}
TEST_F(Hosts, WhatIsCommittedWaitsForRoomForItsRowsAndIsAppliedOnceInOrder) {
    format(group);
    run(3 * kSecond);
    const u32 l = leader(group), f = l % 3 + 1;
    const std::string key("\0\2\0\0all", 7);
    hosts[f].kv.fill(true);
    hosts[l].kv.fill(true);
    std::vector<u64> tokens_of;
    for (int i = 0; i < 5; i++) tokens_of.push_back(ask(l, std::string(1, static_cast<char>('a' + i)), 1 + static_cast<u64>(i)));
    run(kSecond);
    for (u64 t : tokens_of) EXPECT_EQ(answer(l, t), "none"); // durable and committed, but nobody has the effect
    EXPECT_EQ(hosts[6 - l - f].kv.get(key), "a;b;c;d;e;");
    EXPECT_EQ(hosts[f].kv.get(key), std::nullopt);
    hosts[f].kv.fill(false);
    hosts[l].kv.fill(false);
    run(kSecond);
    for (std::size_t i = 0; i < 5; i++) EXPECT_EQ(answer(l, tokens_of[i]), std::to_string(2 * (i + 1)));
    for (auto& [_, h] : hosts) EXPECT_EQ(h.kv.get(key), "a;b;c;d;e;");
}
TEST_F(Hosts, AFollowerWhoseLogIsFullKeepsOneAnswerNotOneForEachTimeItIsAsked) {
    format(group);
    run(2 * kSecond);
    const u32 first = leader(group), full = first % 3 + 1;
    logFull.insert(full);
    const u64 token = ask(first, "a", 1);
    run(5 * kMinute);
    EXPECT_EQ(answer(first, token), "2");
    logFull.clear();
    const u64 before = bytes;
    clock += kTickNs;
    hosts[full].server->tick(now(full), hosts[full].out);
    settle();
    EXPECT_LT(bytes - before, 4096u);
    run(2 * kSecond);
    EXPECT_EQ(hosts[full].server->group(group)->log().last(), hosts[first].server->group(group)->log().last());
}

TEST_F(Hosts, WhoLosesTheLeadHangsUpOnThoseWhoWait) {
    format(group);
    run(3 * kSecond);
    const u32 l = leader(group);
    cutOff(l);
    const u64 t = ask(l, "a", 1), q = ask(l, "get");
    settle();
    EXPECT_EQ(answer(l, t), "none");
    EXPECT_EQ(answer(l, q), ""); // its lease still holds
    run(kSecond);
    const u64 late = ask(l, "get");
    run(2 * kSecond);
    EXPECT_EQ(answer(l, t), "lost");
    EXPECT_NE(answer(l, late), ""); // nobody confirmed it
    EXPECT_EQ(hosts[l].leads, 0);
    const u32 next = leader(group);
    ASSERT_NE(next, l);
    const u64 again = ask(next, "a", 1);
    settle();
    EXPECT_EQ(answer(next, again), "2");
    cut.clear();
    run(2 * kSecond);
    EXPECT_EQ(hosts[l].kv.get(std::string("\0\2\0\0all", 7)), "a;");
}
TEST_F(Hosts, AllAtOnceLosePowerAndNothingIsLost) {
    format(group);
    run(3 * kSecond);
    for (u64 i = 1; i <= 20; i++) {
        const u32 l = leader(group);
        ASSERT_NE(l, 0u);
        const u64 t = ask(l, "x", i);
        settle();
        EXPECT_EQ(answer(l, t), std::to_string(2 * i));
        if (i % 5 != 0) continue;
        for (u32 h = 1; h <= 3; h++) crash(h);
        clock += kSecond;
        for (u32 h = 1; h <= 3; h++) start(h);
        run(3 * kSecond);
    }
}
TEST_F(Hosts, IdleGroupsCostNoMoreThanOne) {
    format(group);
    run(3 * kSecond);
    frames = 0;
    run(10 * kSecond);
    const u64 one = frames;
    for (u16 s = 1; s < 256; s++) format(groupOf(ShardId{s}));
    run(5 * kSecond);
    for (u16 s = 0; s < 256; s++) ASSERT_NE(leader(groupOf(ShardId{s})), 0u) << s;
    frames = bytes = writesDone = 0;
    std::map<u16, Term> terms;
    for (u16 s = 0; s < 256; s++) terms[s] = hosts[leader(groupOf(ShardId{s}))].server->group(groupOf(ShardId{s}))->term();
    run(10 * kSecond);
    // Each host now leads some, and beats two others ten times a second, who answer.
    EXPECT_LE(frames, 3 * one + 30);
    EXPECT_LE(bytes, frames * 120);
    EXPECT_EQ(writesDone, 0u);
    for (u16 s = 0; s < 256; s++) {
        const u32 l = leader(groupOf(ShardId{s}));
        EXPECT_EQ(hosts[l].server->group(groupOf(ShardId{s}))->term(), terms[s]);
        EXPECT_TRUE(hosts[l].server->group(groupOf(ShardId{s}))->mayRead(Monotonic{clock}));
    }
    // One that restarts follows nobody yet: it is told of its groups, and all is silent again.
    crash(2);
    start(2);
    run(5 * kSecond);
    frames = bytes = 0;
    run(10 * kSecond);
    EXPECT_LE(bytes, frames * 120);
    for (u16 s = 0; s < 256; s++) ASSERT_NE(leader(groupOf(ShardId{s})), 0u) << s;
}
TEST_F(Hosts, WhoWasAwayForLongGetsTheRows) {
    format(group);
    run(3 * kSecond);
    const u32 l = leader(group), f = l % 3 + 1;
    crash(f);
    run(kSecond);
    for (u64 i = 1; i <= 30; i++) { // more than a leader keeps
        ask(l, std::to_string(100000 + i) + std::string(1u << 20, 'x'), i);
        settle();
    }
    for (u64 i = 31; i <= 60; i++) {
        ask(l, "s", i);
        settle();
    }
    run(kSecond);
    const auto rows = [&](u32 h) -> const auto& { return hosts[h].kv.rows(); };
    ASSERT_GT(hosts[l].server->group(group)->log().base().index, Index{1});
    start(f);
    run(3 * kSecond);
    EXPECT_TRUE(rows(f) == rows(l));
    EXPECT_EQ(hosts[f].server->appliedIndexes(), hosts[l].server->appliedIndexes());
    // And it goes on from there, after a crash too.
    crash(f);
    start(f);
    const u64 t = ask(l, "end", 61);
    run(2 * kSecond);
    EXPECT_NE(answer(l, t), "none");
    EXPECT_TRUE(rows(f) == rows(l));
    EXPECT_GT(rows(f).size(), 30u); // one of each of the large ones, and what is remembered
}
TEST_F(Hosts, AllGroupsOfAProcessTogetherKeepABoundedMemoryAndWhoIsBehindGetsTheRows) {
    keepTotal = 100'000;
    for (auto& [i, _] : hosts) crash(i), start(i);
    constexpr u16 kGroups = 8;
    for (u16 s = 0; s < kGroups; s++) format(groupOf(ShardId{s}));
    run(3 * kSecond);
    // One that writes little keeps what it has while others that write much are cut.
    const GroupId little = groupOf(ShardId{kGroups});
    format(little);
    run(3 * kSecond);
    const u32 away = leader(little) % 3 + 1;
    crash(away);
    run(3 * kSecond);
    u64 id = 0;
    ask(leader(little), "little", ++id, little);
    for (int i = 0; i < 60; i++) {
        for (u16 s = 0; s < kGroups; s++) {
            const GroupId g = groupOf(ShardId{s});
            ask(leader(g), std::to_string(100000 + i) + std::string(2000, 'x'), ++id, g);
        }
        settle();
        for (auto& [_, h] : hosts)
            if (h.server) ASSERT_LE(h.server->kept(), keepTotal);
    }
    const u32 l = leader(groupOf(ShardId{0}));
    EXPECT_GT(hosts[l].server->kept(), keepTotal / 2);
    for (u16 s = 0; s < kGroups; s++) EXPECT_GT(hosts[l].server->group(groupOf(ShardId{s}))->log().base().index, Index{1});
    EXPECT_LE(hosts[l].server->group(little)->log().base().index, Index{1});
    start(away);
    run(5 * kSecond);
    EXPECT_TRUE(hosts[away].kv.rows() == hosts[l].kv.rows());
    EXPECT_EQ(hosts[away].server->appliedIndexes(), hosts[l].server->appliedIndexes());
}
TEST_F(Hosts, ASnapshotThatIsCutOffIsAskedForAgain) {
    format(group);
    run(3 * kSecond);
    const u32 l = leader(group), f = l % 3 + 1;
    crash(f);
    for (u64 i = 1; i <= 30; i++) {
        ask(l, std::to_string(100000 + i) + std::string(1u << 20, 'x'), i);
        settle();
    }
    start(f);
    for (int i = 0; i < 6; i++) { // now and then nothing arrives, and once it dies with half of the rows
        run(2 * kTickNs);
        cutOff(f);
        run(2 * kTickNs);
        cut.clear();
        if (i == 3) crash(f), start(f);
    }
    run(15 * kSecond);
    EXPECT_EQ(hosts[f].server->appliedIndexes(), hosts[leader(group)].server->appliedIndexes());
    EXPECT_TRUE(hosts[f].kv.rows() == hosts[leader(group)].kv.rows());
}
// Its log has a vote and no entry yet: nothing in it says which server it is.
// Its rows are of a snapshot from before it was a member, and its log has nothing behind them yet.
TEST_F(Hosts, AVoterThatHasNotHeardThatItIsOneVotesWhereNobodyCanLeadWithoutIt) {
    format(group);
    run(3 * kSecond);
    const u32 l = leader(group), lost = l % 3 + 1;
    ask(l, "a", 1);
    run(kSecond);
    store::Batch rows;
    for (const auto& [key, value] : hosts[l].kv.rows()) rows.emplace(key, value);
    crash(lost);
    hosts[lost].kv = store::KvMemory();
    hosts[lost].log.clear();
    empties.insert(lost);
    start(lost);
    auto change = [&](auto&& how) {
        const Members was = hosts[l].server->group(group)->members();
        Members becomes = was;
        how(becomes);
        const ChangeGroup request{group, was, becomes};
        hosts[l].server->hostRequest(now(), ++tokens, wire::encode(HostRequest{request}), hosts[l].out);
    };
    const Member fresh{ServerId{lost}, storeOf(lost)};
    change([&](Members& m) { m.learners = {fresh}; });
    run(kSecond);
    for (u32 o = 1; o <= 3; o++) cut.insert({l, lost}), cut.insert({lost, o}); // it never hears of this
    change([&](Members& m) { m.learners.clear(), m.voters.push_back(fresh); });
    settle();
    ASSERT_TRUE(hosts[l].server->group(group)->members().votes(fresh));
    crash(l);
    crash(lost);
    hosts[lost].kv = store::KvMemory();
    EXPECT_TRUE(hosts[lost].kv.write(rows) && hosts[lost].kv.flush());
    std::erase_if(hosts[lost].log, [](const RecordToWrite& r) { return r.kind != RecordKind::kVote; });
    cut.clear();
    start(l);
    start(lost);
    EXPECT_EQ(hosts[lost].server->group(group), nullptr) << "it does not know which member it is";
    run(10 * kSecond);
    ASSERT_NE(leader(group), 0u) << "three of four are there, and have all";
    EXPECT_EQ(hosts[lost].server->appliedIndexes(), hosts[leader(group)].server->appliedIndexes());
}
TEST_F(Hosts, ALearnerThatRestartsBeforeItHasRowsIsStillFed) {
    format(group);
    run(3 * kSecond);
    u32 l = leader(group);
    const u32 lost = l % 3 + 1;
    crash(lost);
    hosts[lost].log.clear();
    hosts[lost].kv = store::KvMemory();
    empties.insert(lost);
    start(lost);
    Members was = hosts[l].server->group(group)->members(), becomes = was;
    becomes.learners = {{ServerId{lost}, storeOf(lost)}};
    hosts[l].server->hostRequest(now(), ++tokens, wire::encode(HostRequest{ChangeGroup{group, was, becomes}}), hosts[l].out);
    for (u32 o = 1; o <= 3; o++) cut.insert({lost, o}); // nobody hears what it has
    for (int i = 0; i < 200 && hosts[lost].log.empty(); i++) run(kTickNs);
    ASSERT_FALSE(hosts[lost].log.empty());
    crash(lost);
    cut.clear();
    hosts[lost].log.resize(1); // the vote
    ASSERT_EQ(hosts[lost].log[0].kind, RecordKind::kVote);
    start(lost);
    run(5 * kSecond);
    EXPECT_EQ(hosts[lost].server->appliedIndexes(), hosts[leader(group)].server->appliedIndexes());
}
TEST_F(Hosts, BytesFromAnywhereStopNobody) {
    format(group);
    run(3 * kSecond);
    Random random(3);
    PeerFrame frame;
    frame.from = {ServerId{2}, 1002};
    frame.beat = Beat{1, Monotonic{~0ull}, 5, true, {{group, Term{~0ull}}, {groupOf(ShardId{9}), Term{1}}}};
    frame.heard = Heard{1, Monotonic{clock}, true, {group}};
    GroupMessage m;
    m.group = group;
    m.from = {ServerId{2}, 1002};
    m.to = {ServerId{1}, 1001};
    m.term = Term{3};
    m.body = Append{};
    frame.messages = {m, m};
    const std::string whole = wire::encode(frame);
    for (int i = 0; i < 5000; i++) {
        std::string bytes = whole.substr(0, random.oneIn(5) ? random.below(whole.size()) : whole.size());
        for (u64 n = random.below(4); n > 0 && !bytes.empty(); n--)
            bytes[random.below(bytes.size())] = static_cast<char>(random.next());
        hosts[1].server->frame(now(), bytes, hosts[1].out);
        if (i % 100 == 0) run(kTickNs);
    }
    run(5 * kSecond);
    EXPECT_NE(leader(group), 0u);
}

} // namespace
} // namespace skua::raft
