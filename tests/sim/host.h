// Machine and Host: a metadata process. The Machine is what outlives it (rows, log); a Host is one life of the
// production raft::Server on them, with a shell of made-up disk, network and clocks that keeps the promises of
// raft/shell.h:
//
//   flush() ─► write n, durable after a while, in order ─► durable(n) ─► answers leave
//   crash: writes that are not durable are gone, or there, or torn (log_disk.h), rows go back to their
//          last flush; the next life replays the log over them
//
// A dead Host stays until its tasks have ended; it touches nothing any more.
#pragma once

#include <memory>
#include "core/net/group_caller.h"
#include "core/net/keys.h"
#include "core/store/kv_memory.h"
#include "core/store/row_buffer.h"
#include "raft/directory.h"
#include "raft/log_cut.h"
#include "raft/server.h"
#include "tests/sim/log_disk.h"
#include "tests/sim/network.h"
#include "tests/sim/promises.h"
#include "tests/sim/witness.h"

namespace skua::sim {

// Bugs that are planted to see that they are found.
struct Bugs {
    bool answer_early = false;   // before the write is durable
    bool forget_answers = false; // remembered answers are lost in a crash
    bool cut_early = false;      // the log is cut before the rows are flushed
    bool erase_kept = false;     // block services take "keep" for "dead"
    bool receipt_early = false;  // block services give receipts before the block is durable
};

struct Cluster;

class Host;

class Machine {
public:
    Machine(Cluster& cluster, u32 node, std::string name, registry::ServerRole role, u64 store)
        : cluster(cluster), node(node), name(std::move(name)), role(role), store(store) {}

    void start();
    void crash();
    void wipe();                  // while it is down: it comes back with an empty folder, which is another store
    void loseRows(GroupId group); // while it is down: as if a snapshot of them had been half installed
    bool up() const { return life != nullptr; }

    Cluster& cluster;
    const u32 node;
    const std::string name;
    const registry::ServerRole role;
    u64 store;
    u32 wiped = 0;
    // Its disk is broken: rows cannot be written; then neither can the log.
    enum class Broken : u8 { kNo, kRows, kLog };
    Broken broken = Broken::kNo;
    // On its disk. With none rows wait, and so does the log.
    enum class Room : u8 { kPlenty, kLittle, kNone };
    Room room = Room::kPlenty;
    store::KvMemory kv;
    LogDisk log;
    Disk disk; // what its records say, also of those that are gone
    std::shared_ptr<Host> life;
    std::string address;
    u32 lives = 0;
};

class Host final : public Endpoint, public std::enable_shared_from_this<Host> {
public:
    Host(Machine& machine, i64 rate_ppm, i64 wall_offset);
    ~Host() override;
    void begin();
    void die();
    // Its processor is elsewhere until then: nothing is done, what comes waits, the clocks go on.
    void stop(u64 until);
    void setWall(i64 offset_ns) { clock_.setWall(offset_ns); }
    raft::Server& server() { return *server_; }
    bool settle(); // the machine has then all that was applied

    void receive(u32 from, bool from_server, net::Message message, Answer answer) override;

private:
    struct Writing {
        u64 number = 0; // 0: none of the server's, a mark
        std::vector<raft::RecordToWrite> entries;
    };
    // Then, if it lives and is not stopped.
    void later(u64 when, std::function<void(Host&)> what);
    raft::Moment now() { return {clock_.now(), clock_.wall()}; }
    void soon(); // the turn's end, a little later
    std::unique_ptr<raft::Server> makeServer();
    void end(const char* why); // of this process, by itself
    void carryOut();
    void post(const raft::Effects::Frame& frame);
    void writeLog(u64 number, std::vector<raft::RecordToWrite> records, u64 takes);
    void writeDone();
    std::string readLog();
    void dropSegments();
    void flushFor(u64 number);
    void rowsAreDurable();
    net::Address addressOf(ServerId server);
    void tick();
    void flushRows();
    Task<> call(GroupId group, GroupId to, std::string body, u64 token);
    Task<> tell(GroupId group, std::string address, std::string body, u64 token);
    Task<> presence();
    std::vector<registry::GroupRow> otherThanMapped() const;
    void noteLeads();
    Task<> bury();

    Machine& machine_;
    World& world_;
    NodeClock clock_;
    SimTransport transport_;
    raft::Directory directory_;
    net::GroupCaller caller_, registrar_;
    std::unique_ptr<store::RowBuffer> rows_;
    std::unique_ptr<raft::Server> server_;
    std::shared_ptr<bool> replays_; // until the first write is durable: what the log had is applied with it
    raft::Effects effects_;
    std::map<u64, Answer> answers_;
    std::map<GroupId, Index> seen_, compared_; // by the witness
    Promises::Seen promised_;
    raft::LogCut cut_;
    std::deque<Writing> writing_;
    u64 lastWrote_ = 0;
    u64 diskFree_ = 0; // when the disk is done with what it has
    u64 lastToken_ = 0;
    bool turn_ = false, dead_ = false;
    Event leadsChanged_;
    std::size_t leads_ = 0;
    TaskGroup tasks_;
    std::optional<Task<>> burial_;
};

} // namespace skua::sim
