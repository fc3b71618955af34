// Steps: one step of one operation in the model. Names follow shard/ops and cdc/ops.
#pragma once

#include "tests/sim/model.h"

namespace skua::sim {

class Steps {
public:
    Steps(const Config& from, std::size_t which, const Op& op, const Circumstances& c, std::vector<Config>& out)
        : from_(from), which_(which), op_(op), c_(c), out_(out) {}
    void run();

private:
    // --- what one may write down next: begin() copies, then one of the others ends it
    struct Draft {
        Config config;
        State& s() { return config.state; }
    };
    Draft begin() const { return {from_}; }
    Progress& mine(Draft& d) const { return d.config.going[which_]; }
    void finish(Draft d, Code code, std::vector<NameSym> names = {}, std::string detail = {}, bool any = false);
    void refuse(Code code, std::vector<NameSym> names = {}); // from where we are, giving back locks
    void next(Draft d, u8 pc);
    void again(); // Locked: all over, later
    void unlockAll(State& s) const;

    const State& s() const { return from_.state; }
    const Progress& p() const { return from_.going[which_]; }
    bool locked(u32 dir, const std::string& name) const; // by another
    bool anyLockIn(u32 dir) const;
    // The directory, or 0 if it is closed or gone.
    u32 openDir(InodeId id) const;
    bool surelyThere(u32 sym) const; // its row cannot be gone
    bool surelyGone(u32 sym) const { return s().node(sym) == nullptr; }
    void toPast(State& s, u32 dir, const std::string& name, u32 node) const;
    std::string attributes(const Node& n) const;
    bool isIt(u32 sym) const; // may be what op.inode names
    void bind(State& s, u32 sym) const;
    u64 untilOf(const Past& past) const;
    Node fresh(InodeType type, u32 parent) const;
    void addNode(State& s, Node node) const;
    // On the inode op.inode: f(draft, node) where its row may be there, NotFound where it may be gone.
    template <class F>
    void onInode(F&& f);

    void create(bool replace);
    void mkdir();
    void symlink();
    void unlink();
    void rmdir();
    void rename();
    void exchange();
    void link();
    void undelete();
    void undeleteDir();
    void lookup();
    void readDir();
    void xattr();
    void setContent();
    void editContent();
    void restore();

    const Config& from_;
    const std::size_t which_;
    const Op& op_;
    const Circumstances& c_;
    std::vector<Config>& out_;
};

} // namespace skua::sim
