#include "core/base/flags.h"

#include <sys/resource.h>
#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include "core/base/man.h"
#include "core/base/version.h"

namespace skua {

namespace {

using Apps = std::vector<const CLI::App*>;

Apps commandsOf(const CLI::App* app) {
    return app->get_subcommands([](const CLI::App*) { return true; });
}

// "skua admin set-up"
std::string pathOf(const CLI::App* app) {
    return (app->get_parent() ? pathOf(app->get_parent()) + " " : std::string()) + app->get_name();
}

// As people write it: a positional that names several things itself ("SOURCE... DEST") gets no dots more.
std::string shownPositional(const CLI::Option* o) {
    std::string text = o->get_name(true, false);
    if (o->get_items_expected_max() > 1 && text.find("...") == text.npos) text += "...";
    return o->get_required() ? text : "[" + text + "]";
}

class Formatter final : public CLI::Formatter {
public:
    std::string make_option_usage(const CLI::Option* o) const override { return shownPositional(o); }
    // "TEXT ... REQUIRED" says less than the usage above it.
    std::string make_option_opts(const CLI::Option* o) const override {
        return o->get_positional() ? std::string() : CLI::Formatter::make_option_opts(o);
    }
};

std::string usageOf(const CLI::App* app) {
    std::string text = "usage: " + pathOf(app);
    bool options = false;
    for (const CLI::Option* o : app->get_options()) options = options || (o->nonpositional() && o != app->get_help_ptr());
    if (options) text += " [OPTIONS]";
    for (const CLI::Option* o : app->get_options())
        if (o->nonpositional() && o->get_required()) text += " " + o->get_name(false, false) + " " + "VALUE";
    for (const CLI::Option* o : app->get_options())
        if (o->get_positional()) text += " " + shownPositional(o);
    if (!commandsOf(app).empty()) text += " COMMAND";
    return text + "\n`" + pathOf(app) + " --help` tells more\n";
}

// Letters to insert, drop, change or swap.
std::size_t distance(const std::string& a, const std::string& b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); i++)
        for (std::size_t j = 0; j <= b.size(); j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[a.size()][b.size()];
}

std::string unknownCommand(const CLI::App* app, const std::string& word) {
    std::string near;
    std::size_t least = word.size() <= 3 ? 2 : 3; // how far is too far
    for (const CLI::App* c : commandsOf(app)) {
        const std::string name = c->get_name();
        const bool begins = word.size() > 1 && name.starts_with(word);
        const std::size_t d = begins ? 1 : word.size() < 40 ? distance(word, name) : least;
        if (d < least) near = name, least = d;
    }
    const std::string path = pathOf(app), group = app->get_parent() ? app->get_name() + " " : "";
    return "unknown command '" + group + word.substr(0, 80) + "'" +
           (near.empty() ? "; `" : "; did you mean '" + group + near + "'? `") + path + " --help` lists them";
}

// What is wrong with the words that should be commands; empty: nothing, as far as we can see.
std::string commandProblem(const CLI::App* app, const std::vector<std::string>& words) {
    for (const std::string& word : words)
        if (word == "-h" || word == "--help" || word == "--version") return {};
    for (std::size_t i = 0; i < words.size() && !commandsOf(app).empty(); i++) {
        const std::string& word = words[i];
        if (word.size() > 1 && word[0] == '-') {
            const bool lengthy = word.starts_with("--");
            const std::string name = lengthy ? word.substr(0, word.find('=')) : word.substr(0, 2);
            const CLI::Option* o = name == "--" ? nullptr : app->get_option_no_throw(name);
            if (!o) return {}; // said elsewhere
            const bool has_value = lengthy ? word.find('=') != word.npos : word.size() > 2;
            if (o->get_items_expected_max() > 0 && !has_value) i++;
            continue;
        }
        const CLI::App* next = nullptr;
        for (const CLI::App* c : commandsOf(app))
            if (c->get_name() == word) next = c;
        if (!next) return unknownCommand(app, word);
        app = next;
    }
    if (commandsOf(app).empty() || app->get_require_subcommand_min() == 0) return {};
    return "which command? `" + pathOf(app) + " --help` lists them";
}

} // namespace

struct Flags::Inner {
    std::unique_ptr<CLI::App> owned; // the program's; empty for a subcommand
    CLI::App* app = nullptr;
    std::vector<std::unique_ptr<Flags>> commands;
    std::string examples, notes;
};

Flags::Flags(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
Flags::~Flags() = default;

Flags::Flags(const std::string& program, const std::string& description) : inner_(std::make_unique<Inner>()) {
    inner_->owned = std::make_unique<CLI::App>(description, program);
    inner_->app = inner_->owned.get();
    inner_->app->formatter(std::make_shared<Formatter>()); // commands take it over
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

void Flags::require(const std::string& name) { inner_->app->get_option(name)->required(); }

void Flags::example(const std::string& text) {
    inner_->examples += (inner_->examples.empty() ? "" : "\n  ") + text;
    showFooter();
}
void Flags::note(const std::string& text) {
    inner_->notes = text;
    showFooter();
}
void Flags::showFooter() {
    std::string text = inner_->notes;
    if (!inner_->examples.empty()) text += (text.empty() ? "" : "\n\n") + ("Example:\n  " + inner_->examples);
    inner_->app->footer(text);
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

ManPage Flags::page() const {
    ManPage page;
    page.title = page.command = pathOf(inner_->app);
    page.help = inner_->app->get_description();
    page.flags = describe();
    page.notes = inner_->notes;
    page.example = inner_->examples;
    for (const auto& c : inner_->commands) page.commands.push_back(c->page());
    return page;
}

void Flags::parse(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--man-page") { // for make install
        ManPage page = this->page();
        while (page.help.ends_with('.')) page.help.pop_back();
        page.section = 8;
        page.may_be_interrupted = false;
        std::fputs(manText(page).c_str(), stdout);
        std::exit(std::fflush(stdout) == 0 ? 0 : 1);
    }
    const CLI::App* at = inner_->app;
    std::string wrong = commandProblem(at, std::vector<std::string>(argv + 1, argv + argc));
    if (wrong.empty()) {
        try {
            inner_->app->parse(argc, argv);
            return;
        } catch (const CLI::ParseError& e) {
            if (e.get_exit_code() == 0) std::exit(inner_->app->exit(e));              // prints help or version
            while (!at->get_subcommands().empty()) at = at->get_subcommands().back(); // as far as it was understood
            wrong = std::string(e.what()) + "\n" + usageOf(at);
            wrong.pop_back();
        }
    }
    std::fprintf(stderr, "%s: %s\n", inner_->app->get_name().c_str(), wrong.c_str());
    std::exit(2);
}

Result<> Flags::tryParse(std::vector<std::string> arguments) {
    if (const std::string wrong = commandProblem(inner_->app, arguments); !wrong.empty()) return Error(Code::Invalid, wrong);
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
