// Kv: an ordered map of bytes with atomic batches. On RocksDB (kv_rocksdb.h) and in memory with
// crashes (kv_memory.h); state machines see only Reader and Transaction.
//
// Keys compare as unsigned bytes. A read that fails (a disk error, a row that does not decode) cannot be
// an answer: it marks the Reader as failed() and yields nothing; whoever applies checks failed()
// afterwards and throws the outcome away. Thread-safety: one thread at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include "core/base/types.h"

namespace skua::store {

// Goes on while it returns true. The views hold only during the call.
using Visit = std::function<bool(std::string_view key, std::string_view value)>;

class Reader {
public:
    virtual ~Reader() = default;
    virtual std::optional<std::string> get(std::string_view key) const = 0;
    // Keys in [from, to) in ascending order; an empty `to` means to the end.
    virtual void scan(std::string_view from, std::string_view to, const Visit& visit) const = 0;
    virtual bool failed() const { return failed_; }
    virtual void fail() const { failed_ = true; }
    // Whoever asked failed() and gave up what it was about; the next reads are judged for themselves.
    void forgive() const { failed_ = false; }

private:
    mutable bool failed_ = false;
};

// key -> new value, or none to erase.
using Batch = std::map<std::string, std::optional<std::string>, std::less<>>;

// A scan of the rows of `base`, merged with `writes`, which hide them.
void scanOver(const Reader& base, const Batch& writes, std::string_view from, std::string_view to, const Visit& visit);

class Kv : public Reader {
public:
    // All or nothing; visible to reads at once; durable after flush() (there is no log of its own).
    // False: refused by the disk, nothing is changed.
    virtual bool write(const Batch& batch) = 0;
    // Everything in [from, to) goes without being read, be it damaged; then `batch`. All of it or nothing, as write().
    virtual bool replace(std::string_view from, std::string_view to, const Batch& batch) = 0;
    // Writes are refused now, for want of room and nothing else.
    virtual bool full() const { return false; }
    // So the last refusal was, whatever full() says since: the same write may be tried again.
    virtual bool refusedForRoom() const { return full(); }
    // Everything written so far survives a crash when this returns true. May take long.
    virtual bool flush() = 0;
    // The rows as they are now, whatever is written later. Holds on to space while it lives; not longer than the Kv.
    virtual std::unique_ptr<Reader> snapshot() const = 0;
};

// A Reader that sees only keys with `prefix`, without it.
class Prefixed final : public Reader {
public:
    Prefixed(const Reader& base, std::string prefix);
    std::optional<std::string> get(std::string_view key) const override;
    void scan(std::string_view from, std::string_view to, const Visit& visit) const override;
    bool failed() const override { return base_.failed(); }
    void fail() const override { base_.fail(); }

private:
    const Reader& base_;
    std::string prefix_, end_;
};

// Writes on top of a Reader: sees its own writes, changes nothing below; who made it writes writes() on.
class Transaction final : public Reader {
public:
    explicit Transaction(const Reader& base) : base_(base) {}
    Transaction(const Transaction&) = delete;
    std::optional<std::string> get(std::string_view key) const override;
    void scan(std::string_view from, std::string_view to, const Visit& visit) const override;
    bool failed() const override { return base_.failed(); }
    void fail() const override { base_.fail(); }

    void put(std::string key, std::string value) { writes_.insert_or_assign(std::move(key), std::move(value)); }
    void erase(std::string key) { writes_.insert_or_assign(std::move(key), std::nullopt); }
    void clear() { writes_.clear(); }
    const Batch& writes() const { return writes_; }

private:
    const Reader& base_;
    Batch writes_;
};

} // namespace skua::store
