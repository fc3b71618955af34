// What is always true of a disk's index; for `inspect` and tests.
//   1. every block lies in one slot of a segment that has a row, or in the table `small`
//   2. no two blocks share a slot     3. a block's length is whole pages, 1 page .. kMaxBlock, and fits its slot
//   4. an unsettled row names a block that is there
#pragma once

#include <string>
#include <vector>
#include "blocks/index.h"

namespace skua::blocks {

// Violations, in words.
std::vector<std::string> problems(Index& index, u64 segment_bytes);

} // namespace skua::blocks
