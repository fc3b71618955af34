// Span rows of one content, and the on-service rows that count their blocks: changed together or not at all.
// For contents*.cc only.
#pragma once

#include <map>
#include "shard/context.h"

namespace skua::shard {

// Blocks of a content by service: what a row `o service content` must say. Service 0: owed or bad.
class ServiceCounts {
public:
    void add(const BlockRef& b, i64 sign = 1) {
        if (b.service.value != 0) counts_[b.service] += sign;
        if (b.service.value == 0 || b.bad) counts_[BlockServiceId{}] += sign;
    }
    void add(const SpanRecord& s, i64 sign = 1) {
        for (const BlockRef& b : s.blocks) add(b, sign);
    }
    const std::map<BlockServiceId, i64>& all() const { return counts_; }

private:
    std::map<BlockServiceId, i64> counts_;
};

// Collects changes of span rows; finish() brings the on-service rows after.
class SpanRowsOf {
public:
    SpanRowsOf(Context& ctx, ContentId content) : ctx_(ctx), content_(content) {}

    void put(const SpanRecord& s) {
        SpanRows::put(ctx_.rows, {content_, s.offset}, s);
        counts_.add(s);
        if (!s.geometry.hole()) stored_ += s.length;
    }
    void erase(const SpanRecord& s) {
        SpanRows::erase(ctx_.rows, {content_, s.offset});
        counts_.add(s, -1);
        if (!s.geometry.hole()) stored_ -= s.length;
    }
    // Bytes that are stored more than before.
    u64 stored() const { return stored_; } // modulo 2^64
    void finish();

private:
    Context& ctx_;
    ContentId content_;
    ServiceCounts counts_;
    u64 stored_ = 0;
};

// The blocks of a span that are somewhere.
inline void addPresent(const SpanRecord& s, std::vector<BlockRef>& to) {
    for (const BlockRef& b : s.blocks)
        if (b.service.value != 0) to.push_back(b);
}

} // namespace skua::shard
