#include "blocks/index.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <cstring>

namespace skua::blocks {
namespace {

Error errorOf(const std::string& what, const rocksdb::Status& s) {
    const Code code = s.IsNoSpace()      ? Code::NoSpace
                      : s.IsCorruption() ? Code::Corrupt
                      : s.IsNotFound()   ? Code::NotFound
                                         : Code::Io;
    return Error(code, what + ": " + s.ToString());
}

rocksdb::ColumnFamilyOptions tableOptions(bool small) {
    static const auto cache = rocksdb::NewLRUCache(16u << 20); // of all disks of the process
    rocksdb::ColumnFamilyOptions o;
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = cache;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    o.write_buffer_size = small ? 16u << 20 : 8u << 20;
    o.compression = rocksdb::kNoCompression;
    o.enable_blob_files = small;
    o.min_blob_size = 0;
    o.enable_blob_garbage_collection = small;
    o.blob_garbage_collection_age_cutoff = 0.5;
    o.blob_file_size = 64u << 20;
    return o;
}

} // namespace

Result<std::unique_ptr<Index>> Index::open(const std::string& dir, bool writable) {
    rocksdb::DBOptions o;
    o.create_if_missing = writable;
    o.create_missing_column_families = writable;
    o.max_background_jobs = 2;
    o.max_open_files = 256;
    o.max_total_wal_size = 64u << 20;
    o.info_log_level = rocksdb::WARN_LEVEL;
    o.keep_log_file_num = 2;
    o.max_log_file_size = 4u << 20;
    const std::vector<rocksdb::ColumnFamilyDescriptor> tables{{rocksdb::kDefaultColumnFamilyName, tableOptions(false)},
                                                              {"small", tableOptions(true)}};
    std::unique_ptr<Index> index(new Index);
    rocksdb::DB* db = nullptr;
    const std::string path = dir + "/index";
    const auto s = writable ? rocksdb::DB::Open(o, path, tables, &index->tables_, &db)
                            : rocksdb::DB::OpenForReadOnly(o, path, tables, &index->tables_, &db);
    if (!s.ok()) return errorOf(path, s);
    index->db_.reset(db);
    return index;
}

Index::~Index() {
    if (!db_) return;
    for (auto* t : tables_) (void)db_->DestroyColumnFamilyHandle(t);
    (void)db_->Close();
}

Result<> Index::commit(std::span<const IndexChange> changes) {
    rocksdb::WriteBatch batch;
    for (const IndexChange& c : changes) {
        auto* table = tables_[c.small ? 1 : 0];
        const auto s = c.value ? batch.Put(table, c.key, *c.value) : batch.Delete(table, c.key);
        if (!s.ok()) return errorOf("index", s);
    }
    rocksdb::WriteOptions durable;
    durable.sync = true;
    const auto s = db_->Write(durable, &batch);
    if (!s.ok()) return errorOf("index", s);
    return Ok{};
}

Result<> Index::scan(char table, const std::string& from,
                     const std::function<Result<bool>(std::string_view, std::string_view)>& visit) {
    rocksdb::ReadOptions o;
    o.readahead_size = 1u << 20;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(o, tables_[0]));
    for (it->Seek(from); it->Valid() && it->key()[0] == table; it->Next()) {
        TRY(const bool more, visit(it->key().ToStringView(), it->value().ToStringView()));
        if (!more) return Ok{};
    }
    if (!it->status().ok()) return errorOf("index", it->status());
    return Ok{};
}

Result<> Index::load(const Loader& loader) {
    const auto damaged = [](const char* what) {
        return Error(Code::Corrupt, std::string("index: a row of ") + what + " does not read");
    };
    TRY_OK(scan(kSegmentTable, std::string(1, kSegmentTable), [&](std::string_view key, std::string_view value) -> Result<bool> {
        u32 segment = 0;
        SegmentRow row;
        if (!wire::decodeKey(key.substr(1), segment) || !wire::decodeRow(value, row)) return damaged("a segment");
        TRY_OK(loader.segment(segment, row));
        return true;
    }));
    TRY_OK(scan(kBlockTable, std::string(1, kBlockTable), [&](std::string_view key, std::string_view value) -> Result<bool> {
        BlockId id;
        BlockRow row;
        if (!wire::decodeKey(key.substr(1), id) || !wire::decodeRow(value, row)) return damaged("a block");
        TRY_OK(loader.block(id, row));
        return true;
    }));
    return scan(kUnsettledTable, std::string(1, kUnsettledTable), [&](std::string_view key, std::string_view) -> Result<bool> {
        BlockId id;
        if (!wire::decodeKey(key.substr(1), id)) return damaged("an unsettled block");
        TRY_OK(loader.unsettled(id));
        return true;
    });
}

Result<> Index::readSmall(const BlockId& id, std::span<u8> data, std::span<u64> sums) {
    rocksdb::PinnableSlice value;
    const auto s = db_->Get(rocksdb::ReadOptions(), tables_[1], smallKey(id), &value);
    if (!s.ok()) return errorOf("a small block", s);
    if (value.size() != data.size() + sums.size_bytes())
        return Error(Code::Corrupt, "a small block has another size than its row says");
    std::memcpy(data.data(), value.data(), data.size());
    std::memcpy(sums.data(), value.data() + data.size(), sums.size_bytes());
    return Ok{};
}

Result<std::vector<BlockInfo>> Index::list(const BlockId& after, u32 limit) {
    std::vector<BlockInfo> out;
    std::string from = blockKey(kBlockTable, after);
    if (after != BlockId{}) from.push_back('\0'); // the first key behind it
    TRY_OK(scan(kBlockTable, from, [&](std::string_view key, std::string_view value) -> Result<bool> {
        BlockInfo info;
        BlockRow row;
        if (!wire::decodeKey(key.substr(1), info.id) || !wire::decodeRow(value, row))
            return Error(Code::Corrupt, "index: a row of a block does not read");
        info.length = row.length;
        info.sum = row.sum;
        info.bad = row.bad;
        out.push_back(info);
        return out.size() < limit;
    }));
    return out;
}

} // namespace skua::blocks
