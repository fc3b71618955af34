#include "tests/sim/witness.h"

#include <xxhash.h>
#include <algorithm>

namespace skua::sim {

namespace {

u64 hashOf(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

// A production machine, watched.
class Watched final : public raft::StateMachine {
public:
    Watched(World& world, Witness& witness, GroupId group, u64 store, std::unique_ptr<raft::StateMachine> machine,
            std::shared_ptr<bool> replaying)
        : world_(world),
          witness_(witness),
          group_(group),
          store_(store),
          machine_(std::move(machine)),
          replaying_(std::move(replaying)) {}

    Class classify(std::string_view body) const override { return machine_->classify(body); }
    bool background(std::string_view body) const override { return machine_->background(body); }
    Result<> admit(const store::Reader& r, raft::Time t, const raft::Command& c) override { return machine_->admit(r, t, c); }
    void apply(store::Transaction& rows, raft::Time now, const raft::Command& c, raft::Outcome& out) override {
        // wall strictly increases: it names the entry.
        auto [at, _] = witness_.entries.emplace(std::pair(group_.value, now.wall.value), hashOf(c.body));
        if (at->second != hashOf(c.body)) world_.fail(fmt::format("group {} has applied two commands of one time", group_.value));
        const auto before_it = raft::AppliedRow::get(rows, {});
        if (!before_it || before_it->wall >= now.wall)
            world_.fail(fmt::format("group {} applies an entry to rows that have it already", group_.value));
        u64& newest = witness_.newest[{group_.value, store_}];
        const bool again = now.wall.value <= newest;
        newest = std::max(newest, now.wall.value);
        if (!again && *replaying_) world_.count("fault crash after durable, before applied");
        if (c.client.value != 0 && c.request.value != 0) {
            auto [request, first] =
                witness_.requests.emplace(std::tuple(group_.value, c.client.value, c.request.value), now.wall.value);
            if (!first && request->second != now.wall.value)
                world_.fail(fmt::format("group {} has applied request {} of client {} twice", group_.value, c.request.value,
                                        c.client.value));
        }
        machine_->apply(rows, now, c, out);
        if (rows.failed()) return; // a read failed: nothing comes of it
        std::string all;
        for (const auto& [key, value] : rows.writes()) all += key + (value ? "=" + *value : "-");
        auto add = [&](const raft::Answer& a) { all += "!" + a.error.message() + "/" + a.body; };
        if (out.answer) add(*out.answer);
        for (const auto& late : out.late) add(late.answer);
        auto [before, first_time] = witness_.outcomes.emplace(std::pair(group_.value, now.wall.value), hashOf(all));
        if (again) world_.count("entries replayed");
        else if (!first_time) world_.count("entries applied by another replica");
        if (!first_time && before->second != hashOf(all))
            world_.fail(fmt::format("group {} has applied an entry again, and something else came of it", group_.value));
    }
    std::optional<raft::Answer> query(const store::Reader& r, raft::Time t, const raft::Command& c, bool last) override {
        return machine_->query(r, t, c, last);
    }
    raft::Answer tell(const store::Reader& r, raft::Time t, const raft::Command& c, raft::Leader& l) override {
        return machine_->tell(r, t, c, l);
    }
    void started(const store::Reader& r, raft::Time t, raft::Leader& l) override { machine_->started(r, t, l); }
    void stopped() override { machine_->stopped(); }
    void lead(const store::Reader& r, raft::Time t, raft::Leader& l) override { machine_->lead(r, t, l); }
    void heard(const store::Reader& r, raft::Time t, u64 token, const Result<std::string>& reply, raft::Leader& l) override {
        machine_->heard(r, t, token, reply, l);
    }
    void format(store::Transaction& t, raft::Time now, std::string_view config) override { machine_->format(t, now, config); }

private:
    World& world_;
    Witness& witness_;
    const GroupId group_;
    const u64 store_;
    std::unique_ptr<raft::StateMachine> machine_;
    const std::shared_ptr<bool> replaying_;
};

} // namespace

std::unique_ptr<raft::StateMachine> watch(World& world, Witness& witness, GroupId group, u64 store,
                                          std::unique_ptr<raft::StateMachine> machine, std::shared_ptr<bool> replaying) {
    return std::make_unique<Watched>(world, witness, group, store, std::move(machine), std::move(replaying));
}

void Witness::look(World& world, const raft::Server& server, std::map<GroupId, Index>& seen) {
    for (const auto& [id, applied] : server.appliedIndexes()) {
        const raft::Group* group = server.group(id);
        if (!group) continue;
        Index& from = seen[id];
        Index& most = last[id.value];
        for (; from < applied; from.value++) {
            const Index i{from.value + 1};
            if (!group->log().has(i)) continue; // of a snapshot, or not kept
            auto [entry, _] = committed.emplace(std::pair(id.value, i.value), hashOf(*group->log().at(i).bytes));
            if (entry->second != hashOf(*group->log().at(i).bytes))
                world.fail(fmt::format("group {} has applied two entries at index {}", id.value, i.value));
        }
        most = std::max(most, applied);
    }
}

void Witness::compare(World& world, const raft::Server& server, const store::Kv& kv, std::map<GroupId, Index>& seen) {
    for (const auto& [id, _] : server.appliedIndexes()) {
        std::string prefix, all;
        wire::putKey(prefix, id);
        const store::Prefixed own(kv, prefix);
        if (raft::InstallingRow::has(own, {})) continue; // they are nobody's
        // As the rows have it: those of a snapshot are there before the group is told.
        const Index applied = raft::AppliedRow::get(own, {}).value_or(raft::Applied{}).index;
        if (std::exchange(seen[id], applied) == applied) continue;
        own.scan({}, {}, [&](std::string_view key, std::string_view value) {
            all.append(key).append("=").append(value).append(";");
            return true;
        });
        if (kv.failed()) { // they are spoilt: what is there is no answer
            kv.forgive();
            continue;
        }
        auto [known, first] = rows.emplace(std::pair(id.value, applied.value), hashOf(all));
        if (!first) world.count("rows compared");
        if (known->second != hashOf(all))
            world.fail(fmt::format("replicas of group {} that have applied entry {} have other rows", id.value, applied.value));
    }
}

} // namespace skua::sim
