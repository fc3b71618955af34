// From a FileReader into a local descriptor, or only into a sum.
#pragma once

#include "client/cli/sum.h"
#include "client/reader.h"
#include "core/async/ring.h"

namespace skua::cli {

struct OutOptions {
    int fd = -1;
    bool positioned = false; // a regular file of our own: written in parallel, holes stay holes
    u64* counter = nullptr;  // is raised, for progress
    Sum* sum = nullptr;
};
// How many bytes. Errors of the descriptor have its words only: the caller knows the path.
Task<Result<u64>> copyOut(Ring& ring, client::FileReader& reader, OutOptions options);
// The same without a descriptor.
Task<Result<u64>> sumOf(client::FileReader& reader, Sum& sum);

} // namespace skua::cli
