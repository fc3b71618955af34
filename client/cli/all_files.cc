// The commands on files and directories.
#include "client/cli/all.h"

namespace skua::cli {

void addFileCommands(Commands&) {}

}  // namespace skua::cli
