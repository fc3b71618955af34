#include "core/base/flags.h"

#include <sys/resource.h>
#include <algorithm>
#include <CLI/CLI.hpp>
#include "core/base/version.h"

namespace skua {

struct Flags::Inner {
    std::unique_ptr<CLI::App> owned; // the program's; empty for a subcommand
    CLI::App* app = nullptr;
    std::vector<std::unique_ptr<Flags>> commands;
    std::string examples;
};

Flags::Flags(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
Flags::~Flags() = default;

Flags::Flags(const std::string& program, const std::string& description) : inner_(std::make_unique<Inner>()) {
    inner_->owned = std::make_unique<CLI::App>(description, program);
    inner_->app = inner_->owned.get();
    inner_->app->set_version_flag("--version", program + ": " + versionText(), "Print release, protocol and format");
    inner_->app->set_help_flag("-h,--help", "Print this help");
}

void Flags::common(Common& to) {
    option("--config", to.config,
           "Configuration file (default: SKUA_CONFIG, ./skua.conf, ~/.config/skua/skua.conf, /etc/skua/skua.conf)");
    option("--dir", to.dir, "Directory of the data");
    option("--listen", to.listen, "Addresses to listen on, comma separated; port 0: the kernel picks one");
    option("--registry", to.registry, "Addresses of the registry's members, comma separated");
    option("--domain", to.domain, "Failure domain of this process");
    option("--log-level", to.log_level, "debug, info, warn or error");
    option("--log", to.log_file, "Log file, rotated at 5 x 16 MiB (default: stderr)");
}

// The help shows a default that says something: not "", not an empty list.
#define SKUA_ADD(show)                                 \
    auto* o = inner_->app->add_option(name, to, help); \
    if (show) o->capture_default_str()
void Flags::option(const std::string& name, std::string& to, const std::string& help) { SKUA_ADD(!to.empty()); }
void Flags::option(const std::string& name, u64& to, const std::string& help) { SKUA_ADD(true); }
void Flags::option(const std::string& name, u32& to, const std::string& help) { SKUA_ADD(true); }
void Flags::option(const std::string& name, i64& to, const std::string& help) { SKUA_ADD(true); }
void Flags::option(const std::string& name, double& to, const std::string& help) { SKUA_ADD(true); }
void Flags::option(const std::string& name, std::vector<std::string>& to, const std::string& help) {
    SKUA_ADD(!to.empty());
    o->delimiter(',')->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
}
void Flags::repeated(const std::string& name, std::vector<std::string>& to, const std::string& help) {
    SKUA_ADD(!to.empty());
    o->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
}
#undef SKUA_ADD
void Flags::flag(const std::string& name, bool& to, const std::string& help) { inner_->app->add_flag(name, to, help); }
void Flags::positional(const std::string& name, std::string& to, const std::string& help, bool required) {
    inner_->app->add_option(name, to, help)->required(required);
}
void Flags::positional(const std::string& name, std::vector<std::string>& to, const std::string& help, bool required) {
    inner_->app->add_option(name, to, help)->required(required);
}

void Flags::example(const std::string& text) {
    inner_->examples += (inner_->examples.empty() ? "Example:\n  " : "\n  ") + text;
    inner_->app->footer(inner_->examples);
}

Flags& Flags::command(const std::string& name, const std::string& help) {
    auto inner = std::make_unique<Inner>();
    inner->app = inner_->app->add_subcommand(name, help);
    inner_->commands.emplace_back(new Flags(std::move(inner)));
    return *inner_->commands.back();
}

void Flags::requireCommand() { inner_->app->require_subcommand(1); }
bool Flags::chosen() const { return inner_->app->parsed(); }
bool Flags::given(const std::string& name) const { return inner_->app->count(name) > 0; }

std::vector<FlagInfo> Flags::describe() const {
    std::vector<FlagInfo> all;
    for (const CLI::Option* o : static_cast<const CLI::App*>(inner_->app)->get_options()) {
        if (o == inner_->app->get_help_ptr()) continue;
        FlagInfo one;
        one.positional = o->nonpositional() ? false : o->get_positional();
        one.name = o->get_name(one.positional, true);
        one.help = o->get_description();
        one.fallback = o->get_default_str();
        one.takes_value = o->get_items_expected_max() > 0;
        one.required = o->get_required();
        one.many = o->get_items_expected_max() > 1;
        all.push_back(std::move(one));
    }
    return all;
}

void Flags::parse(int argc, char** argv) {
    try {
        inner_->app->parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        const int code = inner_->app->exit(e); // prints help, version or what is wrong
        std::exit(code == 0 ? 0 : 2);
    }
}

Result<> Flags::tryParse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end()); // as CLI11 wants them
    try {
        inner_->app->parse(arguments);
    } catch (const CLI::ParseError& e) { return Error(Code::Invalid, e.what()); }
    return Ok{};
}

bool raiseFileLimit() {
    rlimit r{};
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return false;
    r.rlim_cur = r.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &r) == 0;
}

} // namespace skua
