// skua: the command line. Commands stand in files of their own; all.h lists them.
#include "client/cli/all.h"
#include "client/cli/interrupt.h"
#include "core/base/log.h"

int main(int argc, char** argv) {
    using namespace skua::cli;
    handleInterrupts();
    skua::raiseFileLimit();
    skua::log::setLevel(skua::log::Level::kError);
    skua::Flags root("skua",
                     "A distributed file system for large data sets. Remote paths are written skua:/path, or /path where nothing "
                     "else makes sense.");
    Settings settings;
    root.option("--config", settings.config,
                "Configuration file of the cluster (default: SKUA_CONFIG, ./skua.conf, ~/.config/skua/skua.conf, "
                "/etc/skua/skua.conf, the local cluster's)");
    root.requireCommand();
    Commands all(root, settings);
    addCluster(all);
    addStatus(all);
    addMount(all);
    addFileCommands(all);
    addBench(all);
    addAdmin(all);
    addInternal(all);
    root.example("skua cluster up && skua cp -r /etc skua:/etc && skua ls -l /etc");
    root.parse(argc, argv);
    const int code = all.run();
    flushOutput();
    return code;
}
