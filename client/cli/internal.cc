// internal man and internal completion: made from the declarations of the commands.
#include <filesystem>
#include <fstream>
#include <map>
#include "client/cli/all.h"
#include "core/base/man.h"

namespace skua::cli {

namespace {

std::string pageName(const std::string& command) {
    std::string name = "skua-" + command;
    for (char& c : name)
        if (c == ' ') c = '-';
    return name;
}

ManPage pageOf(const Commands::Command& c) {
    ManPage page;
    page.title = pageName(c.name);
    page.command = "skua " + c.name;
    page.help = c.help;
    page.flags = c.flags->describe();
    page.example = c.example;
    return page;
}

int manPages(const Commands& all, const std::string& dir) {
    std::error_code ec;
    std::filesystem::create_directories(dir, ec);
    std::ofstream main_page(dir + "/skua.1");
    ManPage own;
    own.title = "skua";
    own.help = "a distributed file system for large data sets";
    main_page << manHeader(own) << ".SH SYNOPSIS\n.B skua\nCOMMAND [OPTIONS]\n.SH COMMANDS\n";
    for (const auto& c : all.all()) {
        if (c.name.starts_with("internal")) continue;
        main_page << ".TP\n.BR " << roff(pageName(c.name)) << " (1)\n" << roff(c.help) << ".\n";
        std::ofstream(dir + "/" + pageName(c.name) + ".1") << manText(pageOf(c));
    }
    main_page << ".SH FILES\n"
              << roff(
                     "skua.conf is looked for as --config, SKUA_CONFIG, ./skua.conf, ~/.config/skua/skua.conf, "
                     "/etc/skua/skua.conf, ~/.local/share/skua/default/skua.conf.")
              << "\n.SH SEE ALSO\nskua\\-fuse(8), skua\\-registry(8), skua\\-cdc(8), skua\\-shard(8), skua\\-blocks(8)\n";
    return main_page ? kFine : fail(dir + " cannot be written");
}

// Words after "skua", and options of each command.
int completion(const Commands& all) {
    std::map<std::string, std::string> subs, options;
    std::string top;
    for (const auto& c : all.all()) {
        if (c.name.starts_with("internal")) continue;
        const auto space = c.name.find(' ');
        const std::string first = c.name.substr(0, space);
        if (!subs.contains(first)) top += (top.empty() ? "" : " ") + first;
        subs[first] += space == c.name.npos ? "" : " " + c.name.substr(space + 1);
        for (const FlagInfo& f : c.flags->describe())
            if (!f.positional)
                options[c.name] += " " + f.name.substr(f.name.rfind(',') == f.name.npos ? 0 : f.name.rfind(',') + 1);
    }
    std::string out =
        "# bash completion of skua, made by `skua internal completion`\n_skua() {\n    local cur=${COMP_WORDS[COMP_CWORD]} "
        "words= options=\n    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n";
    for (const auto& [name, words] : options)
        out += "    \"" + name + (name.find(' ') == name.npos ? " \"*" : "\"") + ") options=\"" + words.substr(1) + "\" ;;\n";
    out += "    esac\n    case \"${COMP_WORDS[1]}\" in\n";
    for (const auto& [name, words] : subs)
        if (!words.empty()) out += "    " + name + ") [ \"$COMP_CWORD\" = 2 ] && words=\"" + words.substr(1) + "\" ;;\n";
    out += "    esac\n    [ \"$COMP_CWORD\" = 1 ] && words=\"" + top + "\"\n    [[ \"$cur\" = -* ]] && words=$options\n";
    out +=
        "    [ -n \"$words\" ] && COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) || COMPREPLY=($(compgen -f -- "
        "\"$cur\"))\n}\ncomplete -o filenames -F _skua skua\n";
    print(out);
    return kFine;
}

} // namespace

void addInternal(Commands& all) {
    auto dir = std::make_shared<std::string>();
    Flags& man = all.add("internal man", "Writes the man pages", "", [&all, dir] { return manPages(all, *dir); });
    man.positional("DIR", *dir, "Where to");
    all.add("internal completion", "Prints the completion for bash", "", [&all] { return completion(all); });
}

} // namespace skua::cli
