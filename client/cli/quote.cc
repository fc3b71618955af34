// Names may have any byte but '/' and NUL: on a terminal they are quoted, as GNU's ls does ("shell-escape").
#include <unistd.h>
#include <cstdio>
#include <cstring>
#include "client/cli/command.h"

namespace skua::cli {

namespace {

// Bytes of the character of UTF-8 that begins there; 0: none does, or it is a control character.
std::size_t printable(std::string_view s) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
    if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
    const std::size_t n = byte(0) >= 0xc2 && byte(0) < 0xe0   ? 2
                          : byte(0) >= 0xe0 && byte(0) < 0xf0 ? 3
                          : byte(0) >= 0xf0 && byte(0) < 0xf5 ? 4
                                                              : 0;
    if (n == 0 || s.size() < n) return 0;
    for (std::size_t i = 1; i < n; i++)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    if (byte(0) == 0xc2 && byte(1) < 0xa0) return 0;                                           // C1 controls
    if ((byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xed && byte(1) >= 0xa0)) return 0; // overlong; surrogates
    if ((byte(0) == 0xf0 && byte(1) < 0x90) || (byte(0) == 0xf4 && byte(1) >= 0x90)) return 0; // overlong; too large
    if (byte(0) == 0xe2 && byte(1) == 0x80 && byte(2) >= 0xaa && byte(2) <= 0xae) return 0;    // they turn text around
    if (byte(0) == 0xe2 && byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9) return 0;
    return n;
}

std::string escaped(unsigned char c) {
    for (const auto& [byte, letter] :
         {std::pair{'\n', 'n'}, {'\t', 't'}, {'\r', 'r'}, {'\a', 'a'}, {'\b', 'b'}, {'\f', 'f'}, {'\v', 'v'}})
        if (c == static_cast<unsigned char>(byte)) return std::string("\\") + letter;
    char text[8];
    std::snprintf(text, sizeof text, "\\%03o", c);
    return text;
}

} // namespace

std::string shellQuoted(const std::string& text) {
    bool special = text.empty(), apostrophe = false, others = false, odd = false;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t n = printable(std::string_view(text).substr(i));
        const char c = text[i];
        odd = odd || n == 0;
        if (n == 1) {
            apostrophe = apostrophe || c == '\'';
            others = others || std::strchr("\"$`\\!", c);
            special = special || std::strchr(" \"$&'()*;<=>?[\\^`|!", c) || (i == 0 && (c == '#' || c == '~'));
        }
        i += n ? n : 1;
    }
    if (!special && !odd) return text;
    if (apostrophe && !others && !odd) return '"' + text + '"';
    std::string out = "'";
    bool inside = false; // of $'...'
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t n = printable(std::string_view(text).substr(i));
        if (n == 0) {
            if (!inside) out += "'$'";
            out += escaped(static_cast<unsigned char>(text[i]));
        } else {
            if (inside) out += "''";
            out += text[i] == '\'' ? std::string("'\\''") : text.substr(i, n);
        }
        inside = n == 0;
        i += n ? n : 1;
    }
    return out + "'";
}

std::string shownName(const std::string& name) {
    static const bool terminal = isatty(1) != 0;
    return terminal ? shellQuoted(name) : name;
}

} // namespace skua::cli
