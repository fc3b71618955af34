// internal man and internal completion: made from the declarations of the commands.
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include "client/cli/all.h"
#include "core/base/version.h"

namespace skua::cli {

namespace {

std::string roff(const std::string& text) {
    std::string out;
    for (char c : text) {
        if (c == '\\') out += "\\e";
        else if (c == '-') out += "\\-";
        else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += std::string("\\&") + c;
        else out += c;
    }
    return out;
}

std::string pageName(const std::string& command) {
    std::string name = "skua-" + command;
    for (char& c : name)
        if (c == ' ') c = '-';
    return name;
}

std::string header(const std::string& page, const std::string& help) {
    std::string title;
    for (char c : page) title += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return ".TH " + title + " 1 \"\" \"SkuaFS " + kRelease + "\"\n.SH NAME\n" + roff(page + " - " + help) + "\n";
}

std::string page(const Commands::Command& c) {
    std::string synopsis = ".B " + roff("skua " + c.name) + "\n", options;
    for (const FlagInfo& f : c.flags->describe()) {
        const std::string shown = f.positional ? f.name : f.name + (f.takes_value ? " VALUE" : "");
        if (f.positional)
            synopsis += roff((f.required ? "" : "[") + f.name + (f.required ? "" : "]") + (f.many ? "..." : "")) + "\n";
        else synopsis += roff("[" + f.name.substr(0, f.name.find(',')) + (f.takes_value ? " VALUE" : "") + "]") + "\n";
        options += ".TP\n.B " + roff(shown) + "\n" + roff(f.help) +
                   (f.fallback.empty() || !f.takes_value ? "" : roff(" (default: " + f.fallback + ")")) + ".\n";
    }
    std::string text = header(pageName(c.name), c.help) + ".SH SYNOPSIS\n" + synopsis + ".SH DESCRIPTION\n" + roff(c.help) +
                       ".\n.SH OPTIONS\n" + options;
    if (!c.example.empty()) text += ".SH EXAMPLE\n.nf\n" + roff(c.example) + "\n.fi\n";
    return text + ".SH EXIT STATUS\n0: done; 1: failed; 2: wrong usage; 130: interrupted.\n.SH SEE ALSO\nskua(1)\n";
}

int manPages(const Commands& all, const std::string& dir) {
    std::error_code ec;
    std::filesystem::create_directories(dir, ec);
    std::ofstream main_page(dir + "/skua.1");
    main_page << header("skua", "a distributed file system for large data sets")
              << ".SH SYNOPSIS\n.B skua\nCOMMAND [OPTIONS]\n.SH COMMANDS\n";
    for (const auto& c : all.all()) {
        if (c.name.starts_with("internal")) continue;
        main_page << ".TP\n.BR " << roff(pageName(c.name)) << " (1)\n" << roff(c.help) << ".\n";
        std::ofstream(dir + "/" + pageName(c.name) + ".1") << page(c);
    }
    main_page << ".SH FILES\n"
              << roff(
                     "skua.conf is looked for as --config, SKUA_CONFIG, ./skua.conf, ~/.config/skua/skua.conf, "
                     "/etc/skua/skua.conf, ~/.local/share/skua/default/skua.conf.")
              << "\n";
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
