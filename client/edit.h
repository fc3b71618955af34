// Edits of existing files: dirty bytes are laid over what is there now, in one EditContent (metadata.md).
//
//   Edit edit;  edit.inode = inode;  edit.pieces = {{offset, buffer}, ...};
//   CO_TRY(Attributes now, co_await editFile(client, std::move(edit)));
//
// Only spans that are touched are read, changed and written anew, under new block ids. Somebody else's
// commit in between (Conflict) is met by doing it again over what is there then, so byte ranges of two
// writers merge. Files that fit stay inline. Order: first cut, then pieces in order, then append, then size.
#pragma once

#include <optional>
#include <vector>
#include "client/client.h"

namespace skua::client {

struct EditPiece {
    u64 offset = 0;
    Buffer bytes;
};
struct Edit {
    InodeId inode;
    std::optional<u64> cut;        // the smallest size it was truncated to: bytes from there on are zero
    std::vector<EditPiece> pieces; // any order, may overlap: later ones win
    std::vector<EditPiece> holes;  // bytes empty, see `hole_lengths`; punched before the pieces
    std::vector<u64> hole_lengths; // one per hole
    std::vector<Buffer> append;    // go behind the end found at each try
    std::optional<u64> size;       // exactly this afterwards; none: as far as base and pieces reach
    std::optional<Wall> mtime;
    Policy policy; // resolved, of the file's directory; empty: the cluster's default
};

Task<Result<Attributes>> editFile(Client& client, Edit edit);

// A whole new content for an existing inode from bytes in memory (O_TRUNC and small files).
Task<Result<Attributes>> replaceContent(Client& client, InodeId inode, Policy policy, std::vector<Buffer> bytes,
                                        std::optional<Wall> mtime);

} // namespace skua::client
