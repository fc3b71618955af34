#include "shard/invariants.h"

#include <sys/stat.h>
#include <algorithm>
#include <set>
#include "core/data/geometry.h"
#include "shard/contents.h"
#include "shard/span_rows.h"

namespace skua::shard::invariants {
namespace {

std::string number(u64 n) { return std::to_string(n); }
std::string show(ContentId c) { return "content " + number(c.value); }
std::string show(const BlockId& b) {
    return "block " + number(b.content.value) + "/" + number(b.reservation.value) + "/" + number(b.n);
}

// --- one content -------------------------------------------------------------------------------------------

struct Content {
    u64 covered = 0, stored = 0;
    u32 spans = 0;
    std::map<BlockServiceId, u32> on;
};

// 4 and 10: its spans, their blocks, its on-service rows. `whole`: spans begin at 0 and have no gaps.
Content checkContent(const store::Reader& rows, ContentId content, bool whole, Problems& out) {
    Content found;
    std::set<BlockId> seen;
    auto bad = [&](const SpanRecord& s, const std::string& why) {
        out.push_back(show(content) + " span at " + number(s.offset) + ": " + why);
    };
    SpanRows::scan(rows, ContentPrefix{content}, [&](const SpanKey& key, const SpanRecord& s) {
        if (key.offset != s.offset) bad(s, "filed at " + number(key.offset));
        if (whole && s.offset != found.covered) bad(s, "expected at " + number(found.covered));
        found.covered = s.end();
        found.spans++;
        if (s.bytes() == 0) bad(s, "is empty");
        if (s.geometry.hole()) {
            if (!s.blocks.empty()) bad(s, "is a hole with blocks");
            return true;
        }
        found.stored += s.length;
        if (!geometry::valid(s.geometry, s.length) || s.blocks.size() != s.geometry.blocks()) bad(s, "no such geometry");
        std::set<BlockServiceId> services;
        for (const BlockRef& b : s.blocks) {
            if (b.service.value == 0 || b.bad) found.on[BlockServiceId{}]++;
            if (b.service.value == 0) continue;
            found.on[b.service]++;
            if (!services.insert(b.service).second) bad(s, "two blocks on service " + number(b.service.value));
            if (b.id.content != content) bad(s, show(b.id) + " is of another content");
            if (!seen.insert(b.id).second) bad(s, show(b.id) + " is referenced twice");
        }
        return true;
    });
    for (const auto& [service, blocks] : found.on) {
        const auto row = OnServices::get(rows, {service, content});
        if (!row || row->blocks != blocks)
            out.push_back(show(content) + ": " + number(blocks) + " blocks on service " + number(service.value) +
                          ", the on-service row says " + (row ? number(row->blocks) : "nothing"));
    }
    // 5, and blocks that wait to become garbage.
    Replaced::scan(rows, ContentPrefix{content}, [&](const ReplacedKey&, const ReplacedRow& row) {
        for (const BlockRef& b : row.blocks)
            if (seen.contains(b.id)) out.push_back(show(b.id) + " is referenced, and waits to become garbage");
        return true;
    });
    return found;
}

// A current or past content as the row that names it says it is.
void checkNamed(const store::Reader& rows, const std::string& who, ContentId content, Generation generation, u64 size, u64 stored,
                const std::optional<Bytes>& inline_bytes, Problems& out) {
    const Content c = checkContent(rows, content, true, out);
    if (inline_bytes) {
        if (c.spans != 0) out.push_back(who + " has inline bytes and spans");
        if (inline_bytes->value.size() != size || stored != size) out.push_back(who + " has another size than its inline bytes");
        return;
    }
    if (c.covered != size) out.push_back(who + ": spans cover " + number(c.covered) + " of " + number(size) + " bytes");
    if (c.stored != stored) out.push_back(who + ": " + number(c.stored) + " bytes are stored, the row says " + number(stored));
    if (c.spans != 0 && contents::generationOf(rows, content) != generation)
        out.push_back(who + " has another generation than its content");
}

// --- one row of each kind -----------------------------------------------------------------------------------------

void checkInode(const store::Reader& rows, InodeId id, const Inode& row, Problems& out) {
    const std::string who = "inode " + number(id.value);
    const bool is_dir = S_ISDIR(row.mode), is_file = S_ISREG(row.mode);
    if (is_dir != id.isDirectory() || is_file != id.isFile() || row.directory.has_value() != is_dir)
        out.push_back(who + ": its id, its mode and its row have different types");
    if (is_file) checkNamed(rows, who, row.content, row.generation, row.size, row.stored, row.inline_bytes, out);
    if (!row.directory) return;
    u32 entries = 0;
    Entries::scan(rows, DirPrefix{id}, [&](const EntryKey&, const Entry& e) {
        entries += !e.target.none();
        return true;
    });
    if (entries != row.directory->entries)
        out.push_back(who + ": " + number(entries) + " entries, its row says " + number(row.directory->entries));
    if (row.directory->closed && entries != 0) out.push_back(who + " is closed and has entries");
}

// 5 for the garbage rows of one content on one service, which stand together.
void checkGarbage(const store::Reader& rows, BlockServiceId service, ContentId content, Problems& out) {
    if (!OnServices::has(rows, {service, content})) return;
    SpanRows::scan(rows, ContentPrefix{content}, [&](const SpanKey&, const SpanRecord& s) {
        for (const BlockRef& b : s.blocks)
            if (b.service == service && Garbage::has(rows, {service, b.id}))
                out.push_back(show(b.id) + " is referenced, and garbage");
        return true;
    });
}

// 10 from the other side: the row has spans.
void checkOnService(const store::Reader& rows, const OnServiceKey& key, const OnService& row, Problems& out) {
    ServiceCounts counts;
    SpanRows::scan(rows, ContentPrefix{key.content}, [&](const SpanKey&, const SpanRecord& s) {
        counts.add(s);
        return true;
    });
    const auto at = counts.all().find(key.service);
    const i64 blocks = at == counts.all().end() ? 0 : at->second;
    if (blocks != row.blocks)
        out.push_back("on-service row of service " + number(key.service.value) + " and " + show(key.content) + " says " +
                      number(row.blocks) + ", there are " + number(static_cast<u64>(blocks)));
}

std::string inodeFact(InodeId id, const Inode& row) {
    auto signedNumber = [](i32 n) { return std::to_string(n); };
    const bool closed = row.directory && row.directory->closed;
    return "inode " + number(id.value) + " " + signedNumber(row.nlink) + " " + signedNumber(row.pins) + " " +
           number(row.directory ? row.directory->parent.value : 0) + " " + (closed ? "1" : "0");
}

// --- in parts ------------------------------------------------------------------------------------------------------

// Calls visit(key, row) for the table's rows behind `after` (a whole key; empty: all), at most `budget`.
// True: the table is done; else `after` is where to go on.
template <class T, class V>
bool part(const store::Reader& rows, std::string& after, u32& budget, V&& visit) {
    const std::string table(1, T::kTable);
    const std::string from = after.empty() ? table : after + '\0', end = wire::afterPrefix(table);
    std::vector<std::pair<typename T::Key, typename T::Row>> found;
    bool done = true;
    rows.scan(from, end, [&](std::string_view k, std::string_view v) {
        if (found.size() >= budget) {
            done = false;
            return false;
        }
        typename T::Key key{};
        typename T::Row row{};
        if (!wire::decodeKey(k.substr(1), key) || !wire::decodeRow(v, row)) {
            rows.fail();
            return false;
        }
        after = k;
        found.emplace_back(std::move(key), std::move(row));
        return true;
    });
    budget -= static_cast<u32>(found.size());
    for (const auto& [key, row] : found) visit(key, row);
    if (done) after.clear();
    return done;
}

// In this order; a cursor is the last key seen, or the letter of the table to begin with.
constexpr std::string_view kOrder = "ievptogq";

bool checkTable(const store::Reader& rows, char table, std::string& after, u32& budget, Problems& out,
                std::vector<std::string>& facts) {
    switch (table) {
        case 'i':
            return part<Inodes>(rows, after, budget, [&](const InodeKey& key, const Inode& row) {
                checkInode(rows, key.inode, row, out);
                facts.push_back(inodeFact(key.inode, row));
            });
        case 'e':
            return part<Entries>(rows, after, budget, [&](const EntryKey& key, const Entry& row) {
                if (!row.target.none()) facts.push_back("entry " + number(key.dir.value) + " " + number(row.target.value));
                if (row.lock != TxnId{}) facts.push_back("busy 1");
                if (!Inodes::has(rows, {key.dir}))
                    out.push_back("an entry of directory " + number(key.dir.value) + ", which is not there");
            });
        case 'v':
            return part<PastContentRows>(rows, after, budget, [&](const PastContentKey& key, const PastContentRow& row) {
                const std::string who = "past content of inode " + number(key.inode.value);
                checkNamed(rows, who, row.content, row.generation, row.size, row.stored, row.inline_bytes, out);
            });
        case 'p':
            return part<PastEntries>(rows, after, budget, [&](const PastEntryKey& key, const PastEntryRow& row) {
                facts.push_back("past " + number(key.dir.value) + " " + number(row.target.value));
                if (row.lock != TxnId{}) facts.push_back("busy 1");
            });
        case 't':
            return part<Staged>(rows, after, budget, [&](const ContentKey& key, const StagedRow& row) {
                const Content c = checkContent(rows, key.content, true, out);
                if (c.covered != row.covered || c.spans != row.spans || c.stored != row.stored)
                    out.push_back("staged " + show(key.content) + " has other spans than its row says");
            });
        case 'o':
            return part<OnServices>(rows, after, budget,
                                    [&](const OnServiceKey& key, const OnService& row) { checkOnService(rows, key, row, out); });
        case 'g': {
            std::set<std::pair<BlockServiceId, ContentId>> done;
            return part<Garbage>(rows, after, budget, [&](const GarbageKey& key, const Nothing&) {
                if (done.emplace(key.service, key.block.content).second) checkGarbage(rows, key.service, key.block.content, out);
            });
        }
        case 'q':
            return part<Outbox>(rows, after, budget, [&](const OutboxKey&, const OutboxRow&) { facts.push_back("busy 1"); });
    }
    return true;
}

} // namespace

Result<> checkPart(const store::Reader& rows, std::string& cursor, u32 budget, Problems& problems,
                   std::vector<std::string>& facts) {
    std::size_t table = cursor.empty() ? 0 : kOrder.find(cursor[0]);
    if (table == kOrder.npos) return Error(Code::Invalid, "that is no cursor of Check");
    std::string after = cursor.size() > 1 ? cursor : std::string();
    for (; table < kOrder.size() && budget > 0; table++) {
        if (!checkTable(rows, kOrder[table], after, budget, problems, facts)) {
            cursor = after;
            return Ok{};
        }
    }
    cursor = table < kOrder.size() ? std::string(1, kOrder[table]) : std::string();
    return Ok{};
}

// --- everything at once -------------------------------------------------------------------------------------------------

namespace {

// 9, and spans that nothing leads to.
void checkTotals(const store::Reader& rows, Problems& out) {
    TotalsRow right;
    std::set<ContentId> named;
    auto name = [&](ContentId c) {
        if (!c.none() && !named.insert(c).second) out.push_back(show(c) + " is named twice");
    };
    Inodes::scan(rows, OnlyKey{}, [&](const InodeKey& key, const Inode& row) {
        right.inodes++;
        if (row.directory) {
            right.directories += !row.directory->closed;
            return true;
        }
        right.files += key.inode.isFile() && row.nlink > 0;
        (row.nlink > 0 ? right.bytes : right.past_bytes) += static_cast<i64>(row.stored);
        name(row.content);
        return true;
    });
    PastContentRows::scan(rows, OnlyKey{}, [&](const PastContentKey&, const PastContentRow& row) {
        right.past_bytes += static_cast<i64>(row.stored);
        name(row.content);
        return true;
    });
    Staged::scan(rows, OnlyKey{}, [&](const ContentKey& key, const StagedRow&) {
        name(key.content);
        return true;
    });
    Expiries::scan(rows, OnlyKey{}, [&](const ExpiryKey& key, const Expiry&) {
        if (key.kind == ExpiryKind::kDyingContent) name({key.id});
        return true;
    });
    Garbage::scan(rows, OnlyKey{}, [&](const GarbageKey&, const Nothing&) {
        right.garbage_blocks++;
        return true;
    });
    ContentId last;
    SpanRows::scan(rows, OnlyKey{}, [&](const SpanKey& key, const SpanRecord&) {
        if (key.content != last && !named.contains(key.content))
            out.push_back(show(key.content) + " has spans, and nothing names it");
        last = key.content;
        return true;
    });
    const TotalsRow kept = Totals::get(rows, {}).value_or(TotalsRow{});
    auto compare = [&](std::string_view what, i64 a, i64 b) {
        if (a != b)
            out.push_back("totals say " + std::to_string(a) + " " + std::string(what) + ", there are " + std::to_string(b));
    };
    compare("inodes", kept.inodes, right.inodes);
    compare("files", kept.files, right.files);
    compare("directories", kept.directories, right.directories);
    compare("bytes", kept.bytes, right.bytes);
    compare("past bytes", kept.past_bytes, right.past_bytes);
    compare("garbage blocks", kept.garbage_blocks, right.garbage_blocks);
}

struct Node {
    i32 nlink = 0, pins = 0;
    bool directory = false, closed = false;
    InodeId parent;
    i32 entries = 0, pasts = 0, subdirectories = 0;
    InodeId named_in;
};

} // namespace

Problems checkShard(const store::Reader& rows) {
    Problems problems;
    std::vector<std::string> facts;
    std::string cursor;
    do {
        if (!checkPart(rows, cursor, 1u << 20, problems, facts)) break;
        facts.clear();
    } while (!cursor.empty());
    checkTotals(rows, problems);
    if (rows.failed()) problems.push_back("a row does not decode, or could not be read");
    return problems;
}

Problems checkAcross(const std::vector<const store::Reader*>& shards) {
    Problems out;
    std::map<InodeId, Node> nodes;
    for (const store::Reader* rows : shards) {
        Inodes::scan(*rows, OnlyKey{}, [&](const InodeKey& key, const Inode& row) {
            Node& n = nodes[key.inode];
            n.nlink = row.nlink;
            n.pins = row.pins;
            n.directory = row.directory.has_value();
            n.closed = n.directory && row.directory->closed;
            if (n.directory) n.parent = row.directory->parent;
            return true;
        });
    }
    auto at = [&](InodeId dir, InodeId target, std::string_view what) -> Node* {
        auto node = nodes.find(target);
        if (node != nodes.end()) return &node->second;
        out.push_back(std::string(what) + " of directory " + number(dir.value) + " names inode " + number(target.value) +
                      ", which is not there");
        return nullptr;
    };
    for (const store::Reader* rows : shards) {
        Entries::scan(*rows, OnlyKey{}, [&](const EntryKey& key, const Entry& row) {
            if (row.target.none()) return true;
            Node* n = at(key.dir, row.target, "an entry");
            if (!n) return true;
            n->entries++;
            n->named_in = key.dir;
            if (auto dir = nodes.find(key.dir); n->directory && dir != nodes.end()) dir->second.subdirectories++;
            return true;
        });
        PastEntries::scan(*rows, OnlyKey{}, [&](const PastEntryKey& key, const PastEntryRow& row) {
            if (Node* n = at(key.dir, row.target, "a past entry")) n->pasts++;
            return true;
        });
    }
    for (const auto& [id, n] : nodes) {
        const std::string who = "inode " + number(id.value);
        if (n.pins != n.pasts)
            out.push_back(who + " has pins " + std::to_string(n.pins) + " and " + std::to_string(n.pasts) + " past entries");
        if (!n.directory) {
            if (n.nlink != n.entries)
                out.push_back(who + " has nlink " + std::to_string(n.nlink) + " and " + std::to_string(n.entries) + " entries");
            continue;
        }
        const i32 wanted = id == kRoot || n.closed ? 0 : 1;
        if (n.entries != wanted)
            out.push_back("directory " + number(id.value) + " has " + std::to_string(n.entries) + " entries");
        if (wanted == 1 && n.entries == 1 && n.named_in != n.parent)
            out.push_back("directory " + number(id.value) + " is named in " + number(n.named_in.value) + ", its parent is " +
                          number(n.parent.value));
        if (!n.closed && n.nlink != 2 + n.subdirectories)
            out.push_back("directory " + number(id.value) + " has nlink " + std::to_string(n.nlink) + " and " +
                          std::to_string(n.subdirectories) + " subdirectories");
        // 2: the way up ends at the root.
        InodeId up = id;
        std::size_t steps = 0;
        while (up != kRoot && steps++ <= nodes.size()) {
            auto parent = nodes.find(up);
            if (parent == nodes.end()) break;
            up = parent->second.parent;
        }
        if (up != kRoot && !n.closed) out.push_back("directory " + number(id.value) + " does not lead up to the root");
    }
    return out;
}

} // namespace skua::shard::invariants
