#include "tests/sim/promises.h"

namespace skua::sim {

void Disk::wrote(const raft::RecordToWrite& record) {
    OfGroup& g = groups_[record.group];
    if (record.kind == raft::RecordKind::kEntry) {
        auto entry = raft::readEntry(record.group, record.payload);
        if (!entry) return;
        g.terms.erase(g.terms.lower_bound(entry->index.value), g.terms.end());
        g.terms.emplace(entry->index.value, entry->term);
        return;
    }
    if (record.kind == raft::RecordKind::kBase) {
        raft::LogBase base;
        if (!wire::decodeRow(record.payload, base)) return;
        g.terms.clear();
        g.terms.emplace(base.index.value, base.term);
        return;
    }
    if (record.kind == raft::RecordKind::kCarried) return; // says nothing new
    raft::VoteRow vote;
    if (wire::decodeRow(record.payload, vote) && vote.term >= g.vote.term) g.vote = vote;
}

void Disk::rows(GroupId group, Index index, Term term) {
    auto& terms = groups_[group].terms;
    groups_[group].rows = std::max(groups_[group].rows, index);
    if (auto at = terms.find(index.value); at != terms.end() && at->second == term) return;
    terms.clear();
    terms.emplace(index.value, term);
}

void Promises::voted(World& world, const raft::GroupMessage& m, u64 store, u64 vote, Disk& disk) {
    auto [before, _] = votes_.emplace(std::tuple(m.group.value, m.term.value, store), vote);
    if (before->second != vote)
        world.fail(fmt::format("server {} votes for two members of group {} in term {}", m.from.server.value, m.group.value,
                               m.term.value));
    const raft::VoteRow& saved = disk.vote(m.group);
    if (saved.term < m.term || (saved.term == m.term && saved.vote.store != vote))
        world.fail(fmt::format("server {} tells its vote of term {} in group {} before it is durable", m.from.server.value,
                               m.term.value, m.group.value));
}

void Promises::sent(World& world, const raft::GroupMessage& m, const raft::Server& server, Disk& disk) {
    if (auto* ask = std::get_if<raft::AskVote>(&m.body); ask && !ask->pre)
        return voted(world, m, m.from.store, m.from.store, disk);
    if (auto* vote = std::get_if<raft::Vote>(&m.body); vote && !vote->pre && vote->granted)
        return voted(world, m, m.from.store, m.to.store, disk);
    auto* ack = std::get_if<raft::Appended>(&m.body);
    const raft::Group* group = server.group(m.group);
    if (!ack || !ack->agrees || !group || group->term() != m.term) return;
    const auto& terms = disk.terms(m.group);
    if (!terms.empty() && ack->durable.value < terms.begin()->first) return;
    // An entry that was on its way when a snapshot came is written over what the rows have.
    if (ack->durable <= disk.rowsOf(m.group)) return;
    auto saved = terms.find(ack->durable.value);
    const bool other =
        saved != terms.end() && group->log().has(ack->durable) && group->log().termAt(ack->durable) != saved->second;
    if (ack->durable.value != 0 && (saved == terms.end() || other))
        world.fail(fmt::format("server {} acknowledges entry {} of group {} before it is durable: its log has {} to {}",
                               m.from.server.value, ack->durable.value, m.group.value, terms.empty() ? 0 : terms.begin()->first,
                               terms.empty() ? 0 : terms.rbegin()->first));
}

void Promises::leads(World& world, const raft::Group& group, u32 id) {
    auto before = committed_.lower_bound({id, group.term().value});
    if (before == committed_.begin()) return;
    --before;
    if (before->first.first != id) return;
    const auto [index, term] = before->second;
    const raft::GroupLog& log = group.log();
    if (log.last() < index || (log.has(index) && log.termAt(index) != term))
        world.fail(fmt::format("the leader of group {} in term {} lacks entry {}, which was committed in term {}", id,
                               group.term().value, index.value, before->first.second));
}

void Promises::look(World& world, const raft::Server& server, u64 store, Monotonic now, Seen& seen) {
    for (const auto& [group_id, _] : server.appliedIndexes()) {
        const raft::Group* group = server.group(group_id);
        if (group) {
            const std::pair has{group->committed(), group->applied()};
            auto& had = seen.had[group_id];
            if (has.first < had.first || has.second < had.second)
                world.fail(fmt::format("group {} goes back: committed={} applied={}, and had {} and {}", group_id.value,
                                       has.first.value, has.second.value, had.first.value, had.second.value));
            had = has;
        }
        if (!group || !group->leads()) {
            seen.led.erase(group_id);
            continue;
        }
        const u32 id = group_id.value;
        const OfTerm of_term{id, group->term().value};
        auto [leader, fresh] = leaders_.emplace(of_term, store);
        if (leader->second != store) world.fail(fmt::format("group {} has two leaders in term {}", id, of_term.second));
        if (fresh) leads(world, *group, id);
        const Index committed = group->committed();
        const raft::GroupLog& log = group->log();
        if (auto at = seen.led.find(group_id); at != seen.led.end() && at->second.term == group->term()) {
            const Seen::Led& was = at->second;
            if (committed > was.committed && !was.needed_rows && log.has(committed) && log.termAt(committed) != group->term())
                world.fail(fmt::format("the leader of group {} in term {} commits entry {}, of an earlier term, by counting", id,
                                       of_term.second, committed.value));
        }
        seen.led[group_id] = {group->term(), committed, group->needsRows()};
        if (log.has(committed) && log.termAt(committed) == group->term()) {
            committed_[of_term] = {committed, group->term()};
            u64& ready = ready_[id];
            ready = std::max(ready, of_term.second);
        }
        if (group->mayRead(now) && of_term.second < ready_[id])
            world.fail(fmt::format("group {} may be read by a lease of term {}, and something was committed in term {}", id,
                                   of_term.second, ready_[id]));
    }
}

} // namespace skua::sim
