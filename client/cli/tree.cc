// tree: a directory with all below it, drawn; what would fill more than a screen is only counted.
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "client/cli/walk.h"

namespace skua::cli {

namespace {

constexpr u64 kLines = 100; // drawn without --all

struct TreeFlags {
    std::string path = "/";
    u32 depth = 64;
    u64 most = 20;
    bool all = false, json = false;
};

// Draws what it is told to, and decides what is left out.
class Drawing {
public:
    explicit Drawing(const TreeFlags& flags) : flags_(flags) {}

    // False: do not look into it.
    bool enter(const Walked& w) {
        const bool directory = w.attributes.inode.isDirectory();
        if (w.depth > 0) (directory ? directories_ : files_)++;
        last_.resize(w.depth + 1);
        last_[w.depth] = w.last;
        const bool full = !flags_.all && lines_ >= kLines;
        if (full || (w.depth > 0 && !flags_.all && flags_.most > 0 && w.index >= flags_.most)) {
            if (!full && w.index == flags_.most) print(indent(w.depth) + "└── ... " + std::to_string(w.of - w.index) + " more\n");
            unseen_ = unseen_ || directory;
            left_out_ = true;
            return false;
        }
        lines_++;
        print(indent(w.depth) +
              (w.depth == 0 ? ""
               : w.last     ? "└── "
                            : "├── ") +
              shownName(w.name) + (directory && w.depth > 0 ? "/" : "") + "\n");
        return true;
    }
    void end() const {
        print("\n" + std::string(unseen_ ? "at least " : "") + std::to_string(directories_) + " directories, " +
              std::to_string(files_) + " files" + (left_out_ ? "; --all draws all of them" : "") + "\n");
    }

private:
    std::string indent(u32 depth) const {
        std::string line;
        for (u32 d = 1; d < depth; d++) line += last_[d] ? "    " : "│   ";
        return line;
    }
    const TreeFlags& flags_;
    std::vector<bool> last_; // of the directories that we are in
    u64 files_ = 0, directories_ = 0, lines_ = 0;
    bool unseen_ = false, left_out_ = false;
};

Task<int> tree(Client& client, const TreeFlags& flags) {
    FileSystem fs(client);
    auto path = remotePath(flags.path);
    if (!path) co_return usage(path.error().detail);
    Drawing drawing(flags);
    nlohmann::json json = nlohmann::json::array();
    Walk walk;
    walk.depth_most = flags.depth;
    walk.enter = [&](const Walked& w) {
        if (!flags.json) return drawing.enter(w);
        nlohmann::json one = toJson(w.attributes);
        one["path"] = w.path;
        one["depth"] = w.depth;
        json.push_back(std::move(one));
        return true;
    };
    auto done = co_await walkTree(fs, *path, walk);
    if (!done) co_return fail(done.error());
    if (flags.json) print(json);
    else drawing.end();
    co_return walk.failures ? kFailed : kFine;
}

} // namespace

void addTree(Commands& all) {
    auto o = std::make_shared<TreeFlags>();
    Flags& f = all.add("tree", "Draws a directory with all below it", "skua tree --depth 2 /photos",
                       [&all, o] { return withClientCode(all.settings, [&](Client& client) { return tree(client, *o); }); });
    f.positional("PATH", o->path, "Where (default: /)", false);
    f.option("--depth", o->depth, "How many levels");
    f.option("--most", o->most, "Entries drawn of each directory; 0: all of them");
    f.flag("--all", o->all, "Draw everything, however long");
    f.flag("--json", o->json, "As JSON; everything");
}

} // namespace skua::cli
