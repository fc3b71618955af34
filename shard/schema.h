// What a shard keeps (metadata.md, "Tables of a shard"): one Table per kind of row, letters never reused.
//
//   letter key                          row                     written by
//   i  inode                            Inode                   inodes.cc
//   e  dir hash name                    Entry                   entries.cc
//   p  dir hash name ~until             PastEntryRow            entries.cc
//   v  inode ~until                     PastContentRow          contents.cc
//   s  content offset                   SpanRecord              contents.cc
//   o  service content                  OnService               contents.cc
//   t  content                          StagedRow               contents.cc
//   f  content                          EditedRow               contents.cc
//   d  content since part               ReplacedRow             contents.cc
//   r  reservation                      ReservationRow          reservations.cc
//   b  reservation content word         UsedRow                 reservations.cc
//   h  inode-or-content client          HoldRow                 holds.cc
//   x  scale time kind id extra name    Expiry                  expiry.cc
//   g  service block                    Nothing                 contents.cc
//   q  shard number                     OutboxRow               outbox.cc
//   n  shard                            OutboxHead              outbox.cc
//   j  shard                            InboxHead               outbox.cc
//   c  txn step                         StepAnswer              ops/step.cc
//   w                                   Watermark               ops/step.cc
//   m                                   ShardConfig             state.cc, once
//   k                                   Counters                reservations.cc
//   u                                   Totals                  totals.cc
//   y                                   Purged                  expiry.cc
//
// `l` is kept for locks. Remembered answers of clients and the applied index are the host's.
#pragma once

#include "core/store/table.h"
#include "shard/messages.h"

namespace skua::shard {

struct Nothing {
    FIELDS()
};

// --- inodes ----------------------------------------------------------------------------------------------

struct Directory {
    InodeId parent;      // the root is its own
    u32 entries = 0;     // names that can be seen
    bool closed = false; // removed; its row stays until its past ends
    Policy own, resolved;
    FIELDS(parent, entries, closed, own, resolved)
};
// nlink and pins may be below zero for a moment: counts from different shards overtake each other.
struct Inode {
    u32 mode = 0, uid = 0, gid = 0;
    i32 nlink = 0; // entries that name it; of a directory: 2 + subdirectories
    i32 pins = 0;  // past entries that name it
    Wall atime, mtime, ctime, birth;
    u64 size = 0;
    u64 stored = 0;    // logical bytes that are stored (holes are not)
    ContentId content; // files; 0 else
    Generation generation;
    std::optional<Bytes> inline_bytes; // of the current content; then it has no spans
    std::optional<Directory> directory;
    std::string target; // symlinks
    u64 device = 0;
    std::vector<Xattr> xattrs; // by name
    FIELDS(mode, uid, gid, nlink, pins, atime, mtime, ctime, birth, size, stored, content, generation, inline_bytes, directory,
           target, device, xattrs)
};
struct InodeKey {
    InodeId inode;
    FIELDS(inode)
};
using Inodes = store::Table<'i', InodeKey, Inode>;

// --- entries ----------------------------------------------------------------------------------------------

// No target: an absent name that a transaction holds free; only `lock` counts, readers do not see it.
struct Entry {
    InodeId target;
    Wall edge; // when the name came to name it
    TxnId lock;
    FIELDS(target, edge, lock)
};
struct EntryKey {
    InodeId dir;
    u64 hash = 0; // entries::hashOf(name)
    std::string name;
    FIELDS(dir, hash, name)
};
struct DirPrefix {
    InodeId dir;
    FIELDS(dir)
};
using Entries = store::Table<'e', EntryKey, Entry>;

// --- when something is to be done ----------------------------------------------------------------------------

enum class Scale : u8 { kWall = 0, kAge = 1 };
// A moment on one of the log's two clocks.
struct Due {
    Scale scale{};
    u64 time = 0;
    FIELDS(scale, time)
    static Due at(Wall w) { return {Scale::kWall, w.value}; }
    static Due at(Age a) { return {Scale::kAge, a.value}; }
};
enum class ExpiryKind : u8 {
    kPastEntry = 1,       // id dir, extra until, name        its retention ends
    kPastContent = 2,     // id inode, extra until            its retention ends
    kHold = 3,            // id inode or content, extra client
    kReservation = 4,     // id reservation
    kStaged = 5,          // id content                       the deadline of staged spans
    kReplacedSpan = 6,    // id content, extra since (wall)   blocks that an edit or repair replaced
    kDyingContent = 7,    // id content                       its spans are removed in bounded steps
    kDyingInode = 8,      // id inode                         its past contents are, too
    kLateAnswer = 9,      // id shard, extra number           an answer that waits for an outbox row
    kRetiredService = 10, // id service                       its garbage rows are removed in bounded steps
    kUsedIds = 11,        // id reservation                   what an ended one had used, likewise
};
// Keys must be unique: whoever files under a time that may come twice puts what differs into id, extra, name.
struct ExpiryKey {
    Scale scale{};
    u64 time = 0;
    ExpiryKind kind{};
    u64 id = 0, extra = 0;
    std::string name;
    FIELDS(scale, time, kind, id, extra, name)
};
struct Expiry {
    FIELDS()
};
using Expiries = store::Table<'x', ExpiryKey, Expiry>;

// --- the past -----------------------------------------------------------------------------------------------

struct PastEntryRow {
    InodeId target;
    Wall purge;     // retention ends
    Age not_before; // whatever the retention
    Due filed;      // where its expiry row is
    TxnId lock;     // a transaction brings it back: it has no expiry row
    FIELDS(target, purge, not_before, filed, lock)
};
struct PastEntryKey {
    InodeId dir;
    u64 hash = 0;
    std::string name;
    wire::Newest until;
    FIELDS(dir, hash, name, until)
};
struct PastNamePrefix {
    InodeId dir;
    u64 hash = 0;
    std::string name;
    FIELDS(dir, hash, name)
};
using PastEntries = store::Table<'p', PastEntryKey, PastEntryRow>;

struct PastContentRow {
    ContentId content;
    Generation generation;
    u64 size = 0, stored = 0;
    Wall mtime;
    std::optional<Bytes> inline_bytes;
    Wall purge;
    Age not_before;
    Due filed;
    FIELDS(content, generation, size, stored, mtime, inline_bytes, purge, not_before, filed)
};
struct PastContentKey {
    InodeId inode;
    wire::Newest until;
    FIELDS(inode, until)
};
using PastContentRows = store::Table<'v', PastContentKey, PastContentRow>;

// --- contents ------------------------------------------------------------------------------------------------

struct SpanKey {
    ContentId content;
    u64 offset = 0;
    FIELDS(content, offset)
};
struct ContentPrefix {
    ContentId content;
    FIELDS(content)
};
using SpanRows = store::Table<'s', SpanKey, SpanRecord>;

struct OnServiceKey {
    BlockServiceId service; // 0: blocks that are owed or bad
    ContentId content;
    FIELDS(service, content)
};
struct ServicePrefix {
    BlockServiceId service;
    FIELDS(service)
};
struct OnService {
    u32 blocks = 0; // of the content, there
    FIELDS(blocks)
};
using OnServices = store::Table<'o', OnServiceKey, OnService>;

struct StagedRow {
    ReservationId reservation;
    Age deadline;
    u64 covered = 0; // 0..covered is staged, without a gap
    u32 spans = 0;
    u64 stored = 0;
    FIELDS(reservation, deadline, covered, spans, stored)
};
struct ContentKey {
    ContentId content;
    FIELDS(content)
};
using Staged = store::Table<'t', ContentKey, StagedRow>;

struct GarbageKey {
    BlockServiceId service;
    BlockId block;
    FIELDS(service, block)
};
using Garbage = store::Table<'g', GarbageKey, Nothing>;

// Contents that were edited; all others have their first generation.
struct EditedRow {
    Generation generation;
    FIELDS(generation)
};
using Edited = store::Table<'f', ContentKey, EditedRow>;

// Blocks that an edit or a repair replaced at `since`: they stay readable for kSafeAge, then are garbage.
struct ReplacedKey {
    ContentId content;
    Wall since;
    u32 part = 0;
    FIELDS(content, since, part)
};
struct ReplacedPrefix {
    ContentId content;
    Wall since;
    FIELDS(content, since)
};
struct ReplacedRow {
    std::vector<BlockRef> blocks;
    FIELDS(blocks)
};
using Replaced = store::Table<'d', ReplacedKey, ReplacedRow>;

// --- rights -----------------------------------------------------------------------------------------------------

struct ReservationRow {
    ClientId client; // 0: the leader's own (repair)
    u64 first = 0;
    u32 count = 0;
    Age until;
    FIELDS(client, first, count, until)
};
struct ReservationKey {
    ReservationId reservation;
    FIELDS(reservation)
};
using Reservations = store::Table<'r', ReservationKey, ReservationRow>;

// A content's row (word 0) says that its id is used; its bits, which blocks 64 * word + bit of it are.
struct UsedKey {
    ReservationId reservation;
    ContentId content;
    u32 word = 0;
    FIELDS(reservation, content, word)
};
struct UsedRow {
    u64 bits = 0;
    FIELDS(bits)
};
using Used = store::Table<'b', UsedKey, UsedRow>;

struct HoldKey {
    u64 id = 0; // InodeId or ContentId: their types differ
    ClientId client;
    FIELDS(id, client)
};
struct HoldPrefix {
    u64 id = 0;
    FIELDS(id)
};
struct HoldRow {
    Age until;
    FIELDS(until)
};
using Holds = store::Table<'h', HoldKey, HoldRow>;

// --- between shards ------------------------------------------------------------------------------------------------

struct OutboxKey {
    ShardId to;
    u64 number = 0;
    FIELDS(to, number)
};
// Who waits for the acknowledgement with an answer in hand: client 0 is nobody.
struct OutboxRow {
    OutboxMessage message;
    ClientId client;
    RequestId request;
    Bytes reply;
    Due late; // the answer goes then at the latest
    FIELDS(message, client, request, reply, late)
};
using Outbox = store::Table<'q', OutboxKey, OutboxRow>;
struct ShardKey {
    ShardId shard;
    FIELDS(shard)
};
struct OutboxHead {
    u64 last = 0; // number given
    FIELDS(last)
};
using OutboxHeads = store::Table<'n', ShardKey, OutboxHead>;
struct InboxHead {
    u64 last = 0; // number taken
    FIELDS(last)
};
using InboxHeads = store::Table<'j', ShardKey, InboxHead>;

// --- the coordinator's steps -------------------------------------------------------------------------------------------

struct StepKey {
    TxnId txn;
    u32 step = 0;
    FIELDS(txn, step)
};
struct StepAnswer {
    Error error; // refusals are remembered too
    Bytes reply;
    FIELDS(error, reply)
};
using StepAnswers = store::Table<'c', StepKey, StepAnswer>;

// --- one row each ----------------------------------------------------------------------------------------------------------

struct OnlyKey {
    FIELDS()
};
struct WatermarkRow {
    TxnId txn; // all below are finished
    FIELDS(txn)
};
using Watermark = store::Table<'w', OnlyKey, WatermarkRow>;
using Config = store::Table<'m', OnlyKey, ShardConfig>;
struct CounterRow {
    u32 last_reservation = 0;
    u64 last_id = 0; // of inodes and contents; directories are the coordinator's
    FIELDS(last_reservation, last_id)
};
using Counters = store::Table<'k', OnlyKey, CounterRow>;
// Nothing below these is in the expiry table: scans begin here and not among the tombstones.
struct PurgedRow {
    u64 wall = 0, age = 0;
    FIELDS(wall, age)
};
using Purged = store::Table<'y', OnlyKey, PurgedRow>;
// What Usage answers. Signed inside: differences are added.
struct TotalsRow {
    i64 inodes = 0, files = 0, directories = 0, bytes = 0, past_bytes = 0, garbage_blocks = 0;
    FIELDS(inodes, files, directories, bytes, past_bytes, garbage_blocks)
};
using Totals = store::Table<'u', OnlyKey, TotalsRow>;

} // namespace skua::shard
