// KvRocksdb: a Kv on RocksDB, one column family, RocksDB's own log off: the replicated log is the only
// write-ahead log, and after a crash it is replayed from the applied index that the rows have.
//
// write() goes to memory and is quick (it may wait when flushes cannot keep up); flush() waits for the disk, also for room on it,
// and may be called from another thread than the one that writes. Everything flushed is a prefix of what was
// written: one memtable, one order. A read error marks the reader failed(), see kv.h.
#pragma once

#include <memory>
#include "core/base/result.h"
#include "core/store/kv.h"

namespace rocksdb {
class DB;
class WriteBatch;
} // namespace rocksdb

namespace skua::store {

struct RocksdbOptions {
    std::size_t memtable_bytes = 32u << 20;
    std::size_t cache_bytes = 64u << 20;
};

class RoomFiles;

class KvRocksdb final : public Kv {
public:
    // Opens or makes it. The Error names the directory and what RocksDB said.
    static Result<std::unique_ptr<KvRocksdb>> open(const std::string& dir, RocksdbOptions options = {});
    ~KvRocksdb() override;

    std::optional<std::string> get(std::string_view key) const override;
    void scan(std::string_view from, std::string_view to, const Visit& visit) const override;
    bool write(const Batch& batch) override;
    bool replace(std::string_view from, std::string_view to, const Batch& batch) override;
    bool flush() override;
    // Writes go to memory for a while yet where the disk is full; then they are refused.
    bool full() const override;
    bool refusedForRoom() const override { return refusedForRoom_; }
    // Something waits for room on the disk: a flush, say.
    bool waitsForRoom() const;
    std::unique_ptr<Reader> snapshot() const override;
    // The last refusal in RocksDB's words.
    std::string trouble() const { return trouble_; }

private:
    class Snapshot;
    KvRocksdb();
    bool give(rocksdb::WriteBatch& all, const Batch& batch);
    mutable std::string trouble_;
    bool refusedForRoom_ = false;
    std::unique_ptr<RoomFiles> files_; // outlives db_
    std::unique_ptr<rocksdb::DB> db_;
    std::size_t memtableBytes_ = 0;
    mutable std::size_t written_ = 0; // since it waits for room
};

} // namespace skua::store
