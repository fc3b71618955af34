#include "cdc/transaction.h"

#include <algorithm>
#include "cdc/state.h"
#include "core/base/probe.h"

namespace skua::cdc {

namespace {

template <class T>
inline constexpr bool kBegins = std::is_same_v<T, MakeDir> || std::is_same_v<T, RemoveDir> || std::is_same_v<T, Rename> ||
                                std::is_same_v<T, Link> || std::is_same_v<T, Exchange> || std::is_same_v<T, UndeleteDir>;

// Calls f with the request of a row; only kinds that begin transactions are in rows.
template <class F>
auto withRequest(const Txn& t, F&& f) {
    using R = decltype(f(std::declval<const MakeDir&>()));
    auto request = requestOf(t);
    CHECK(request); // it decoded when it was logged
    return std::visit(
        [&](const auto& op) -> R {
            if constexpr (kBegins<std::remove_cvref_t<decltype(op)>>) return f(op);
            else { CHECK(!"a row holds only requests that begin transactions"); }
        },
        *request);
}

constexpr u8 kAllUndone = 255; // a phase, going backwards: behind the first

template <class Op>
using ScriptOf = Script<std::remove_cvref_t<Op>>;

Next nextOf(const Txn& t) {
    return withRequest(t, [&](const auto& op) {
        return t.back ? ScriptOf<decltype(op)>::backward(t, op) : ScriptOf<decltype(op)>::forward(t, op);
    });
}

} // namespace

Result<Request> requestOf(const Txn& t) {
    Request request;
    if (!wire::decode(t.body.value, request)) return Code::Corrupt;
    return request;
}

bool beginsTransaction(const Request& request) {
    return std::visit([](const auto& op) { return kBegins<std::remove_cvref_t<decltype(op)>>; }, request);
}

Result<> checkRequest(const Request& request) {
    return std::visit(
        [](const auto& op) -> Result<> {
            using Op = std::remove_cvref_t<decltype(op)>;
            if constexpr (kBegins<Op>) return Script<Op>::check(op);
            else return Ok{};
        },
        request);
}

Due due(Txn& t) {
    for (;;) {
        if (t.back && t.phase == kAllUndone) return {Due::What::kAnswer, {}, {}};
        Next next = nextOf(t);
        if (auto* send = std::get_if<Send>(&next)) return {Due::What::kStep, std::move(*send), {}};
        if (auto* walk = std::get_if<Walk>(&next)) return {Due::What::kWalk, {}, *walk};
        if (std::holds_alternative<Finish>(next)) return {Due::What::kAnswer, {}, {}};
        if (!t.back) t.phase++;
        else if (t.phase == 0) t.phase = kAllUndone;
        else t.phase--;
    }
}

void took(Txn& t, const Error& error, const std::string& reply, raft::Time now) {
    t.step++; // whatever is asked next is another step
    Error why = error;
    if (t.back) {
        // Undoing is idempotent and cannot fail for a good reason: ask until it is done.
        if (why.code != Code::Ok) {
            t.retries++;
            t.not_before = Age{now.age.value + std::min(kRetryNs << std::min(t.retries, 7u), kRetryMostNs)};
            return;
        }
        t.retries = 0;
        if (t.phase == 0) t.phase = kAllUndone;
        else t.phase--;
        return;
    }
    bool done = why.code == Code::Ok; // did this phase itself happen?
    if (done) {
        auto used = withRequest(t, [&](const auto& op) -> Result<> {
            // It has happened, whatever its reply looks like.
            if (ScriptOf<decltype(op)>::pointOfNoReturn(t, op)) t.fixed = true;
            return ScriptOf<decltype(op)>::took(t, op, reply);
        });
        if (!used) why = used.error();
    }
    if (why.code == Code::Ok) {
        t.retries = 0;
        t.phase++;
        return;
    }
    if (t.fixed) {
        t.retries++;
        t.not_before = Age{now.age.value + std::min(kRetryNs << std::min(t.retries, 7u), kRetryMostNs)};
        return;
    }
    PROBE("a transaction turns back");
    t.failure = why;
    t.back = true;
    t.retries = 0;
    if (done) return; // undo this phase too
    if (t.phase == 0) t.phase = kAllUndone;
    else t.phase--;
}

raft::Answer answerOf(const Txn& t) {
    if (t.back) return {t.failure, {}};
    return {{}, withRequest(t, [&](const auto& op) { return ScriptOf<decltype(op)>::reply(t, op); })};
}

} // namespace skua::cdc
