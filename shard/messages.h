// What a shard is asked (design: metadata.md, "Operations of a shard"). Reads, the clients' writes, the
// steps of the coordinator, and messages between shards. Tags below 64 are reads, from 64 on logged.
//
// Names are 1..255 bytes without '/' and NUL, not "." or "..". Whoever makes an inode or writes blocks
// names a reservation of this shard that is its own (ReserveIds): one range of counters serves inode ids
// of every type and content ids alike.
#pragma once

#include <optional>
#include <variant>
#include "core/base/message.h"
#include "core/base/result.h"
#include "core/data/rows.h"
#include "core/wire/codec.h"

namespace skua::shard {

// --- parts ---------------------------------------------------------------------------------------------

// The proof that the block at the same place in SpanRecord::blocks is durable; with the span's record it
// makes a Receipt. For a block that was left out (service 0) it is empty.
struct Proof {
    Incarnation incarnation;
    Mac mac{};
    FIELDS(incarnation, mac)
};
struct SpanWithProofs {
    SpanRecord span;
    std::vector<Proof> proofs; // as many as span.blocks
    FIELDS(span, proofs)
};
// A file's bytes: inline, or spans that cover 0..size without a gap; staged ones (StageSpans) come first
// and are not repeated here.
struct NewContent {
    ContentId content; // from the reservation's range; also for inline bytes
    u64 size = 0;
    std::optional<Bytes> inline_bytes;
    u32 span_count = 0;                // staged and given together
    std::vector<SpanWithProofs> spans; // at most kMaxSpansPerCommit
    FIELDS(content, size, inline_bytes, span_count, spans)
};
struct Xattr {
    std::string name;
    Bytes value;
    FIELDS(name, value)
};
struct DirEntry {
    u64 cookie = 0; // of this entry: pass it to go on behind it
    std::string name;
    InodeId inode;
    std::optional<Attributes> attributes; // where the inode lives in this shard
    FIELDS(cookie, name, inode, attributes)
};
struct PastEntry {
    std::string name;
    Wall until; // when the name stopped naming it: with the name, its identity
    InodeId inode;
    Wall purge; // when retention ends
    std::optional<Attributes> attributes;
    FIELDS(name, until, inode, purge, attributes)
};
struct PastContent {
    Wall until;
    u64 size = 0;
    Wall mtime, purge;
    ContentId content;
    FIELDS(until, size, mtime, purge, content)
};

// --- reads ---------------------------------------------------------------------------------------------

struct Lookup {
    MESSAGE(1, Lookup)
    InodeId dir;
    std::string name;
    FIELDS(dir, name)
    struct Reply {
        InodeId inode;
        Wall edge;                            // when the name came to name it
        std::optional<Attributes> attributes; // when the inode lives here
        FIELDS(inode, edge, attributes)
    };
};
struct GetAttr {
    MESSAGE(2, GetAttr)
    std::vector<InodeId> inodes; // at most 4096
    FIELDS(inodes)
    struct Reply {
        std::vector<std::optional<Attributes>> attributes; // in the order asked; none: no such inode
        FIELDS(attributes)
    };
};
// Cookies: 0 start, 1 ".", 2 "..", else hash + 3. Returns what is greater; "." and ".." are the caller's
// (the reply names the parent). A reply never ends between two equal hashes.
struct ReadDir {
    MESSAGE(3, ReadDir)
    InodeId dir;
    u64 cookie = 0;
    u32 limit = 0; // entries, 1..4096; a little more may come
    FIELDS(dir, cookie, limit)
    struct Reply {
        InodeId parent;
        std::vector<DirEntry> entries;
        bool end = false; // nothing follows
        FIELDS(parent, entries, end)
    };
};
struct Open {
    MESSAGE(4, Open)
    InodeId inode;
    FIELDS(inode)
    struct Reply {
        Attributes attributes;
        std::optional<Bytes> inline_bytes;
        std::vector<SpanRecord> spans; // the first ones
        bool more = false;
        ReadKey read_key{};
        FIELDS(attributes, inline_bytes, spans, more, read_key)
    };
};
struct Spans {
    MESSAGE(5, Spans)
    ContentId content;
    Generation generation; // another one: Stale
    u64 from = 0;          // file offset
    u32 limit = 0;
    FIELDS(content, generation, from, limit)
    struct Reply {
        std::vector<SpanRecord> spans;
        bool more = false;
        ReadKey read_key{};
        FIELDS(spans, more, read_key)
    };
};
struct ReadLink {
    MESSAGE(6, ReadLink)
    InodeId inode;
    FIELDS(inode)
    struct Reply {
        std::string target;
        FIELDS(target)
    };
};
struct GetXattr {
    MESSAGE(7, GetXattr)
    InodeId inode;
    std::string name;
    FIELDS(inode, name)
    struct Reply {
        Bytes value;
        FIELDS(value)
    };
};
struct ListXattr {
    MESSAGE(8, ListXattr)
    InodeId inode;
    FIELDS(inode)
    struct Reply {
        std::vector<std::string> names;
        FIELDS(names)
    };
};
struct GetParent {
    MESSAGE(9, GetParent)
    InodeId dir;
    FIELDS(dir)
    struct Reply {
        InodeId parent;
        bool closed = false;
        FIELDS(parent, closed)
    };
};
// The past of one name, newest first.
struct Versions {
    MESSAGE(10, Versions)
    InodeId dir;
    std::string name;
    FIELDS(dir, name)
    struct Reply {
        std::vector<PastEntry> entries;
        FIELDS(entries)
    };
};
struct PastContents {
    MESSAGE(11, PastContents)
    InodeId inode;
    FIELDS(inode)
    struct Reply {
        std::vector<PastContent> contents;
        FIELDS(contents)
    };
};
// All past entries of a directory, by name hash then newest first; `after` is the last one seen.
struct ListPast {
    MESSAGE(12, ListPast)
    InodeId dir;
    std::string after_name; // empty: from the start
    Wall after_until;
    u32 limit = 0;
    FIELDS(dir, after_name, after_until, limit)
    struct Reply {
        std::vector<PastEntry> entries;
        bool end = false;
        FIELDS(entries, end)
    };
};
enum class FateOf : u8 { kKeep = 0, kReferenced = 1, kDead = 2 };
struct Fate {
    MESSAGE(13, Fate)
    BlockServiceId service;
    std::vector<BlockId> blocks; // of contents of this shard, at most 4096
    FIELDS(service, blocks)
    struct Reply {
        std::vector<FateOf> fates; // in the order asked
        FIELDS(fates)
    };
};
// Contents that have blocks on a service (repair, drain). Service 0: blocks that are owed or bad.
struct ServiceContents {
    MESSAGE(14, ServiceContents)
    BlockServiceId service;
    ContentId after;
    u32 limit = 0;
    FIELDS(service, after, limit)
    struct Reply {
        std::vector<ContentId> contents;
        bool end = false;
        FIELDS(contents, end)
    };
};
struct TakeGarbage {
    MESSAGE(15, TakeGarbage)
    BlockServiceId service;
    u32 limit = 0;
    FIELDS(service, limit)
    struct Reply {
        std::vector<BlockId> blocks;
        FIELDS(blocks)
    };
};
struct Usage {
    MESSAGE(16, Usage)
    FIELDS()
    struct Reply {
        u64 inodes = 0;                 // removed ones that are kept included
        u64 files = 0, directories = 0; // that have a name
        u64 bytes = 0;                  // logical bytes of current contents
        u64 past_bytes = 0;             // of past entries and contents, about
        u64 garbage_blocks = 0;
        FIELDS(inodes, files, directories, bytes, past_bytes, garbage_blocks)
    };
};
// Checks some rows against the invariants of metadata.md and goes on at the cursor (empty: start, end).
// Facts are what crosses groups, for `skua admin fsck` to join.
struct Check {
    MESSAGE(17, Check)
    Bytes cursor;
    FIELDS(cursor)
    struct Reply {
        std::vector<std::string> problems;
        std::vector<std::string> facts;
        Bytes cursor;
        FIELDS(problems, facts, cursor)
    };
};
struct GetPolicy {
    MESSAGE(18, GetPolicy)
    InodeId dir;
    FIELDS(dir)
    struct Reply {
        Policy own, resolved;
        FIELDS(own, resolved)
    };
};

// --- clients' writes -----------------------------------------------------------------------------------

struct ReserveIds {
    MESSAGE(64, ReserveIds)
    u32 count = 0; // 1..10,000
    FIELDS(count)
    struct Reply {
        ReservationId reservation;
        u64 first = 0; // counters first .. first + count - 1 of this shard
        u32 count = 0;
        ReadKey key_of_first{}; // read key of content `first`; others by asking Spans/Open
        FIELDS(reservation, first, count, key_of_first)
    };
};
struct KeepReservation {
    MESSAGE(65, KeepReservation)
    std::vector<ReservationId> reservations;
    FIELDS(reservations)
    struct Reply {
        std::vector<ReservationId> gone; // that are not the client's (any more)
        FIELDS(gone)
    };
};
// In order of offset, without gaps, before the commit that needs them; each extends the deadline (24 h).
struct StageSpans {
    MESSAGE(66, StageSpans)
    ReservationId reservation;
    ContentId content;
    std::vector<SpanWithProofs> spans;
    FIELDS(reservation, content, spans)
    struct Reply {
        u64 covered = 0; // bytes staged so far
        FIELDS(covered)
    };
};
enum class CommitMode : u8 {
    kCreate = 0,  // the name is taken: Exists{inode}
    kReplace = 1, // the old target becomes a past entry (a directory there: IsDirectory)
};
// Gives a finished content its inode and its name in one log entry; from then on everybody sees it, whole.
struct CommitFile {
    MESSAGE(67, CommitFile)
    InodeId dir;
    std::string name;
    ReservationId reservation;
    InodeId inode; // from the reservation's range, type file
    CommitMode commit_mode{};
    u32 mode = 0644; // permission bits
    u32 uid = 0, gid = 0;
    Wall atime, mtime; // 0: the entry's own time
    NewContent content;
    std::vector<Xattr> xattrs;
    FIELDS(dir, name, reservation, inode, commit_mode, mode, uid, gid, atime, mtime, content, xattrs)
    struct Reply {
        Attributes attributes;
        InodeId replaced;
        FIELDS(attributes, replaced)
    };
};
// A whole new content for an inode; the old one becomes a past content.
struct SetContent {
    MESSAGE(68, SetContent)
    InodeId inode;
    ReservationId reservation;
    NewContent content;
    std::optional<Wall> mtime;
    ContentId base; // if not 0: Conflict unless this and base_generation are current
    Generation base_generation;
    std::optional<u32> mode{}, uid{}, gid{}; // set with it: what fchmod and fchown said while it was written
    std::optional<Wall> atime{};
    FIELDS(inode, reservation, content, mtime, base, base_generation, mode, uid, gid, atime)
    struct Reply {
        Attributes attributes;
        FIELDS(attributes)
    };
};
// Puts spans into the current content (or replaces inline bytes); afterwards spans cover 0..size exactly.
struct EditContent {
    MESSAGE(69, EditContent)
    InodeId inode;
    ReservationId reservation; // 0 if no block is new
    ContentId content;         // the current one
    Generation base;           // not current: Conflict
    u64 size = 0;
    std::optional<Bytes> inline_bytes;
    std::vector<SpanWithProofs> spans;
    std::optional<Wall> mtime;
    std::optional<u32> mode{}, uid{}, gid{}; // as in SetContent
    std::optional<Wall> atime{};
    FIELDS(inode, reservation, content, base, size, inline_bytes, spans, mtime, mode, uid, gid, atime)
    struct Reply {
        Attributes attributes;
        FIELDS(attributes)
    };
};
struct SetAttr {
    MESSAGE(70, SetAttr)
    InodeId inode;
    std::optional<u32> mode; // permission bits
    std::optional<u32> uid, gid;
    std::optional<Wall> atime, mtime;
    bool atime_now = false, mtime_now = false;
    FIELDS(inode, mode, uid, gid, atime, mtime, atime_now, mtime_now)
    struct Reply {
        Attributes attributes;
        FIELDS(attributes)
    };
};
enum class XattrMode : u8 { kAny = 0, kCreate = 1, kReplace = 2 };
struct SetXattr {
    MESSAGE(71, SetXattr)
    InodeId inode;
    Xattr xattr;
    XattrMode xattr_mode{};
    FIELDS(inode, xattr, xattr_mode)
    using Reply = Done;
};
struct RemoveXattr {
    MESSAGE(72, RemoveXattr)
    InodeId inode;
    std::string name;
    FIELDS(inode, name)
    using Reply = Done;
};
struct Symlink {
    MESSAGE(73, Symlink)
    InodeId dir;
    std::string name;
    ReservationId reservation;
    InodeId inode;      // type special
    std::string target; // 1..4095 bytes, no NUL
    u32 uid = 0, gid = 0;
    FIELDS(dir, name, reservation, inode, target, uid, gid)
    struct Reply {
        Attributes attributes;
        FIELDS(attributes)
    };
};
struct MakeNode {
    MESSAGE(74, MakeNode)
    InodeId dir;
    std::string name;
    ReservationId reservation;
    InodeId inode; // type special
    u32 mode = 0;  // S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK and permissions
    u64 device = 0;
    u32 uid = 0, gid = 0;
    FIELDS(dir, name, reservation, inode, mode, device, uid, gid)
    struct Reply {
        Attributes attributes;
        FIELDS(attributes)
    };
};
struct Unlink {
    MESSAGE(75, Unlink)
    InodeId dir;
    std::string name;
    InodeId expected;  // if not 0 and another is there: NotFound
    bool hold = false; // the client has it open
    FIELDS(dir, name, expected, hold)
    struct Reply {
        InodeId inode;
        Wall until; // names the past entry
        FIELDS(inode, until)
    };
};
// Both directories in this shard; the target is no directory. Anything else: NotSupported, ask the coordinator.
struct RenameHere {
    MESSAGE(76, RenameHere)
    InodeId from_dir;
    std::string from_name;
    InodeId to_dir;
    std::string to_name;
    InodeId moved; // if not 0 and another is there: NotFound
    bool no_replace = false;
    bool hold = false; // the client has the replaced one open
    FIELDS(from_dir, from_name, to_dir, to_name, moved, no_replace, hold)
    struct Reply {
        InodeId replaced;
        FIELDS(replaced)
    };
};
// Directory and inode in this shard.
struct LinkHere {
    MESSAGE(77, LinkHere)
    InodeId inode;
    InodeId dir;
    std::string name;
    FIELDS(inode, dir, name)
    struct Reply {
        Attributes attributes;
        FIELDS(attributes)
    };
};
// Of anything but a directory: the past entry names its inode again, as `to_name` in the same directory.
struct Undelete {
    MESSAGE(78, Undelete)
    InodeId dir;
    std::string name;
    Wall until;
    std::string to_name;
    FIELDS(dir, name, until, to_name)
    struct Reply {
        InodeId inode;
        FIELDS(inode)
    };
};
// A past content becomes the current one (whose place in the past it takes).
struct RestoreContent {
    MESSAGE(79, RestoreContent)
    InodeId inode;
    Wall until;
    FIELDS(inode, until)
    struct Reply {
        Attributes attributes;
        FIELDS(attributes)
    };
};
// Ends the retention of a past entry (dir, name, until) or past content (inode, until), not the 30 minutes.
struct PurgeNow {
    MESSAGE(80, PurgeNow)
    InodeId inode;    // directory of the entry, or the file
    std::string name; // empty: a past content
    Wall until;
    FIELDS(inode, name, until)
    using Reply = Done;
};
struct SetPolicy {
    MESSAGE(81, SetPolicy)
    InodeId dir;
    std::optional<Policy> own; // none: only `resolved` (the walk below a change)
    Policy resolved;
    FIELDS(dir, own, resolved)
    using Reply = Done;
};
// Open somewhere: not purged within 30 minutes of age.
struct Hold {
    MESSAGE(82, Hold)
    std::vector<InodeId> inodes;
    std::vector<ContentId> contents;
    bool release = false;
    FIELDS(inodes, contents, release)
    using Reply = Done;
};
struct ReplaceBlock {
    MESSAGE(83, ReplaceBlock)
    ReservationId reservation;
    ContentId content;
    u64 offset = 0; // of the span
    u8 index = 0;   // in SpanRecord::blocks
    BlockId old_id;
    BlockRef block;
    Proof proof;
    FIELDS(reservation, content, offset, index, old_id, block, proof)
    using Reply = Done;
};
// A reader or a service found this block bad or missing.
struct ReportBad {
    MESSAGE(84, ReportBad)
    BlockServiceId service;
    std::vector<BlockId> blocks;
    FIELDS(service, blocks)
    using Reply = Done;
};
struct DoneGarbage {
    MESSAGE(85, DoneGarbage)
    BlockServiceId service;
    std::vector<BlockId> blocks;
    FIELDS(service, blocks)
    using Reply = Done;
};
struct RetireService {
    MESSAGE(86, RetireService)
    BlockServiceId service;
    FIELDS(service)
    using Reply = Done;
};
// Blocks that were written under the client's reservation and will never be committed become garbage. Those that were
// committed stay; the others can never be: safe after a commit whose outcome is unknown, too. Nothing else of the content
// may be committed under the reservation for the first time after this.
struct AbandonBlocks {
    MESSAGE(87, AbandonBlocks)
    ReservationId reservation;
    ContentId content;
    std::vector<BlockRef> blocks; // at most 4096
    FIELDS(reservation, content, blocks)
    using Reply = Done;
};

// --- between shards (servers only) ----------------------------------------------------------------------

// What one shard's log asks of another's, in order, exactly once (the outbox).
struct CountLinks {
    MESSAGE(1, CountLinks)
    InodeId inode;           // lives at the receiver
    i32 nlink = 0, pins = 0; // to add
    Wall ctime;              // 0: unchanged
    ClientId hold;           // this client has it open; 0: nobody
    FIELDS(inode, nlink, pins, ctime, hold)
};
using OutboxMessage = std::variant<CountLinks>;

struct Deliver {
    MESSAGE(96, Deliver)
    ShardId from;
    u64 number = 0; // per pair of shards, from 1, without gaps
    OutboxMessage message;
    FIELDS(from, number, message)
    using Reply = Done; // also for one that was taken before
};

// --- the coordinator's steps (servers only) ----------------------------------------------------------------

struct CreateDir {
    MESSAGE(1, CreateDir)
    InodeId dir, parent;
    u32 mode = 0, uid = 0, gid = 0;
    FIELDS(dir, parent, mode, uid, gid)
    struct Reply {
        Attributes attributes;
        FIELDS(attributes)
    };
};
struct DropDir {
    MESSAGE(2, DropDir)
    InodeId dir;
    FIELDS(dir)
    using Reply = Done;
};
struct AddEntry {
    MESSAGE(3, AddEntry)
    InodeId dir;
    std::string name;
    InodeId target;
    FIELDS(dir, name, target)
    struct Reply {
        Policy resolved; // of `dir`, for the new directory
        FIELDS(resolved)
    };
};
// absent: the name must be free (Exists), and is held free. Else it must name `expected` (NotFound; 0:
// whatever it names, or nothing: then it is held free).
struct LockEntry {
    MESSAGE(4, LockEntry)
    InodeId dir;
    std::string name;
    InodeId expected;
    bool absent = false;
    FIELDS(dir, name, expected, absent)
    struct Reply {
        InodeId there;   // 0: nothing
        Policy resolved; // of `dir`
        FIELDS(there, resolved)
    };
};
struct UnlockEntry {
    MESSAGE(5, UnlockEntry)
    InodeId dir;
    std::string name;
    FIELDS(dir, name)
    using Reply = Done;
};
// Only if it is empty (NotEmpty) and no name in it is locked (Locked). Nothing can be made in it any more.
struct CloseDir {
    MESSAGE(6, CloseDir)
    InodeId dir;
    FIELDS(dir)
    using Reply = Done;
};
struct OpenDir {
    MESSAGE(7, OpenDir)
    InodeId dir, parent;
    Policy resolved;
    FIELDS(dir, parent, resolved)
    using Reply = Done;
};
// `past`: what was named becomes a past entry and loses a link; else it goes on under another name.
struct RemoveEntry {
    MESSAGE(8, RemoveEntry)
    InodeId dir;
    std::string name;
    bool past = false;
    InodeId target; // another one there now: ours is gone already; none: any
    FIELDS(dir, name, past, target)
    using Reply = Done;
};
struct SetEntry {
    MESSAGE(9, SetEntry)
    InodeId dir;
    std::string name;
    InodeId target;
    bool past = false; // of what is replaced
    FIELDS(dir, name, target, past)
    using Reply = Done;
};
// `created_in`: of a directory that was made there and has its name since; whoever moved it, or gave it a policy,
// meanwhile knows better, and nothing is changed. 0: whatever it was.
struct SetParent {
    MESSAGE(10, SetParent)
    InodeId dir, parent;
    Policy resolved;
    InodeId created_in;
    FIELDS(dir, parent, resolved, created_in)
    using Reply = Done;
};
struct AddLink {
    MESSAGE(11, AddLink)
    InodeId inode;
    FIELDS(inode)
    using Reply = Done;
};
struct DropLink {
    MESSAGE(12, DropLink)
    InodeId inode;
    FIELDS(inode)
    using Reply = Done;
};
struct LockPast {
    MESSAGE(13, LockPast)
    InodeId dir;
    std::string name;
    Wall until;
    InodeId expected;
    FIELDS(dir, name, until, expected)
    using Reply = Done;
};
struct UnlockPast {
    MESSAGE(14, UnlockPast)
    InodeId dir;
    std::string name;
    Wall until;
    FIELDS(dir, name, until)
    using Reply = Done;
};
struct DropPast {
    MESSAGE(15, DropPast)
    InodeId dir;
    std::string name;
    Wall until;
    FIELDS(dir, name, until)
    using Reply = Done;
};
using StepAction = std::variant<CreateDir, DropDir, AddEntry, LockEntry, UnlockEntry, CloseDir, OpenDir, RemoveEntry, SetEntry,
                                SetParent, AddLink, DropLink, LockPast, UnlockPast, DropPast>;
// Remembered by (txn, step) until the watermark passes txn; below the watermark refused (Expired). The
// reply is the action's.
struct Step {
    MESSAGE(97, Step)
    TxnId txn;
    u32 step = 0;
    TxnId watermark; // every transaction below it is finished
    StepAction action;
    FIELDS(txn, step, watermark, action)
    using Reply = Done;
};

// --- the leader's own ------------------------------------------------------------------------------------

// Purges what is due, in log order, at most `limit` rows.
struct Purge {
    MESSAGE(112, Purge)
    u32 limit = 0;
    FIELDS(limit)
    using Reply = Done;
};
// The outbox rows up to `number` for `to` were taken.
struct Delivered {
    MESSAGE(113, Delivered)
    ShardId to;
    u64 number = 0;
    FIELDS(to, number)
    using Reply = Done;
};

using Request = std::variant<Lookup, GetAttr, ReadDir, Open, Spans, ReadLink, GetXattr, ListXattr, GetParent, Versions,
                             PastContents, ListPast, Fate, ServiceContents, TakeGarbage, Usage, Check, GetPolicy, ReserveIds,
                             KeepReservation, StageSpans, CommitFile, SetContent, EditContent, SetAttr, SetXattr, RemoveXattr,
                             Symlink, MakeNode, Unlink, RenameHere, LinkHere, Undelete, RestoreContent, PurgeNow, SetPolicy, Hold,
                             ReplaceBlock, ReportBad, DoneGarbage, RetireService, AbandonBlocks, Deliver, Step, Purge, Delivered>;

// Format's config.
struct ShardConfig {
    ClusterId cluster;
    ShardId shard;
    u16 shards = 0;
    Policy policy; // complete: what the root resolves to
    FIELDS(cluster, shard, shards, policy)
};

} // namespace skua::shard
