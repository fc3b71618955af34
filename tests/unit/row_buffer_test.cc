// RowBuffer: what was written is seen at once, goes down in whole batches, and nothing that went down before is remembered
// wrongly.
#include "core/store/row_buffer.h"

#include <gtest/gtest.h>
#include "core/base/random.h"
#include "core/store/kv_memory.h"

namespace skua::store {
namespace {

using Rows = std::map<std::string, std::string, std::less<>>;

Rows all(const Reader& r, std::string_view from = {}, std::string_view to = {}) {
    Rows rows;
    r.scan(from, to, [&](std::string_view key, std::string_view value) {
        EXPECT_TRUE(rows.emplace(key, value).second) << key << " comes twice";
        return true;
    });
    return rows;
}

Batch put(std::string key, std::string value) { return {{std::move(key), std::move(value)}}; }

// A Kv whose reads fail when told to.
class Failing final : public Kv {
public:
    std::optional<std::string> get(std::string_view key) const override {
        if (broken) return fail(), std::nullopt;
        return rows.get(key);
    }
    void scan(std::string_view from, std::string_view to, const Visit& visit) const override {
        if (broken) return fail();
        rows.scan(from, to, visit);
    }
    bool write(const Batch& batch) override { return rows.write(batch); }
    bool replace(std::string_view from, std::string_view to, const Batch& batch) override {
        return rows.replace(from, to, batch);
    }
    bool flush() override { return rows.flush(); }
    std::unique_ptr<Reader> snapshot() const override { return rows.snapshot(); }
    KvMemory rows;
    bool broken = false;
};

TEST(RowBuffer, isSeenAsTheRowsThatWereWrittenWhateverIsSettledWhen) {
    for (u64 seed = 1; seed <= 30; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Random random(seed);
        KvMemory below;
        RowBuffer buffer(below);
        Rows model;
        for (int step = 0; step < 2000; step++) {
            auto key = [&] { return "k" + std::to_string(random.below(200)); };
            Batch batch;
            for (u64 n = random.below(5); n-- > 0;) {
                // Some are too large to be remembered.
                if (random.below(4) != 0)
                    batch[key()] = std::string(random.below(8) == 0 ? 2000 : 5, static_cast<char>('a' + random.below(26)));
                else batch[key()] = std::nullopt;
            }
            ASSERT_TRUE(buffer.write(batch));
            for (const auto& [k, v] : batch) {
                if (v) model[k] = *v;
                else model.erase(k);
            }
            if (random.below(5) == 0) ASSERT_TRUE(buffer.settle());
            const std::string asked = key();
            const auto at = model.find(asked);
            ASSERT_EQ(buffer.get(asked), at == model.end() ? std::nullopt : std::optional(at->second));
            if (step % 50 == 0) {
                ASSERT_EQ(all(buffer), model);
                const std::string from = key(), to = from + "9";
                ASSERT_EQ(all(buffer, from, to), Rows(model.lower_bound(from), model.lower_bound(to)));
            }
        }
        ASSERT_TRUE(buffer.settle());
        ASSERT_EQ(below.rows(), model);
    }
}

TEST(RowBuffer, holdsMoreRowsThanItRemembers) {
    KvMemory below;
    RowBuffer buffer(below);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20'000; i++) {
            const std::string key = "k" + std::to_string(i), value = std::to_string(round) + "/" + std::to_string(i);
            ASSERT_TRUE(buffer.write(put(key, value)));
        }
        for (int i = 0; i < 20'000; i++)
            ASSERT_EQ(buffer.get("k" + std::to_string(i)), std::to_string(round) + "/" + std::to_string(i));
    }
}

TEST(RowBuffer, goesDownOnlyWhenSettled) {
    KvMemory below;
    RowBuffer buffer(below);
    ASSERT_TRUE(buffer.write(put("a", "1")));
    EXPECT_EQ(below.size(), 0u);
    EXPECT_FALSE(buffer.settled());
    ASSERT_TRUE(buffer.settle());
    EXPECT_EQ(below.get("a"), "1");
    EXPECT_TRUE(buffer.settled());
}

TEST(RowBuffer, aSnapshotHasWhatIsGatheredAndNothingLater) {
    KvMemory below;
    RowBuffer buffer(below);
    ASSERT_TRUE(buffer.write(put("a", "1")));
    ASSERT_TRUE(buffer.settle());
    ASSERT_TRUE(buffer.write({{"a", std::nullopt}, {"b", "2"}}));
    const auto snapshot = buffer.snapshot();
    ASSERT_TRUE(buffer.write(put("c", "3")));
    ASSERT_TRUE(buffer.settle());
    EXPECT_EQ(all(*snapshot), (Rows{{"b", "2"}}));
    EXPECT_EQ(snapshot->get("a"), std::nullopt);
}

TEST(RowBuffer, whatBelowRefusesStaysAndIsSettledLater) {
    KvMemory below;
    RowBuffer buffer(below);
    ASSERT_TRUE(buffer.write(put("a", "1")));
    below.fill(true);
    EXPECT_FALSE(buffer.settle());
    EXPECT_FALSE(buffer.write(put("b", "2")));
    EXPECT_TRUE(buffer.full());
    EXPECT_TRUE(buffer.refusedForRoom());
    EXPECT_EQ(buffer.get("a"), "1");
    EXPECT_EQ(buffer.get("b"), std::nullopt);
    below.fill(false);
    EXPECT_TRUE(buffer.settle());
    EXPECT_EQ(below.get("a"), "1");
}

TEST(RowBuffer, aFailedReadIsNotRememberedAsAnAnswer) {
    Failing below;
    RowBuffer buffer(below);
    ASSERT_TRUE(below.write(put("a", "1")));
    below.broken = true;
    EXPECT_EQ(buffer.get("a"), std::nullopt);
    EXPECT_TRUE(buffer.failed());
    buffer.forgive();
    (void)all(buffer);
    EXPECT_TRUE(buffer.failed());
    buffer.forgive();
    below.broken = false;
    EXPECT_EQ(buffer.get("a"), "1");
    EXPECT_FALSE(buffer.failed());
}

} // namespace
} // namespace skua::store
