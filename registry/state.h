// Registry: the topology, agreed (design: registry.md). Asked rarely, never on the path of a read or write.
//
//   servers and disks register ──► rows, version + 1 ──► everybody's GetMap is answered
//   heartbeats, every second ──► the leader's memory ──► up or not (hints), and after long silence Decide
//   servers of a role are there ──► SetGroup ──► Format told to the members ──► SetGroup formatted
//
// Rows: schema.h. Threads: the host's one.
#pragma once

#include <map>
#include <set>
#include "raft/state_machine.h"
#include "registry/schema.h"

namespace skua::registry {

inline constexpr u64 kRetryFormatNs = 500 * kMillisecond;
inline constexpr u64 kRetryMendNs = 200 * kMillisecond;
inline constexpr u64 kSpreadLeadersNs = 5 * kSecond;
inline constexpr u64 kMostWallOff = 10 * kMinute;

class Registry final : public raft::StateMachine {
public:
    Class classify(std::string_view body) const override;
    Result<> admit(const store::Reader& r, raft::Time now, const raft::Command& c) override;
    void apply(store::Transaction& t, raft::Time now, const raft::Command& c, raft::Outcome& out) override;
    std::optional<raft::Answer> query(const store::Reader& r, raft::Time now, const raft::Command& c, bool last) override;
    raft::Answer tell(const store::Reader& r, raft::Time now, const raft::Command& c, raft::Leader& leader) override;
    void started(const store::Reader& r, raft::Time now, raft::Leader& leader) override;
    void stopped() override;
    void lead(const store::Reader& r, raft::Time now, raft::Leader& leader) override;
    void heard(const store::Reader& r, raft::Time now, u64 token, const Result<std::string>& reply,
               raft::Leader& leader) override;
    void format(store::Transaction& t, raft::Time now, std::string_view config) override;

private:
    struct Beat {
        DiskHint told;
        Age up_at; // when it was last said to be up; 0: never
    };
    struct Heard { // of one server, by its heartbeats
        Age at;
        Incarnation incarnation;
        std::map<BlockServiceId, Beat> disks; // its own, as the map has it
        std::vector<GroupId> leads;
        bool low = false;
    };
    struct Telling {   // a member that is being told of its group
        u64 token = 0; // 0: not under way
        bool done = false;
        Age not_before;
    };
    void assignGroups(const store::Reader& r, const Meta& meta, raft::Time now, raft::Leader& leader);
    bool formatGroups(const store::Reader& r, const Meta& meta, raft::Time now, raft::Leader& leader);
    // members.cc
    void noteMembers(const store::Reader& r, const GroupRow& told, raft::Leader& leader);
    void mendGroups(const store::Reader& r, raft::Time now, raft::Leader& leader);
    void spreadLeaders(const store::Reader& r, raft::Time now, raft::Leader& leader);
    std::optional<ServerRow> leaderOf(const store::Reader& r, GroupId group, Age now) const;
    void judgeDisks(const store::Reader& r, const Meta& meta, raft::Time now, raft::Leader& leader);
    std::vector<DiskHint> diskHints(const store::Reader& r, Age now) const;
    std::vector<ServerHint> serverHints(const store::Reader& r, Age now) const;

    // The leader's memory; empty without leadership.
    std::map<ServerId, Heard> heard_;
    std::map<std::pair<GroupId, ServerId>, Telling> telling_;
    std::map<GroupId, MapVersion> assigned_; // proposed at this version, not applied yet
    std::map<GroupId, Telling> mending_;     // the leader of a group was told to change its members, or to hand over
    Age decidedAt_, leadsAt_, mendedAt_;
    MapVersion mendedFor_; // every group of this version has the members that it shall have
    Age startedAt_;
    std::set<BlockServiceId> waiting_; // silent, and too many domains are: said once
    MapVersion settled_;               // every group of this version has members, all formatted
    u64 lastToken_ = 0;
};

// What is always true of the rows; problems in words (tests, fsck).
std::vector<std::string> problems(const store::Reader& r);

} // namespace skua::registry
