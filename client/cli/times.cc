#include "client/cli/times.h"

#include <cstdio>
#include <ctime>

namespace skua::cli {

namespace {

constexpr u64 kSecondsMost = 9'223'372'035; // in 2262

// ".25" at `at`, up to nine digits: nanoseconds. `at` is moved behind it. False: a point without digits.
bool fraction(const std::string& text, std::size_t& at, u64& ns) {
    ns = 0;
    if (at >= text.size() || text[at] != '.') return true;
    std::size_t digits = 0;
    for (at++; at < text.size() && text[at] >= '0' && text[at] <= '9'; at++, digits++)
        if (digits < 9) ns = ns * 10 + static_cast<u64>(text[at] - '0');
    for (std::size_t d = digits; d < 9; d++) ns *= 10;
    return digits > 0;
}

// `count` digits at `at`, which is moved behind them.
bool digits(const std::string& text, std::size_t& at, std::size_t count, int& to) {
    to = 0;
    for (std::size_t i = 0; i < count; i++, at++) {
        if (at >= text.size() || text[at] < '0' || text[at] > '9') return false;
        to = to * 10 + (text[at] - '0');
    }
    return true;
}

bool sign(const std::string& text, std::size_t& at, char c) { return at < text.size() && text[at++] == c; }

// The day and, if it is there, the time of day. mktime would take the 31st of February: the caller compares.
bool calendar(const std::string& text, std::size_t& at, std::tm& tm, u64& ns) {
    int year = 0, month = 0;
    if (!digits(text, at, 4, year) || !sign(text, at, '-') || !digits(text, at, 2, month) || !sign(text, at, '-') ||
        !digits(text, at, 2, tm.tm_mday))
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    if (at == text.size() || (text[at] != 'T' && text[at] != ' ')) return true;
    at++;
    if (!digits(text, at, 2, tm.tm_hour) || !sign(text, at, ':') || !digits(text, at, 2, tm.tm_min)) return false;
    if (at == text.size() || text[at] != ':') return true;
    at++;
    return digits(text, at, 2, tm.tm_sec) && fraction(text, at, ns);
}

} // namespace

Result<Wall> parseTime(const std::string& text) {
    const Error wrong(Code::Invalid, "\"" + text + "\" is no time: write @1700000000, 2026-11-22 or 2026-11-22T13:05:07Z");
    u64 seconds = 0, ns = 0;
    std::size_t at = 0;
    if (text.starts_with("@")) {
        const std::size_t end = text.find_first_not_of("0123456789", 1);
        const std::string number = text.substr(1, end == text.npos ? end : end - 1);
        if (number.empty() || number.size() > 10) return wrong;
        seconds = std::stoull(number);
        at = 1 + number.size();
        if (!fraction(text, at, ns)) return wrong;
    } else {
        std::tm tm{};
        if (!calendar(text, at, tm, ns)) return wrong;
        const bool utc = at < text.size() && text[at] == 'Z';
        if (utc) at++;
        std::tm normal = tm;
        normal.tm_isdst = -1;
        const std::time_t t = utc ? timegm(&normal) : mktime(&normal);
        // The hour may differ where clocks were put forward; the day may not.
        if (t < 0 || normal.tm_mday != tm.tm_mday || normal.tm_mon != tm.tm_mon || tm.tm_hour > 23 || tm.tm_min > 59 ||
            tm.tm_sec > 59)
            return wrong;
        seconds = static_cast<u64>(t);
    }
    if (at != text.size() || seconds > kSecondsMost) return wrong;
    return Wall{seconds * kSecond + ns};
}

} // namespace skua::cli
