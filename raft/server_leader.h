// The Leader that a machine gets during a call: its wishes become effects of this turn.
#pragma once

#include "raft/server.h"

namespace skua::raft {

std::string prefixOf(GroupId group); // of all keys of the group's rows
// Of AppliedRow and InstallingRow, behind that.
inline constexpr const char* kUnreadable = "a read of the rows failed; look at the disk";
inline const std::string kAppliedKey(1, '\x01'), kInstallingKey(1, '\x05');

class Server::LeaderOf final : public Leader {
public:
    LeaderOf(Server& server, Moment now, Replica& group, Effects& out) : server_(server), now_(now), group_(group), out_(out) {}
    void propose(std::string body) override {
        Entry entry;
        entry.kind = EntryKind::kCommand;
        entry.server = entry.own = true;
        entry.payload.value = std::move(body);
        (void)server_.append(now_, group_, std::move(entry), out_); // may be lost, as all of a leader's own are
    }
    void call(GroupId to, std::string body, u64 token) override { out_.calls.push_back({group_.id, to, std::move(body), token}); }
    void tellHost(std::string address, std::string body, u64 token) override {
        out_.tells.push_back({group_.id, std::move(address), std::move(body), token});
    }
    Random& random() override { return server_.random_; }

private:
    Server& server_;
    const Moment now_;
    Replica& group_;
    Effects& out_;
};

} // namespace skua::raft
