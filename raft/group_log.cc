#include "raft/group_log.h"

#include "core/base/probe.h"

namespace skua::raft {

bool wellFormed(const Members& m) {
    if (m.voters.empty() || m.voters.size() > kMaxVoters || m.learners.size() > kMaxLearners) return false;
    std::vector<Member> all = m.voters;
    all.insert(all.end(), m.learners.begin(), m.learners.end());
    for (std::size_t i = 0; i < all.size(); i++)
        for (std::size_t j = 0; j < i; j++)
            if (all[i] == all[j]) return false;
    return true;
}

std::optional<LoggedEntry> readEntry(GroupId group, std::string bytes) {
    Entry e;
    if (!wire::decodeRow(bytes, e) || e.group != group) return std::nullopt;
    if (e.index.value == 0 || e.index.value > kMaxCount || e.term.value == 0 || e.term.value > kMaxCount) return std::nullopt;
    if (e.kind > EntryKind::kMembers || e.payload.value.size() > kMaxPayloadBytes) return std::nullopt;
    LoggedEntry l{e.index, e.term, e.wall, e.age, e.kind, std::make_shared<const std::string>(std::move(bytes))};
    if (e.kind == EntryKind::kMembers && !membersOf(l)) return std::nullopt;
    return l;
}

LoggedEntry writeEntry(const Entry& e) {
    return {e.index, e.term, e.wall, e.age, e.kind, std::make_shared<const std::string>(wire::encode(e))};
}

std::optional<Members> membersOf(const LoggedEntry& logged) {
    if (logged.kind != EntryKind::kMembers && logged.kind != EntryKind::kFormat) return std::nullopt;
    Entry e;
    if (!wire::decodeRow(*logged.bytes, e)) return std::nullopt;
    Members members;
    if (logged.kind == EntryKind::kMembers) {
        if (!wire::decode(e.payload.value, members)) return std::nullopt;
    } else {
        Format format;
        if (!wire::decode(e.payload.value, format)) return std::nullopt;
        members.voters = std::move(format.members);
    }
    if (!wellFormed(members)) return std::nullopt;
    members.shut_out.clear(); // the server's business
    return members;
}

std::vector<u64> shutOutBy(const LoggedEntry& logged) {
    Entry e;
    Members members;
    const bool fine = logged.kind == EntryKind::kMembers && wire::decodeRow(*logged.bytes, e);
    if (!fine || !wire::decode(e.payload.value, members)) return {};
    return members.shut_out;
}

// --- GroupLog ---------------------------------------------------------------------------------------------

Term GroupLog::termAt(Index i) const {
    if (i == base_.index) return base_.term;
    return at(i).term;
}

const LoggedEntry& GroupLog::at(Index i) const {
    CHECK(has(i));
    return entries_[i.value - base_.index.value - 1];
}

void GroupLog::append(LoggedEntry entry, bool counts) {
    CHECK(entry.index.value == last().value + 1);
    entry.end = endOf(last()) + entry.bytes->size();
    if (auto members = counts ? membersOf(entry) : std::nullopt) configs_.emplace_back(entry.index, std::move(*members));
    entries_.push_back(std::move(entry));
}

void GroupLog::truncateAfter(Index i) {
    CHECK(i >= base_.index);
    while (last() > i) entries_.pop_back();
    while (!configs_.empty() && configs_.back().first > i) configs_.pop_back();
}

LogBase GroupLog::baseAt(Index i) const {
    LogBase base = base_;
    if (i == base_.index) return base;
    const LoggedEntry& e = at(i);
    base.index = i;
    base.term = e.term;
    base.wall = e.wall;
    base.age = e.age;
    for (const auto& [index, members] : configs_) {
        if (index > i) break;
        base.config = index;
        base.members = members;
    }
    return base;
}

bool GroupLog::mayVote(const Member& m, Index committed) const {
    bool votes = base_.members.votes(m);
    for (const auto& [index, members] : configs_) {
        if (index <= committed) votes = members.votes(m);
        else votes = votes || members.votes(m);
    }
    return votes;
}

void GroupLog::dropUpTo(Index i) {
    if (i <= base_.index) return;
    LogBase base = baseAt(i);
    baseEnd_ = endOf(i);
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(i.value - base_.index.value));
    base_ = std::move(base);
    std::erase_if(configs_, [i](const auto& c) { return c.first <= i; });
}

void GroupLog::reset(LogBase base) {
    entries_.clear();
    configs_.clear();
    base_ = std::move(base);
}

// --- GroupPast ------------------------------------------------------------------------------------------------

bool GroupPast::takeVote(std::string_view payload) {
    VoteRow row;
    if (!wire::decodeRow(payload, row) || row.term.value > kMaxCount) return false;
    if (row.term >= vote_.term) vote_ = row;
    return true;
}

bool GroupPast::takeBase(std::string_view payload) {
    LogBase base;
    if (!wire::decodeRow(payload, base) || base.index.value > kMaxCount || base.term.value > kMaxCount) return false;
    entries_.clear();
    carried_.clear();
    start_ = std::move(base);
    if (start_.term > vote_.term) vote_ = {start_.term, {}};
    return true;
}

bool GroupPast::takeEntry(std::string payload) {
    auto entry = readEntry(group_, std::move(payload));
    carried_.clear(); // they stand together: the rest was never written
    return entry && put(std::move(*entry));
}

bool GroupPast::takeCarried(std::string_view payload) {
    Carried row;
    if (!wire::decodeRow(payload, row)) return false;
    auto entry = readEntry(group_, std::move(row.entry.value));
    if (!entry || entry->index < row.first || entry->index > row.last) return false;
    if (entry->index == row.first) carried_.clear();
    // Without their beginning: it was in a segment that is gone, and so they were needed no more.
    else if (carried_.empty() || carried_.back().index.value + 1 != entry->index.value) return true;
    const bool whole = entry->index == row.last;
    carried_.push_back(std::move(*entry));
    if (!whole) return true;
    for (LoggedEntry& e : std::exchange(carried_, {}))
        if (!put(std::move(e))) return false;
    return true;
}

bool GroupPast::put(LoggedEntry entry) {
    if (entry.term > vote_.term) vote_ = {entry.term, {}};
    const bool known = !entries_.empty() || start_.index.value != 0;
    if (known) {
        const u64 last = entries_.empty() ? start_.index.value : entries_.back().index.value;
        if (entry.index.value > last + 1) return false;
        if (entry.index <= start_.index) return true; // of the base already
        while (!entries_.empty() && entries_.back().index >= entry.index) entries_.pop_back();
    }
    entries_.push_back(std::move(entry));
    return true;
}

bool GroupPast::join(const LogBase& rows, GroupLog& log) const {
    log.reset(rows);
    log.baseDue(false);
    if (entries_.empty()) {
        log.baseDue(start_.index.value != 0 && rows.index > start_.index);
        return rows.index >= start_.index;
    }
    const Index first = entries_.front().index, last = entries_.back().index;
    if (first.value > rows.index.value + 1) return false;
    if (last < rows.index) { // the rows are of a snapshot behind all of them
        log.baseDue(true);
        return true;
    }
    if (first <= rows.index && entries_[rows.index.value - first.value].term != rows.term) {
        PROBE("a snapshot was installed, and the log not yet begun anew");
        log.baseDue(true);
        return true;
    }
    if (first <= rows.index) { // what comes before the rows' index serves followers that are behind
        LogBase base = rows;
        base.index = first;
        base.term = entries_.front().term;
        base.wall = entries_.front().wall;
        base.age = entries_.front().age;
        log.reset(std::move(base));
    }
    // Membership changes up to the rows' index are in rows.members.
    for (const LoggedEntry& e : entries_) {
        if (e.index <= log.base().index) continue;
        log.append(e, e.index > rows.index);
    }
    return true;
}

} // namespace skua::raft
