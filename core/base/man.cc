#include "core/base/man.h"

#include <cctype>
#include "core/base/version.h"

namespace skua {

namespace {

std::string synopsis(const ManPage& page) {
    std::string text = ".B " + roff(page.command) + "\n";
    for (const FlagInfo& f : page.flags) {
        std::string one = f.name;
        if (!f.positional) one = f.name.substr(0, f.name.find(',')) + (f.takes_value ? " VALUE" : "");
        if (!f.required) one = "[" + one + "]";
        if (f.positional && f.many && one.find("...") == one.npos) one += "...";
        text += roff(one) + "\n";
    }
    return text;
}

std::string options(const ManPage& page) {
    std::string text;
    for (const FlagInfo& f : page.flags) {
        const std::string shown = f.positional ? f.name : f.name + (f.takes_value ? " VALUE" : "");
        text += ".TP\n.B " + roff(shown) + "\n" + roff(f.help) +
                (f.fallback.empty() || !f.takes_value ? "" : roff(" (default: " + f.fallback + ")")) + ".\n";
    }
    return text;
}

std::string sentence(const std::string& help) { return roff(help) + (help.ends_with('.') ? "\n" : ".\n"); }

} // namespace

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

std::string manHeader(const ManPage& page) {
    std::string upper;
    for (char c : page.title) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return ".TH " + upper + " " + std::to_string(page.section) + " \"\" \"SkuaFS " + kRelease + "\"\n.SH NAME\n" +
           roff(page.title + " - " + page.help) + "\n";
}

std::string manText(const ManPage& page) {
    std::string text = manHeader(page) + ".SH SYNOPSIS\n" + synopsis(page);
    for (const ManPage& c : page.commands) text += ".br\n" + synopsis(c);
    text += ".SH DESCRIPTION\n" + sentence(page.help) + ".SH OPTIONS\n" + options(page);
    if (!page.commands.empty()) text += ".SH COMMANDS\n";
    for (const ManPage& c : page.commands) text += ".SS " + roff(c.command) + "\n" + sentence(c.help) + options(c);
    if (!page.notes.empty()) text += ".SH NOTES\n.nf\n" + roff(page.notes) + "\n.fi\n";
    if (!page.example.empty()) text += ".SH EXAMPLE\n.nf\n" + roff(page.example) + "\n.fi\n";
    text += std::string(".SH EXIT STATUS\n0: done; 1: failed; 2: wrong usage") +
            (page.may_be_interrupted ? "; 130: interrupted" : "") + ".\n.SH SEE ALSO\nskua(1)\n";
    return text;
}

} // namespace skua
