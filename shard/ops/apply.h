// One function per operation, one file each in this folder; a missing one is found by the linker.
//
//   read<Op>     a query, on a leader that may read
//   admit<Op>    the leader's check before it proposes, of what is not state: receipts. Most need none
//   apply<Op>    a logged request, on every replica. An error changes nothing (the host drops the writes)
//   act<Action>  a step of the coordinator (ops/step.cc remembers what it answered)
#pragma once

#include "shard/context.h"

namespace skua::shard {

template <class Op>
Result<typename Op::Reply> read(const Reading&, const Op&);
template <class Op>
Result<typename Op::Reply> apply(Context&, const Op&);
template <class Action>
Result<typename Action::Reply> act(Context&, TxnId, const Action&);

template <class Op>
Result<> admit(const Reading&, const Op&) {
    return Ok{};
}
template <>
Result<> admit<StageSpans>(const Reading&, const StageSpans&);
template <>
Result<> admit<CommitFile>(const Reading&, const CommitFile&);
template <>
Result<> admit<SetContent>(const Reading&, const SetContent&);
template <>
Result<> admit<EditContent>(const Reading&, const EditContent&);
template <>
Result<> admit<ReplaceBlock>(const Reading&, const ReplaceBlock&);

// Encoded reply of Step's action: Step::Reply is only a name for it.
Result<std::string> applyStep(Context&, const Step&);
// PurgeNow of a past content.
Result<> purgeContentNow(Context&, InodeId inode, Wall until); // ops/purge_content.cc

} // namespace skua::shard
