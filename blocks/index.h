// Index: a disk's RocksDB (schema.h). Every commit is one atomic, synced batch; the store groups them.
//
// All calls block: on an offload thread, or before the service begins. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include "blocks/messages.h"
#include "blocks/schema.h"
#include "core/base/result.h"

namespace rocksdb {
class DB;
class ColumnFamilyHandle;
} // namespace rocksdb

namespace skua::blocks {

struct IndexChange {
    std::string key;
    std::optional<std::string> value; // none: erased
    bool small = false;               // in the table `small`
};

class Index {
public:
    // `writable` false: of a stopped disk, for inspect.
    static Result<std::unique_ptr<Index>> open(const std::string& dir, bool writable = true);
    ~Index();

    Result<> commit(std::span<const IndexChange> changes);

    struct Loader {
        std::function<Result<>(u32 segment, const SegmentRow&)> segment;
        std::function<Result<>(const BlockId&, const BlockRow&)> block;
        std::function<Result<>(const BlockId&)> unsettled;
    };
    // All rows; segments first.
    Result<> load(const Loader& loader);

    // `data` has the block's length, `sums` its number of pages.
    Result<> readSmall(const BlockId& id, std::span<u8> data, std::span<u64> sums);
    Result<std::vector<BlockInfo>> list(const BlockId& after, u32 limit);

private:
    Index() = default;
    Result<> scan(char table, const std::string& from,
                  const std::function<Result<bool>(std::string_view key, std::string_view value)>& visit);
    std::unique_ptr<rocksdb::DB> db_;
    std::vector<rocksdb::ColumnFamilyHandle*> tables_; // default, small
};

} // namespace skua::blocks
