// Prints docs/protocol.md from the declarations of all messages; tests/tree/protocol_test.py compares.
#include <cstdio>
#include <set>
#include <string>
#include "blocks/messages.h"
#include "cdc/messages.h"
#include "raft/messages.h"
#include "registry/messages.h"
#include "shard/messages.h"

using namespace skua;

namespace {

std::set<std::string> described; // structs whose fields were printed
std::string parts;               // their tables, in order of first use

// The compiler's own name of a type, without namespaces.
template <class T>
std::string rawName() {
    std::string s = __PRETTY_FUNCTION__;
    const auto at = s.find("T = ");
    s = s.substr(at + 4);
    s = s.substr(0, s.find_first_of(";]"));
    std::string out, word;
    for (char c : s + " ") {
        if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') word += c;
        else if (c == ':') word.clear();
        else {
            out += word;
            word.clear();
            if (c != ' ') out += c;
        }
    }
    return out;
}

template <class T>
std::string typeName();
template <class T>
void describe();

template <class T>
std::string typeName() {
    if constexpr (std::is_same_v<T, bool>) return "bool";
    else if constexpr (std::is_enum_v<T>) return rawName<T>() + " (u" + std::to_string(8 * sizeof(T)) + ")";
    else if constexpr (wire::Scalar<T>) return (std::is_unsigned_v<T> ? "u" : "i") + std::to_string(8 * sizeof(T));
    else if constexpr (StrongId<T>) return rawName<T>() + " (u" + std::to_string(8 * sizeof(T::value)) + ")";
    else if constexpr (wire::ByteArray<T>) return std::to_string(sizeof(T)) + " bytes";
    else if constexpr (std::is_same_v<T, std::string>) return "string";
    else if constexpr (std::is_same_v<T, Bytes>) return "Bytes";
    else if constexpr (wire::Vector<T>) return typeName<typename T::value_type>() + "[]";
    else if constexpr (wire::Optional<T>) return typeName<typename T::value_type>() + "?";
    else if constexpr (wire::Variant<T>) return "one of the actions below";
    else {
        describe<T>();
        return rawName<T>();
    }
}

template <class T>
std::string fieldsOf() {
    std::string out;
    std::string_view names = T::kFieldNames;
    T value{};
    value.fields([&](const auto&... f) {
        [[maybe_unused]] auto one = [&](const auto& field) {
            const auto comma = names.find(',');
            if (!out.empty()) out += ", ";
            out += "`" + std::string(names.substr(0, comma)) + "` " + typeName<std::remove_cvref_t<decltype(field)>>();
            if (comma != names.npos) names.remove_prefix(names.find_first_not_of(" \n", comma + 1));
        };
        (one(f), ...);
    });
    return out.empty() ? "-" : out;
}

template <class T>
void describe() {
    const std::string name = rawName<T>();
    if (!described.insert(name).second) return;
    const std::string fields = fieldsOf<T>(); // first what it uses
    parts += "| " + name + " | " + fields + " |\n";
}

template <class M>
void row() {
    std::string reply = "-";
    if constexpr (requires { typename M::Reply; }) reply = fieldsOf<typename M::Reply>();
    std::printf("| %u | %.*s | %s | %s |\n", M::kTag, static_cast<int>(M::kName.size()), M::kName.data(), fieldsOf<M>().c_str(),
                reply.c_str());
}
template <class V>
struct Rows;
template <class... M>
struct Rows<std::variant<M...>> {
    static void print(const char* title, const char* what) {
        std::printf("\n## %s\n\n%s\n\n| tag | request | fields | reply |\n|---|---|---|---|\n", title, what);
        (row<M>(), ...);
    }
};

} // namespace

int main() {
    std::printf(R"(# Protocol

Made from the declarations (`make protocol`), and checked to be current by `make test`. Do not edit.

Integers are little-endian; `string` has a u16 length, `Bytes` and `[]` a u32 one; `?` is a byte 0 or 1 before the value; a message's tag
is one byte before its fields (`core/wire/codec.h:encode`). Frames, the handshake and their limits: `core/net/frame.h`, `core/net/handshake.h`.
A request to a replicated service travels in a GroupRequest, its answer in a GroupReply:

)");
    std::printf(
        "| | fields |\n|---|---|\n| GroupRequest | %s |\n| GroupReply | %s |\n| RetryAfter | %s; the body of a GroupReply that "
        "says Busy |\n",
        fieldsOf<net::GroupRequest>().c_str(), fieldsOf<net::GroupReply>().c_str(), fieldsOf<net::RetryAfter>().c_str());
    Rows<raft::HostRequest>::print("Between hosts", "`raft/messages.h`. Only proven servers.");
    Rows<registry::Request>::print("Registry", "`registry/messages.h`. Tags from 32 on are the leader's own log entries.");
    Rows<shard::Request>::print(
        "Shard", "`shard/messages.h`. Tags below 64 are reads; 96 and 97 come from servers only; from 112 on the leader's own.");
    Rows<shard::StepAction>::print("Actions of a coordinator's step", "The `action` of Step; the reply is the action's.");
    Rows<shard::OutboxMessage>::print("Messages between shards", "The `message` of Deliver.");
    Rows<cdc::Request>::print("Coordinator", "`cdc/messages.h`. Tags from 32 on are the leader's own.");
    Rows<blocks::Request>::print(
        "Block service",
        "`blocks/messages.h`. Not in a GroupRequest: the body of a frame of kind blocks; a payload travels beside it.");
    std::printf("\n## Parts\n\n| | fields |\n|---|---|\n%s", parts.c_str());
    return 0;
}
