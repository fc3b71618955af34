// Every file of commands, so that main.cc can add them.
#pragma once

#include "client/cli/command.h"

namespace skua::cli {

void addCluster(Commands& all);
void addStatus(Commands& all);
void addMount(Commands& all);
void addBenchDisk(Commands& all);
void addAdmin(Commands& all);
void addInternal(Commands& all);
void addFileCommands(Commands& all);    // all_files.cc

}  // namespace skua::cli
