#include "client/cli/fsck_join.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace skua::cli {

namespace {

// "entry 12 -3": the numbers behind the word, exactly N.
template <std::size_t N>
bool numbers(std::string_view text, std::array<i64, N>& out) {
    for (i64& n : out) {
        if (text.empty() || text[0] != ' ') return false;
        text.remove_prefix(1);
        u64 large = 0; // ids have 64 bits
        const bool negative = text.starts_with('-');
        const auto parsed = negative ? std::from_chars(text.data(), text.data() + text.size(), n)
                                     : std::from_chars(text.data(), text.data() + text.size(), large);
        if (parsed.ec != std::errc()) return false;
        if (!negative) n = static_cast<i64>(large);
        text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
    }
    return text.empty();
}
u64 id(i64 n) { return static_cast<u64>(n); }

} // namespace

void keepCommon(Findings& suspicious, const Findings& now) {
    for (auto at = suspicious.begin(); at != suspicious.end();) {
        auto found = now.find(at->first);
        if (found == now.end()) {
            at = suspicious.erase(at);
        } else {
            at->second = found->second;
            ++at;
        }
    }
}

bool FsckJoin::take(std::string_view fact) {
    const std::string_view word = fact.substr(0, fact.find(' ')), rest = fact.substr(word.size());
    if (word == "inode") {
        std::array<i64, 5> n{};
        if (!numbers(rest, n)) return false;
        Node& node = nodes_[id(n[0])];
        node.there = true;
        node.nlink = n[1];
        node.pins = n[2];
        node.parent = id(n[3]);
        node.closed = n[4] != 0;
        return true;
    }
    if (word == "entry" || word == "past") {
        std::array<i64, 2> n{};
        if (!numbers(rest, n)) return false;
        Node& target = nodes_[id(n[1])];
        if (!target.there) (word == "entry" ? names_ : pasts_).emplace_back(id(n[0]), id(n[1]));
        if (word == "past") {
            target.pasts++;
            return true;
        }
        target.entries++;
        target.named_in = id(n[0]);
        if (InodeId{id(n[1])}.isDirectory()) nodes_[id(n[0])].subdirectories++;
        return true;
    }
    return word == "busy"; // the difference that it makes is gone in the next look
}

Findings FsckJoin::findings() const {
    Findings out;
    auto text = [](auto n) { return std::to_string(n); };
    auto find = [&](std::string key, std::string words) { out.emplace(std::move(key), std::move(words)); };
    auto missing = [&](const auto& named, const char* what) {
        for (const auto& [dir, target] : named) {
            const Node& node = nodes_.at(target);
            if (!node.there)
                find(what + text(dir) + " " + text(target),
                     std::string(what) + " of directory " + text(dir) + " names inode " + text(target) + ", which is not there");
        }
    };
    missing(names_, "an entry");
    missing(pasts_, "a past entry");
    // Of each directory: does its way up end at the root?
    enum class Way : u8 { kUnknown, kUp, kLost };
    std::unordered_map<u64, Way> ways{{kRoot.value, Way::kUp}};
    auto wayOf = [&](u64 dir) {
        std::vector<u64> passed;
        Way way = Way::kUnknown;
        while (way == Way::kUnknown) {
            auto known = ways.find(dir);
            if (known != ways.end()) {
                way = known->second == Way::kUnknown ? Way::kLost : known->second; // Unknown: we came by here, a circle
                break;
            }
            ways[dir] = Way::kUnknown;
            passed.push_back(dir);
            auto node = nodes_.find(dir);
            if (node == nodes_.end() || !node->second.there) way = Way::kLost;
            else dir = node->second.parent;
        }
        for (u64 d : passed) ways[d] = way;
        return way;
    };
    for (const auto& [number, n] : nodes_) {
        if (!n.there) continue;
        const i64 pins_off = n.pins - n.pasts;
        const std::string who = text(number);
        if (pins_off != 0)
            find("pins " + who + " " + text(pins_off),
                 "inode " + who + " has " + text(n.pins) + " pins and " + text(n.pasts) + " past entries");
        if (!InodeId{number}.isDirectory()) {
            const i64 links_off = n.nlink - n.entries;
            if (links_off != 0)
                find("links " + who + " " + text(links_off),
                     "inode " + who + " has " + text(n.nlink) + " links and " + text(n.entries) + " names");
            continue;
        }
        const u32 wanted = number == kRoot.value || n.closed ? 0 : 1;
        if (n.entries != wanted)
            find("names " + who + " " + text(n.entries),
                 "directory " + who + (n.closed ? ", which is removed," : "") + " has " + text(n.entries) + " names");
        else if (wanted == 1 && n.named_in != n.parent)
            find("parent " + who + " " + text(n.parent) + " " + text(n.named_in),
                 "directory " + who + " is named in " + text(n.named_in) + ", its parent is " + text(n.parent));
        if (n.closed) continue;
        const i64 links_off = n.nlink - 2 - n.subdirectories;
        if (links_off != 0)
            find("links " + who + " " + text(links_off),
                 "directory " + who + " has " + text(n.nlink) + " links and " + text(n.subdirectories) + " subdirectories");
        if (wayOf(number) == Way::kLost) find("way " + who, "directory " + who + " does not lead up to the root");
    }
    return out;
}

} // namespace skua::cli
