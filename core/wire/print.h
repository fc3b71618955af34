// Printing of messages and rows for people: CommitFile{dir: 7, name: "a", ...}. For logs at debug
// level, inspect commands and test failures; never parsed. Bytes are printed as their length only:
// keys, receipts and contents do not belong in a log.
#pragma once

#include <string>
#include "core/base/fields.h"
#include "core/wire/codec.h"

namespace skua::wire {

template <class T>
void print(std::string& out, const T& v) {
    if constexpr (std::is_same_v<T, bool>) out += v ? "true" : "false";
    else if constexpr (std::is_enum_v<T>) out += std::to_string(static_cast<u64>(v));
    else if constexpr (Scalar<T>) out += std::to_string(v);
    else if constexpr (StrongId<T>) out += std::to_string(v.value);
    else if constexpr (ByteArray<T>) out += "<" + std::to_string(v.size()) + " bytes>";
    else if constexpr (std::is_same_v<T, Bytes>) out += "<" + std::to_string(v.value.size()) + " bytes>";
    else if constexpr (std::is_same_v<T, std::string>) {
        out += '"';
        for (char c : v) out += c >= ' ' && c < 127 ? c : '?';
        out += '"';
    } else if constexpr (Vector<T>) {
        out += '[';
        for (std::size_t i = 0; i < v.size(); i++) {
            if (i) out += ", ";
            print(out, v[i]);
        }
        out += ']';
    } else if constexpr (Optional<T>) {
        if (v) print(out, *v);
        else out += "none";
    } else if constexpr (Variant<T>) {
        std::visit([&](const auto& m) { print(out, m); }, v);
    } else {
        if constexpr (requires { T::kName; }) out += T::kName;
        std::string_view names = T::kFieldNames;
        out += '{';
        v.fields([&](const auto&... f) {
            auto one = [&](const auto& field) {
                const auto comma = names.find(',');
                out += names.substr(0, comma);
                out += ": ";
                print(out, field);
                if (comma != names.npos) {
                    out += ", ";
                    names.remove_prefix(names.find_first_not_of(" \n", comma + 1));
                }
            };
            (one(f), ...);
        });
        out += '}';
    }
}
template <class T>
std::string toString(const T& v) {
    std::string out;
    print(out, v);
    return out;
}

} // namespace skua::wire
