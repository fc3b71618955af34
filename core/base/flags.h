// Flags: a command line. The only place that knows CLI11 (it costs seconds per file that includes it).
//
//   Flags flags("skua-shard", "Serves a part of the namespace.");
//   Common common; flags.common(common);
//   u64 cache_mib = 256; flags.option("--cache-mib", cache_mib, "Memory for the cache, MiB");
//   Flags& format = flags.command("format", "Makes a disk"); format.positional("DIR", dirs, "Where");
//   flags.parse(argc, argv);         exits: 0 after --help and --version, 2 on a usage error, which it tells with the
//                                    usage of that command; of an unknown command with the nearest one there is
//
// Variables that options write to outlive parse(). Defaults are shown in the help.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>
#include "core/base/result.h"

namespace skua {

// The flags that every daemon has.
struct Common {
    std::string config;                             // --config FILE
    std::string dir;                                // --dir DIR: the data
    std::vector<std::string> listen{"127.0.0.1:0"}; // --listen A,B
    std::vector<std::string> registry;              // --registry A,B,C
    std::string domain;                             // --domain NAME: the failure domain
    std::string log_level = "info";                 // --log-level
    std::string log_file;                           // --log FILE; empty: stderr
};

// One option or positional, as manual pages and completion need it.
struct FlagInfo {
    std::string name;           // "-j,--jobs", or "PATH"
    std::string help, fallback; // `fallback`: the default, if it says something
    bool positional = false, takes_value = false, required = false, many = false;
};

struct ManPage;

class Flags {
public:
    Flags(const std::string& program, const std::string& description);
    ~Flags();
    Flags(const Flags&) = delete;

    void common(Common& to);
    // `name` as "--jobs" or "-j,--jobs".
    void option(const std::string& name, std::string& to, const std::string& help);
    void option(const std::string& name, u64& to, const std::string& help);
    void option(const std::string& name, u32& to, const std::string& help);
    void option(const std::string& name, i64& to, const std::string& help);
    void option(const std::string& name, double& to, const std::string& help);
    void option(const std::string& name, std::vector<std::string>& to, const std::string& help);   // repeated, or a,b,c
    void repeated(const std::string& name, std::vector<std::string>& to, const std::string& help); // repeated; commas stay
    void flag(const std::string& name, bool& to, const std::string& help);
    void positional(const std::string& name, std::string& to, const std::string& help, bool required = true);
    void positional(const std::string& name, std::vector<std::string>& to, const std::string& help, bool required = true);
    void require(const std::string& name); // this option must be given
    void example(const std::string& text); // shown at the end of --help
    void note(const std::string& text);    // more for --help, before the examples
    // A subcommand, with options of its own; lives as long as this. Nested ones may be added to it.
    Flags& command(const std::string& name, const std::string& help);
    void requireCommand();                     // one of them must be given
    bool chosen() const;                       // this subcommand was given
    bool given(const std::string& name) const; // this option was on the command line
    std::vector<FlagInfo> describe() const;    // options and positionals, in order, without --help

    void parse(int argc, char** argv);
    // The same without exiting: the Error's detail is the message, for tests.
    Result<> tryParse(std::vector<std::string> arguments);

private:
    void showFooter();
    ManPage page() const;
    struct Inner;
    explicit Flags(std::unique_ptr<Inner> inner);
    std::unique_ptr<Inner> inner_;
};

// The limit of open files becomes the hard one. False: it could not be raised.
bool raiseFileLimit();

} // namespace skua
