// Model: what a plain file system answers, in the small steps in which SkuaFS makes an operation visible
// (metadata.md: a rename may show both names for a moment, never neither; a directory that is being removed is
// closed before its name goes). A Config is one way things may stand: the state, and how far each operation
// that is under way has come. stepsOf() says what one of them may do next; more than one answer means that the
// design leaves it open (a version whose retention may be over, a count that may lag).
//
// Nodes are named by the operation that made them: the id of a directory or symlink is learned with an answer
// (match() binds it). Pure values: a Config's bytes (wire::encode) are its identity.
#pragma once

#include <optional>
#include <string>
#include <vector>
#include "core/base/errors.h"
#include "core/base/types.h"
#include "core/wire/codec.h"

namespace skua::sim {

enum class Kind : u8 {
    kCreate,
    kReplace,
    kMkdir,
    kSymlink,
    kUnlink,
    kRmdir,
    kRename,
    kExchange,
    kLink,
    kUndelete,
    kUndeleteDir,
    kLookup,
    kReadDir,
    kGetAttr,
    kOpen,
    kReadLink,
    kSetAttr,
    kSetXattr,
    kRemoveXattr,
    kListXattr,
    kSetContent,
    kEditContent,
    kRestore,
    kPurge
};
std::string_view nameOf(Kind kind);
bool onlyReads(Kind kind);

struct Piece {
    u64 offset = 0, length = 0;
    u64 tag = 0; // of the bytes; 0: a hole
    FIELDS(offset, length, tag)
};
struct Data {
    bool in_line = false;
    u64 size = 0;
    std::vector<Piece> pieces;
    FIELDS(in_line, size, pieces)
};
std::string show(const Data& data);

struct Op {
    u32 id = 0, client = 0;
    Kind kind{};
    InodeId dir, dir2, inode; // inode: what it is about, what is expected, or what it makes
    std::string name, name2;
    bool flag = false; // rename: no_replace; unlink: `inode` is expected
    u8 xattr_mode = 0;
    u32 mode = 0;
    std::string text;                // target, value of an xattr
    Data data;                       // new content, or what an edit puts
    u64 content = 0, generation = 0; // of the new content, or the base of an edit, or the past one that is wanted
    u64 until = 0;                   // of a past entry
    u64 invoked = 0;                 // of the world's time
    u64 looked = 0;                  // when its asker saw the past content that it wants
};
std::string show(const Op& op);

// What a client heard.
struct Heard {
    Code code{};
    std::vector<std::pair<std::string, InodeId>> names;
    std::string detail;
    u64 until = 0; // of the past entry that was made
};
std::string show(const Heard& heard);
// The same words for what the model has and what a server says.
std::string attributesText(InodeType type, u32 mode, u64 size, u64 content, u64 generation);

struct Content {
    u64 content = 0, generation = 0, since = 0; // since: past from then on, at the earliest
    Data data;
    FIELDS(content, generation, since, data)
};
struct Attribute {
    std::string name, value;
    FIELDS(name, value)
};
struct Node {
    u32 sym = 0;
    InodeType type{};
    bool closed = false;
    u32 parent = 0, mode = 0;
    u64 undeleted = 0; // when a name came back to it
    std::string target;
    Content content;
    std::vector<Content> past;
    std::vector<Attribute> xattrs;
    FIELDS(sym, type, closed, parent, mode, undeleted, target, content, past, xattrs)
};
struct Name {
    u32 dir = 0;
    std::string name;
    u32 node = 0;
    FIELDS(dir, name, node)
};
struct Past {
    u32 dir = 0;
    std::string name;
    u32 node = 0, op = 0, lock = 0;
    u64 since = 0;
    FIELDS(dir, name, node, op, lock, since)
};
struct Bound {
    InodeId inode;
    u32 sym = 0;
    FIELDS(inode, sym)
};
struct Lock {
    u32 dir = 0;
    std::string name;
    u32 op = 0;
    FIELDS(dir, name, op)
};
struct State {
    std::vector<Node> nodes; // by sym
    std::vector<Name> names; // by dir, name
    std::vector<Lock> locks;
    std::vector<Past> pasts;
    std::vector<Bound> ids;
    FIELDS(nodes, names, locks, pasts, ids)

    Node* node(u32 sym);
    const Node* node(u32 sym) const { return const_cast<State*>(this)->node(sym); }
    u32 symOf(InodeId id) const;                      // 0: not known
    InodeId idOf(u32 sym) const;                      // none: not known yet
    u32 find(u32 dir, const std::string& name) const; // 0: nothing
    void put(u32 dir, const std::string& name, u32 node);
    void take(u32 dir, const std::string& name);
    u32 countNames(u32 node) const;
    bool within(u32 dir, u32 ancestor) const;
};
struct NameSym {
    std::string name;
    u32 sym = 0;
    FIELDS(name, sym)
};
struct Outcome {
    Code code{};
    std::vector<NameSym> names;
    std::string detail;
    bool any = false; // names and detail are left open
    FIELDS(code, names, detail, any)
};
struct Progress {
    u32 op = 0;
    u8 pc = 0;
    bool done = false;
    u32 a = 0, b = 0; // nodes it has found
    Outcome out;
    FIELDS(op, pc, done, a, b, out)
};
struct Config {
    State state;
    std::vector<Progress> going; // by op
    FIELDS(state, going)
};

struct Circumstances {
    u64 now = 0;
    bool alone = false; // nothing else is under way, nothing is uncertain
    // When the past entry that an operation made began, as far as somebody heard; 0: nobody did.
    const std::vector<std::pair<u32, u64>>* untils = nullptr;
};
// What `going[which]` may do next. None: it has to wait for another, or is done.
void stepsOf(const Config& config, std::size_t which, const Op& op, const Circumstances& c, std::vector<Config>& out);
// Does the predicted outcome fit what was heard? Learns ids.
bool match(State& state, const Outcome& outcome, const Heard& heard);

// After this long a past entry or content may be gone (30 minutes of a clock that may run 10 % fast).
inline constexpr u64 kSurelyKept = 26 * kMinute;

} // namespace skua::sim
