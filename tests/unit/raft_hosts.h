// Several hosts in virtual time, with disks and frames that the test looks into: each has a production Server on a Kv in memory.
#pragma once

#include <gtest/gtest.h>
#include <set>
#include "core/store/kv_memory.h"
#include "raft/server.h"
#include "raft/server_leader.h"
#include "registry/state.h"

namespace skua::raft {

// Appends each command's bytes to one row; a query reads it.
class Appender final : public StateMachine {
public:
    explicit Appender(int& leads) : leads_(leads) {}
    Class classify(std::string_view body) const override { return body == "get" ? Class::kQuery : Class::kCommand; }
    bool frees(std::string_view body) const override { return body.starts_with("del"); }
    void apply(store::Transaction& t, Time, const Command& c, Outcome& out) override {
        if (c.body.size() > 1000) {
            t.put("big " + std::string(c.body.substr(0, 6)), std::string(c.body));
            out.answer = Answer{};
            return;
        }
        const std::string all = t.get("all").value_or("") + std::string(c.body) + ";";
        t.put("all", all);
        out.answer = Answer{{}, std::to_string(all.size())};
    }
    std::optional<Answer> query(const store::Reader& r, Time, const Command&, bool) override {
        return Answer{{}, r.get("all").value_or("")};
    }
    void started(const store::Reader&, Time, Leader&) override { leads_++; }
    void stopped() override { leads_--; }

private:
    int& leads_;
};

class Hosts : public testing::Test {
protected:
    struct Host {
        u32 number = 0;
        store::KvMemory kv;
        std::vector<RecordToWrite> log; // durable
        std::vector<std::pair<u64, std::vector<RecordToWrite>>> writes;
        std::unique_ptr<Server> server;
        Effects out;
        std::map<u64, net::GroupReply> replies;
        std::set<u64> lost;
        std::map<u64, Result<std::string>> hosts;
        int leads = 0;
        std::vector<std::string> said;
    };
    void SetUp() override { make(3); }
    void make(u32 n) {
        for (u32 i = 1; i <= n; i++) {
            hosts[i].number = i;
            start(i);
        }
    }
    void start(u32 i) {
        Host& h = hosts[i];
        ServerOptions o;
        o.seed = 7 * i + lives;
        o.store = storeOf(i);
        o.process = ++lives;
        o.keep_total_bytes = keepTotal;
        h.leads = 0;
        auto machine = [&h](GroupId g) -> std::unique_ptr<StateMachine> {
            if (g == kRegistryGroup) return std::make_unique<registry::Registry>();
            return std::make_unique<Appender>(h.leads);
        };
        h.server = std::make_unique<Server>(h.kv, machine, std::move(o));
        for (const auto& r : h.log) h.server->recover(r.kind, r.group, r.payload);
        h.server->begin(now(), h.out);
    }
    u64 storeOf(u32 i) const { return (empties.contains(i) ? 2000 : 1000) + i; }
    void crash(u32 i) {
        Host& h = hosts[i];
        h.server.reset();
        h.kv.crash();
        h.out = {};
        h.writes.clear();
    }
    Moment now(u32 host = 0) const {
        const auto off = ahead.find(host);
        return {Monotonic{clock}, Wall{1'700'000'000 * kSecond + clock + (off == ahead.end() ? 0 : off->second)}};
    }
    void format(GroupId group, std::string config = {}) {
        Format f;
        f.config.value = std::move(config);
        f.cluster = ClusterId{1};
        f.group = group;
        f.made = Wall{5};
        for (auto& [i, _] : hosts) f.members.push_back({ServerId{i}, 1000 + i});
        for (auto& [i, h] : hosts) h.server->hostRequest(now(), ++tokens, wire::encode(HostRequest{f}), h.out);
    }
    // Everything that can happen in this moment.
    void settle() {
        for (int round = 0; round < 60; round++) {
            bool busy = false;
            std::vector<Effects::Frame> going;
            for (auto& [i, h] : hosts) {
                if (!h.server) continue;
                h.server->flush(now(i), h.out, logFull.contains(i) ? 0 : 2);
                Effects due = std::move(h.out);
                h.out = {};
                if (due.write) h.writes.emplace_back(due.write, std::move(due.log));
                for (auto& r : due.replies) h.replies.emplace(r.token, r.reply);
                for (auto& r : due.host_replies) h.hosts.emplace(r.token, r.reply);
                for (u64 t : due.lost) h.lost.insert(t);
                for (std::string& line : due.said) h.said.push_back(std::move(line));
                if (due.flush_rows) {
                    EXPECT_TRUE(h.kv.flush());
                    h.server->rowsFlushed(now(), due.flush_rows, h.out);
                    busy = true;
                }
                for (auto& f : due.frames) {
                    frames++;
                    bytes += f.body.size();
                    if (!cut.contains({i, f.to.value})) going.push_back(f);
                }
                for (auto& [number, records] : std::exchange(h.writes, {})) {
                    busy = true;
                    writesDone++;
                    for (auto& r : records) h.log.push_back(std::move(r));
                    h.server->durable(now(), number, h.out);
                }
                if (h.server->behind()) {
                    busy = true;
                    h.server->catchUp(now(i), h.out);
                }
            }
            for (auto& f : going) {
                busy = true;
                if (auto at = hosts.find(f.to.value); at != hosts.end() && at->second.server)
                    at->second.server->frame(now(at->first), f.body, at->second.out);
            }
            if (!busy) return;
        }
    }
    void run(u64 time) {
        for (const u64 end = clock + time; clock < end;) {
            clock += kTickNs;
            for (auto& [i, h] : hosts)
                if (h.server) h.server->tick(now(i), h.out);
            settle();
        }
    }
    u32 leader(GroupId group) {
        u32 found = 0;
        for (auto& [i, h] : hosts)
            if (h.server && h.server->leads(group) &&
                (!found || h.server->group(group)->term() > hosts[found].server->group(group)->term()))
                found = i;
        return found;
    }
    u64 ask(u32 host, const std::string& body, u64 request = 0, GroupId group = groupOf(ShardId{0}), bool server = true) {
        net::GroupRequest r;
        r.group = group;
        r.client = ClientId{request ? 7u : 0u};
        r.request = r.lowest = RequestId{request};
        r.body.value = body;
        r.base = Age{1};
        hosts[host].server->request(now(), ++tokens, server, std::move(r), hosts[host].out);
        return tokens;
    }
    std::string answer(u32 host, u64 token) {
        Host& h = hosts[host];
        if (h.lost.contains(token)) return "lost";
        auto at = h.replies.find(token);
        if (at == h.replies.end()) return "none";
        return at->second.error.code == Code::Ok ? at->second.body.value : std::string(name(at->second.error.code));
    }
    void cutOff(u32 i) {
        for (u32 o = 1; o <= 9; o++) cut.insert({i, o}), cut.insert({o, i});
    }

    std::map<u32, Host> hosts;
    std::set<std::pair<u32, u32>> cut;
    std::map<u32, u64> ahead; // clocks, by ns
    std::set<u32> logFull;    // it takes nothing just now
    std::set<u32> empties;    // came back with another store
    std::size_t keepTotal = kKeepTotalBytes;
    u64 clock = kHour, tokens = 0, lives = 0, frames = 0, bytes = 0, writesDone = 0;
    const GroupId group = groupOf(ShardId{0});
};

} // namespace skua::raft
