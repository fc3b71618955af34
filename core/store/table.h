// Table: typed rows over a Reader or Transaction. A key is the table's letter and its ordered fields
// (core/wire/key.h), a row is wire bytes that may end early (core/wire/codec.h). Letters and field
// orders are never reused. A row that does not decode marks the reader failed().
#pragma once

#include <optional>
#include <string>
#include "core/base/result.h"
#include "core/store/kv.h"
#include "core/wire/codec.h"
#include "core/wire/key.h"

namespace skua::store {

template <char kLetter, class K, class R>
struct Table {
    using Key = K;
    using Row = R;
    static constexpr char kTable = kLetter;

    static std::string at(const Key& key) {
        std::string s(1, kLetter);
        wire::putKey(s, key);
        return s;
    }
    static std::optional<Row> get(const Reader& r, const Key& key) {
        auto bytes = r.get(at(key));
        if (!bytes) return std::nullopt;
        Row row{};
        if (!wire::decodeRow(*bytes, row)) {
            r.fail();
            return std::nullopt;
        }
        return row;
    }
    static bool has(const Reader& r, const Key& key) { return r.get(at(key)).has_value(); }
    // The row, or `otherwise`.
    static Result<Row> find(const Reader& r, const Key& key, Error otherwise = Code::NotFound) {
        auto row = get(r, key);
        if (!row) return otherwise;
        return std::move(*row);
    }
    static void put(Transaction& t, const Key& key, const Row& row) { t.put(at(key), wire::encode(row)); }
    static void erase(Transaction& t, const Key& key) { t.erase(at(key)); }

    // Rows whose key begins with the fields of `Prefix` (any FIELDS struct or scalar that is a prefix of
    // Key), from key `from` on if given; visit(const Key&, const Row&) -> bool goes on while true.
    // Visiting while the same transaction changes these rows is allowed only after the scan ended.
    template <class Prefix, class V>
    static void scan(const Reader& r, const Prefix& prefix, V&& visit, std::optional<Key> from = {}) {
        std::string start(1, kLetter);
        if constexpr (!std::is_same_v<Prefix, All>) wire::putKey(start, prefix, /*last=*/false);
        const std::string end = wire::afterPrefix(start);
        if (from) start = std::max(start, at(*from));
        r.scan(start, end, [&](std::string_view k, std::string_view v) {
            Key key{};
            Row row{};
            if (!wire::decodeKey(k.substr(1), key) || !wire::decodeRow(v, row)) {
                r.fail();
                return false;
            }
            return visit(static_cast<const Key&>(key), static_cast<const Row&>(row));
        });
    }
    struct All {};
};

} // namespace skua::store
