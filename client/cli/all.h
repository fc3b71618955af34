// Every file of commands, so that main.cc can add them.
#pragma once

#include "client/cli/command.h"

namespace skua::cli {

void addCluster(Commands& all);
void addStatus(Commands& all);
void addMount(Commands& all);
void addBench(Commands& all); // all_files.cc: disk, io, meta
void addBenchDisk(Commands& all);
void addBenchIo(Commands& all);
void addBenchMeta(Commands& all);
void addAdmin(Commands& all);
void addInternal(Commands& all);
void addFileCommands(Commands& all); // all_files.cc: all that follow

void addCp(Commands& all);
void addPut(Commands& all);
void addCat(Commands& all);
void addLs(Commands& all);
void addTree(Commands& all);
void addFind(Commands& all);
void addStat(Commands& all);
void addDu(Commands& all);
void addDf(Commands& all);
void addMkdir(Commands& all);
void addRmdir(Commands& all);
void addMv(Commands& all);
void addRm(Commands& all);
void addLn(Commands& all);
void addTouch(Commands& all);
void addChmod(Commands& all);
void addChown(Commands& all);
void addXattr(Commands& all);
void addVersions(Commands& all);
void addUndelete(Commands& all);
void addPurge(Commands& all);
void addPolicy(Commands& all);

} // namespace skua::cli
