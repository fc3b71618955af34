// What two host processes say to each other about all groups that they share, in one frame (net::Kind::kRaft):
// the messages of the groups, and the liveness of the pair. Nobody answers a frame; it may be lost.
//
//   leader's process ── Beat{sent, hash of the (group, term) it leads here} ──► the other: follows exactly these?
//                    ◄── Heard{sent, same} ──  each of them hears its leader first; then renews its lease
//
// Where the hash differs nothing is renewed, and the next beat lists the pairs; then those that differ speak for
// themselves and the others are renewed.
#pragma once

#include "raft/group_messages.h"

namespace skua::raft {

struct Led {
    GroupId group;
    Term term;
    FIELDS(group, term)
};
struct Beat {
    u64 process = 0; // drawn when the sender started
    Monotonic sent;  // by its clock; comes back
    u64 hash = 0;    // hashOf(the pairs), in order of the groups
    bool listed = false;
    std::vector<Led> led; // if listed
    FIELDS(process, sent, hash, listed, led)
};
struct Heard {
    u64 process = 0; // of the beat
    Monotonic sent;
    bool same = false; // not listed: all of them; listed: all but `differ`
    std::vector<GroupId> differ;
    FIELDS(process, sent, same, differ)
};
// A group's rows, from its leader to a member that is behind the log. The one that needs them asks for part after part;
// what is lost is asked for again.
//
//   Offer ──►   ◄── AskRows 0   Rows 0 ──►   ◄── AskRows 1   …   Rows n, the last ──►   flush, then the log begins there
struct OfferRows {
    static constexpr u8 kTag = 1;
    Term term;
    Bytes applied; // the sender's Applied row: what the rows are of
    FIELDS(term, applied)
};
struct AskRows {
    static constexpr u8 kTag = 2;
    bool wanted = true; // false: no, thank you
    u64 part = 0;
    FIELDS(wanted, part)
};
struct RowOf {
    Bytes key, value; // without the group's prefix
    FIELDS(key, value)
};
// All that the group has from the end of the part before up to the last key here, or to the end if `last`.
struct RowsPart {
    static constexpr u8 kTag = 3;
    u64 part = 0;
    bool last = false;
    std::vector<RowOf> rows;
    FIELDS(part, last, rows)
};
struct SnapshotMessage {
    GroupId group;
    Member from, to;
    u64 number = 0; // drawn by the sender of the rows
    std::variant<OfferRows, AskRows, RowsPart> body;
    FIELDS(group, from, to, number, body)
};

struct PeerFrame {
    Member from; // of the sending process: its server id and store
    std::vector<GroupMessage> messages;
    std::optional<Beat> beat;
    std::optional<Heard> heard;
    std::vector<SnapshotMessage> snapshots;
    Wall wall;        // the sender's clock
    bool low = false; // its disk has little room
    FIELDS(from, messages, beat, heard, snapshots, wall, low)
};

u64 hashOf(const std::vector<Led>& pairs);

} // namespace skua::raft
