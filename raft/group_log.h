// GroupLog: a group's log as it will be once every record given out is durable; the newest entries in memory.
//
//   base ─► (base.index + 1) … last        entries are kept encoded: disk, peers and apply() get the same bytes
//
// GroupPast: the same, found again from the records of the segment log, in their order. A record of an entry
// replaces the group's entries from its index on; a base replaces all of them; carried ones replace from their first on, once
// the last of them is there.
// Thread-safety: values.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "raft/entry.h"
#include "raft/group_messages.h"

namespace skua::raft {

// Larger terms and indexes are nobody's: nothing overflows.
inline constexpr u64 kMaxCount = 1ull << 60;
// An entry's payload: with its header it fits a frame and a Bytes.
inline constexpr std::size_t kMaxPayloadBytes = (8u << 20) - 65'536;

struct LoggedEntry {
    Index index;
    Term term;
    Wall wall;
    Age age;
    EntryKind kind{};
    std::shared_ptr<const std::string> bytes;
    u64 end = 0; // bytes of the log up to here, counted by GroupLog
};
// Of an entry in memory besides its bytes.
inline constexpr std::size_t kEntryMemory = sizeof(LoggedEntry) + 64;
// None: the bytes are not an entry of this group, or one that cannot be.
std::optional<LoggedEntry> readEntry(GroupId group, std::string bytes);
LoggedEntry writeEntry(const Entry& entry);
// Who is in the group from a kMembers or kFormat entry on; none if it says nothing (well-formed) of it.
std::optional<Members> membersOf(const LoggedEntry& entry);
std::vector<u64> shutOutBy(const LoggedEntry& entry); // a recovery's (Members::shut_out)

class GroupLog {
public:
    const LogBase& base() const { return base_; }
    // The records that are there do not lead to the base: it must be written before any entry behind it.
    bool baseDue() const { return baseDue_; }
    void baseDue(bool due) { baseDue_ = due; }
    Index first() const { return Index{base_.index.value + 1}; }
    Index last() const { return Index{base_.index.value + entries_.size()}; }
    Term lastTerm() const { return termAt(last()); }
    Wall lastWall() const { return entries_.empty() ? base_.wall : entries_.back().wall; }
    Age lastAge() const { return entries_.empty() ? base_.age : entries_.back().age; }
    bool has(Index i) const { return i > base_.index && i <= last(); }
    // Known from the base to the last entry; CHECKed.
    Term termAt(Index i) const;
    const LoggedEntry& at(Index i) const;
    std::size_t bytes() const { return bytesAfter(base_.index); }
    // In memory from the base up to `i`.
    std::size_t memoryUpTo(Index i) const { return endOf(i) - baseEnd_ + (i.value - base_.index.value) * kEntryMemory; }
    std::size_t bytesAfter(Index i) const { return endOf(last()) - endOf(i); }

    // The newest membership that the log has, committed or not, and the entry it came with.
    const Members& members() const { return configs_.empty() ? base_.members : configs_.back().second; }
    Index configIndex() const { return configs_.empty() ? base_.config : configs_.back().first; }
    // A voter now, or for who has not yet heard of what is behind `committed`.
    bool mayVote(const Member& m, Index committed) const;
    // As it was right behind entry `i`, which is known.
    LogBase baseAt(Index i) const;

    // Must be last() + 1. `counts`: it changes the membership if it is of that kind.
    void append(LoggedEntry entry, bool counts = true);
    void truncateAfter(Index i); // i >= base
    void dropUpTo(Index i);      // moves the base; i <= last
    void reset(LogBase base);

private:
    LogBase base_;
    std::deque<LoggedEntry> entries_;
    std::vector<std::pair<Index, Members>> configs_; // of entries_
    u64 endOf(Index i) const { return i == base_.index ? baseEnd_ : at(i).end; }
    u64 baseEnd_ = 0;
    bool baseDue_ = false;
};

// What a store's records say of a group.
class GroupPast {
public:
    explicit GroupPast(GroupId group) : group_(group) {}
    // False: the record is not one of ours, or leaves a gap: what was promised is lost.
    bool takeVote(std::string_view payload);
    bool takeBase(std::string_view payload);
    bool takeEntry(std::string payload);
    bool takeCarried(std::string_view payload);

    GroupId group() const { return group_; }
    const VoteRow& vote() const { return vote_; }
    const std::deque<LoggedEntry>& entries() const { return entries_; }
    bool empty() const { return vote_.term.value == 0 && entries_.empty() && start_.index.value == 0; }
    // The log behind `rows`, which are applied up to there; keeps what it can for followers behind.
    // False: there is a gap between rows and log.
    bool join(const LogBase& rows, GroupLog& log) const;
    const LogBase& start() const { return start_; }

private:
    bool put(LoggedEntry entry);
    GroupId group_;
    VoteRow vote_;
    LogBase start_; // of entries_, where a record said it
    std::deque<LoggedEntry> entries_;
    std::vector<LoggedEntry> carried_; // not whole yet
};

} // namespace skua::raft
