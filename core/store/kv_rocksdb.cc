#include "core/store/kv_rocksdb.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include "core/store/room_files.h"

namespace skua::store {

namespace {
constexpr std::size_t kTablePrefix = 5; // a group's number and a table's letter
rocksdb::Slice slice(std::string_view s) { return {s.data(), s.size()}; }
std::string_view view(const rocksdb::Slice& s) { return {s.data(), s.size()}; }
} // namespace

Result<std::unique_ptr<KvRocksdb>> KvRocksdb::open(const std::string& dir, RocksdbOptions options) {
    rocksdb::Options o;
    o.create_if_missing = true;
    o.write_buffer_size = options.memtable_bytes;
    o.max_write_buffer_number = 3;
    o.max_background_jobs = 2;
    // Half of what an operation looks up is not there: the filter answers that without a walk through the memtable.
    o.memtable_prefix_bloom_size_ratio = 0.05;
    o.memtable_whole_key_filtering = true;
    // A turn's rows come sorted: each is looked for from where the last one of its table went.
    o.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(kTablePrefix));
    o.allow_concurrent_memtable_write = false; // one thread writes
    o.max_open_files = 512;
    o.keep_log_file_num = 2;
    o.info_log_level = rocksdb::WARN_LEVEL;
    o.max_log_file_size = 4u << 20;
    o.compression = rocksdb::kLZ4Compression;
    o.level_compaction_dynamic_level_bytes = true;
    o.avoid_flush_during_shutdown = true; // the log has it; stopping is quick
    rocksdb::BlockBasedTableOptions table;
    // Index and filters are cut into pieces of 4 KiB: a whole one (megabytes) is larger than a shard of the cache, and
    // would be read and decompressed anew by every lookup (measured: creates fell from 10,000 to 1,600 a second).
    table.block_cache = rocksdb::NewLRUCache(options.cache_bytes, 3);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.cache_index_and_filter_blocks = true;
    table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
    table.partition_filters = true;
    table.metadata_block_size = 4096;
    table.pin_l0_filter_and_index_blocks_in_cache = true;
    table.pin_top_level_index_and_filter = true;
    table.enable_index_compression = false;
    table.format_version = 5;
    o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    auto files = std::make_unique<RoomFiles>(dir);
    o.env = files->env();
    rocksdb::DB* db = nullptr;
    const rocksdb::Status s = rocksdb::DB::Open(o, dir, &db);
    if (!s.ok()) return Error(s.IsNoSpace() ? Code::NoSpace : Code::Io, "rows in " + dir + ": " + s.ToString());
    std::unique_ptr<KvRocksdb> kv(new KvRocksdb);
    kv->db_.reset(db);
    kv->files_ = std::move(files);
    kv->files_->arm();
    kv->memtableBytes_ = options.memtable_bytes;
    return kv;
}

KvRocksdb::KvRocksdb() = default;
KvRocksdb::~KvRocksdb() { files_->end(); }

std::optional<std::string> KvRocksdb::get(std::string_view key) const {
    std::string value;
    const rocksdb::Status s = db_->Get(rocksdb::ReadOptions(), slice(key), &value);
    if (s.ok()) return value;
    if (!s.IsNotFound()) {
        trouble_ = s.ToString();
        fail();
    }
    return std::nullopt;
}

void KvRocksdb::scan(std::string_view from, std::string_view to, const Visit& visit) const {
    rocksdb::ReadOptions options;
    const rocksdb::Slice end = slice(to);
    if (!to.empty()) options.iterate_upper_bound = &end;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
    for (it->Seek(slice(from)); it->Valid(); it->Next())
        if (!visit(view(it->key()), view(it->value()))) return;
    if (!it->status().ok()) {
        trouble_ = it->status().ToString();
        fail();
    }
}

bool KvRocksdb::write(const Batch& batch) {
    rocksdb::WriteBatch all;
    return give(all, batch);
}

// A tombstone for the whole range: what lies under it is not looked at any more.
bool KvRocksdb::replace(std::string_view from, std::string_view to, const Batch& batch) {
    rocksdb::WriteBatch all;
    return all.DeleteRange(slice(from), slice(to)).ok() && give(all, batch);
}

bool KvRocksdb::give(rocksdb::WriteBatch& all, const Batch& batch) {
    refusedForRoom_ = full();
    if (refusedForRoom_) return false;
    for (const auto& [key, value] : batch) {
        const rocksdb::Status s = value ? all.Put(slice(key), slice(*value)) : all.Delete(slice(key));
        if (!s.ok()) return false;
    }
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    const rocksdb::Status s = db_->Write(options, &all);
    if (files_->waiting()) written_ += all.GetDataSize();
    if (!s.ok()) trouble_ = s.ToString();
    return s.ok();
}

bool KvRocksdb::waitsForRoom() const { return files_->waiting(); }

// One memtable may be switched meanwhile; with the next ones RocksDB would let the writer wait.
bool KvRocksdb::full() const {
    if (!files_->waiting()) written_ = 0;
    return written_ >= memtableBytes_ / 2;
}

bool KvRocksdb::flush() {
    rocksdb::FlushOptions options;
    options.wait = true;
    options.allow_write_stall = true;
    return db_->Flush(options).ok();
}

// Reads through RocksDB's own snapshot.
class KvRocksdb::Snapshot final : public Reader {
public:
    explicit Snapshot(rocksdb::DB& db) : db_(db), at_(db.GetSnapshot()) {}
    ~Snapshot() override { db_.ReleaseSnapshot(at_); }
    Snapshot(const Snapshot&) = delete;
    std::optional<std::string> get(std::string_view key) const override {
        rocksdb::ReadOptions options;
        options.snapshot = at_;
        std::string value;
        const rocksdb::Status s = db_.Get(options, slice(key), &value);
        if (s.ok()) return value;
        if (!s.IsNotFound()) fail();
        return std::nullopt;
    }
    void scan(std::string_view from, std::string_view to, const Visit& visit) const override {
        rocksdb::ReadOptions options;
        options.snapshot = at_;
        options.fill_cache = false;
        const rocksdb::Slice end = slice(to);
        if (!to.empty()) options.iterate_upper_bound = &end;
        std::unique_ptr<rocksdb::Iterator> it(db_.NewIterator(options));
        for (it->Seek(slice(from)); it->Valid(); it->Next())
            if (!visit(view(it->key()), view(it->value()))) return;
        if (!it->status().ok()) fail();
    }

private:
    rocksdb::DB& db_;
    const rocksdb::Snapshot* at_;
};

std::unique_ptr<Reader> KvRocksdb::snapshot() const { return std::make_unique<Snapshot>(*db_); }

} // namespace skua::store
