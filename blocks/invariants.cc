#include "blocks/invariants.h"

#include <map>
#include <set>
#include "blocks/slots.h"

namespace skua::blocks {

std::vector<std::string> problems(Index& index, u64 segment_bytes) {
    std::vector<std::string> out;
    Slots slots(segment_bytes);
    std::set<BlockId> blocks;
    const auto name = [](const BlockId& id) {
        return "block " + std::to_string(id.content.value) + "." + std::to_string(id.reservation.value) + "." +
               std::to_string(id.n);
    };
    Index::Loader loader;
    loader.segment = [&](u32 segment, const SegmentRow& row) -> Result<> {
        const auto size_class = classWith(row.slot_data);
        if (!size_class || segment == 0) out.push_back("segment " + std::to_string(segment) + " has an unknown class");
        else slots.addSegment(segment, *size_class, row.written);
        return Ok{};
    };
    loader.block = [&](const BlockId& id, const BlockRow& row) -> Result<> {
        blocks.insert(id);
        if (row.length == 0 || row.length % kPage != 0 || row.length > kMaxBlock)
            out.push_back(name(id) + " has an impossible length");
        else if (row.segment == 0 && row.length > kSmallBlock) out.push_back(name(id) + " is too long for a small block");
        if (row.segment == 0) return Ok{};
        if (!slots.take({row.segment, row.slot})) out.push_back(name(id) + " lies in no slot, or in another block's");
        else if (classData(slots.classOfSegment(row.segment)) < row.length) out.push_back(name(id) + " is longer than its slot");
        return Ok{};
    };
    loader.unsettled = [&](const BlockId& id) -> Result<> {
        if (!blocks.contains(id)) out.push_back(name(id) + " is unsettled and not there");
        return Ok{};
    };
    const auto loaded = index.load(loader);
    if (!loaded) out.push_back(loaded.error().message());
    return out;
}

} // namespace skua::blocks
