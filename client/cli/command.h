// Commands: what `skua` can do, one file each. A command adds itself to the Flags (names, help, example: the
// man pages and the completion come from the same declarations) and says what to run.
//
//   void addLs(Commands& all) {
//       auto o = std::make_shared<LsOptions>();
//       Flags& f = all.add("ls", "Lists a directory", "skua ls -l /data", [o] { return ls(*o); });
//       f.positional("PATH", o->path, "What to list");
//   }
//
// Exit codes: 0 fine, 1 failed, 2 usage. Messages go to stderr and name the path, what happened, what to do.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>
#include "client/files.h"
#include "client/process.h"
#include "core/base/flags.h"

namespace skua::cli {

using client::Client;
using client::FileSystem;

inline constexpr int kFine = 0, kFailed = 1, kUsage = 2, kInterrupted = 130;

struct Settings {
    std::string config; // --config
};

class Commands {
public:
    Commands(Flags& root, Settings& settings) : root_(root), settings(settings) {}
    // `name` may be two words ("cluster up"): the first is made once.
    Flags& add(const std::string& name, const std::string& help, const std::string& example, std::function<int()> run);
    // Of the command that was chosen; kUsage if none.
    int run();

    struct Command {
        std::string name, help, example;
        Flags* flags = nullptr;
        std::function<int()> run;
    };
    const std::vector<Command>& all() const { return all_; }
    std::string groupHelp(const std::string& name) const;

private:
    Flags& root_;
    std::vector<std::pair<std::string, Flags*>> groups_;
    std::vector<Command> all_;

public:
    Settings& settings;
};

// --- for commands ----------------------------------------------------------------------------------------------

// Prints "skua: message" to stderr; gives kFailed.
// What print() left in the buffer goes out now; if it cannot, the process says so and ends with 1.
void flushOutput(bool fine = true);
// The message of an error; where its detail says why, not the vaguer words of its code before it.
std::string told(const Error& error);
int fail(const Error& error);
int fail(const std::string& message);
int usage(const std::string& message);
void print(const char* text);
void print(const std::string& text); // to stdout; a closed pipe ends the program silently
void print(const nlohmann::json& value);

// Runs `work` with a started client. Errors of both are printed.
int withClient(const Settings& settings, const std::function<Task<Result<>>(Client&)>& work);
// The same, with exit codes of its own.
int withClientCode(const Settings& settings, const std::function<Task<int>(Client&)>& work);
int withProcess(const Settings& settings, const std::function<int(client::Process&)>& work);

// "skua:/a" -> "/a"; a bare "/a" too. Invalid: it is no remote path.
Result<std::string> remotePath(const std::string& text);
bool isRemote(const std::string& text); // begins with "skua:"

// As a shell takes it, and as ls(1) shows it: 'my file', 'a'$'\n''b'; unchanged where nothing is special. What is no
// UTF-8, and control characters, become $'\ooo'.
std::string shellQuoted(const std::string& text);
// For stdout: quoted on a terminal, the very bytes elsewhere.
std::string shownName(const std::string& name);

// Like a shell's: * ? [a-z].
bool matches(const std::string& pattern, const std::string& name);
// "4096", "64K", "1.5G" (1024 each), Invalid else.
Result<u64> parseBytes(const std::string& text);
// "30s", "5m", "12h", "7d", or seconds: in nanoseconds.
Result<u64> parseDuration(const std::string& text);
client::Owner ourOwner();          // of new files: the user who runs us
std::string humanBytes(u64 bytes); // "1.5 GiB"
std::string humanTime(Wall wall);  // "2026-11-22 13:05"
std::string modeText(u32 mode);    // "drwxr-xr-x"
nlohmann::json toJson(const Attributes& a);
Wall wallNow();

} // namespace skua::cli
