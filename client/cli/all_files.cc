// The commands on files and directories, and those that measure.
#include "client/cli/all.h"

namespace skua::cli {

void addFileCommands(Commands& all) {
    for (auto* add :
         {addCp, addPut, addCat, addLs,    addTree,  addFind,  addStat,  addDu,       addDf,       addMkdir, addRmdir,
          addMv, addRm,  addLn,  addTouch, addChmod, addChown, addXattr, addVersions, addUndelete, addPurge, addPolicy})
        add(all);
}

void addBench(Commands& all) {
    for (auto* add : {addBenchDisk, addBenchIo, addBenchMeta}) add(all);
}

} // namespace skua::cli
