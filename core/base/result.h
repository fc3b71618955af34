// Result<T>: a value, or the Error that says why there is none. Nothing here throws.
//
//   Result<Inode> find(InodeId);
//   TRY(Inode inode, find(id));                  in a function that returns some Result
//   CO_TRY(Inode inode, co_await load(id));      in a coroutine whose Task carries some Result
//   TRY_OK(check(id));  CO_TRY_OK(co_await store(id));    where only success matters
#pragma once

#include <utility>
#include <variant>
#include "core/base/check.h"
#include "core/base/errors.h"

namespace skua {

struct Ok {
    friend bool operator==(Ok, Ok) = default;
};

template <class T = Ok>
class [[nodiscard]] Result {
public:
    using value_type = T;
    Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
    Result(Error e) : v_(std::in_place_index<1>, std::move(e)) { CHECK(error().code != Code::Ok); }
    Result(Code c) : Result(Error(c)) {}

    bool has_value() const { return v_.index() == 0; }
    explicit operator bool() const { return has_value(); }
    const Error& error() const {
        CHECK(!has_value());
        return *std::get_if<1>(&v_);
    }
    Code code() const { return has_value() ? Code::Ok : error().code; }
    T& value() {
        CHECK(has_value());
        return *std::get_if<0>(&v_);
    }
    const T& value() const {
        CHECK(has_value());
        return *std::get_if<0>(&v_);
    }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(value()); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

private:
    std::variant<T, Error> v_;
};

} // namespace skua

#define SKUA_CAT2(a, b) a##b
#define SKUA_CAT(a, b) SKUA_CAT2(a, b)
#define SKUA_TRY(ret, tmp, decl, ...) \
    auto tmp = (__VA_ARGS__);         \
    if (!tmp) ret tmp.error();        \
    decl = std::move(*tmp)
#define TRY(decl, ...) SKUA_TRY(return, SKUA_CAT(try_, __LINE__), decl, __VA_ARGS__)
#define CO_TRY(decl, ...) SKUA_TRY(co_return, SKUA_CAT(try_, __LINE__), decl, __VA_ARGS__)
#define TRY_OK(...)                         \
    do {                                    \
        auto try_ok = (__VA_ARGS__);        \
        if (!try_ok) return try_ok.error(); \
    } while (0)
#define CO_TRY_OK(...)                         \
    do {                                       \
        auto try_ok = (__VA_ARGS__);           \
        if (!try_ok) co_return try_ok.error(); \
    } while (0)
