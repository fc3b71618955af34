#include "client/cli/modes.h"

#include <sys/stat.h>

namespace skua::cli {

Result<u32> applyMode(const std::string& text, u32 mode) {
    const Error wrong(Code::Invalid, "\"" + text + "\" is no mode: write 644, or u+x,go-w");
    if (!text.empty() && text.find_first_not_of("01234567") == text.npos && text.size() <= 5) {
        const u32 octal = static_cast<u32>(std::stoul(text, nullptr, 8));
        if (octal > 07777) return wrong;
        return octal;
    }
    u32 bits = mode & 07777;
    const bool directory = S_ISDIR(mode);
    for (std::size_t at = 0; at <= text.size();) {
        u32 who = 0;
        for (; at < text.size(); at++) {
            if (text[at] == 'u') who |= 04700;
            else if (text[at] == 'g') who |= 02070;
            else if (text[at] == 'o') who |= 01007;
            else if (text[at] == 'a') who |= 07777;
            else break;
        }
        if (who == 0) who = 07777;
        bool any = false;
        while (at < text.size() && (text[at] == '+' || text[at] == '-' || text[at] == '=')) {
            const char how = text[at++];
            u32 what = 0;
            for (; at < text.size() && text[at] != ',' && text[at] != '+' && text[at] != '-' && text[at] != '='; at++) {
                switch (text[at]) {
                    case 'r': what |= 0444; break;
                    case 'w': what |= 0222; break;
                    case 'x': what |= 0111; break;
                    case 'X': what |= directory || (bits & 0111) ? 0111 : 0; break;
                    case 's': what |= 06000; break;
                    case 't': what |= 01000; break;
                    default: return wrong;
                }
            }
            if (how == '+') bits |= what & who;
            else if (how == '-') bits &= ~(what & who);
            else bits = (bits & ~(who & 0777)) | (what & who);
            any = true;
        }
        if (!any) return wrong;
        if (at == text.size()) return bits;
        if (text[at++] != ',') return wrong;
    }
    return wrong;
}

} // namespace skua::cli
