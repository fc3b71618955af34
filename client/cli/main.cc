// skua: the command line. Commands stand in files of their own; all.h lists them.
#include <csignal>
#include "client/cli/all.h"
#include "core/base/log.h"

int main(int argc, char** argv) {
    using namespace skua::cli;
    skua::log::setLevel(skua::log::Level::kError);
    skua::Flags root("skua", "A distributed file system for large data sets. Remote paths are written skua:/path, or /path where nothing else makes sense.");
    Settings settings;
    settings.program = argv[0];
    root.option("--config", settings.config, "Configuration file of the cluster (default: SKUA_CONFIG, ./skua.conf, …)");
    root.requireCommand();
    Commands all(root, settings);
    addCluster(all);
    addStatus(all);
    addMount(all);
    addFileCommands(all);
    addBenchDisk(all);
    addAdmin(all);
    addInternal(all);
    root.parse(argc, argv);
    return all.run();
}
