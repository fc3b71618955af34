// policy get and set: how what is below a directory is stored.
#include <algorithm>
#include <nlohmann/json.hpp>
#include "client/cli/all.h"
#include "core/base/config.h"
#include "core/data/geometry.h"

namespace skua::cli {

namespace {

struct PolicyFlags {
    std::string path;
    std::vector<std::string> settings;
    bool json = false;
};

// "1M:1+2,4+2": spans up to 1 MiB in 3 copies, longer ones as 4 data and 2 parity blocks.
Result<std::vector<SchemeStep>> parseScheme(const std::string& text) {
    std::vector<SchemeStep> steps;
    for (const std::string& one : splitList(text)) {
        SchemeStep step;
        step.up_to = kMaxSpan;
        std::string blocks = one;
        if (const auto colon = one.find(':'); colon != one.npos) {
            TRY(step.up_to, parseBytes(one.substr(0, colon)));
            blocks = one.substr(colon + 1);
        }
        unsigned data = 0, parity = 0;
        char rest = 0;
        if (std::sscanf(blocks.c_str(), "%u+%u%c", &data, &parity, &rest) != 2 || data > kMaxData || parity > kMaxParity)
            return Error(Code::Invalid, "scheme: \"" + one + "\" is not [UP_TO:]DATA+PARITY, as 4+2 or 1M:1+2");
        step.data = static_cast<u8>(data);
        step.parity = static_cast<u8>(parity);
        steps.push_back(step);
    }
    return steps;
}

// An empty value: inherited again.
Result<> apply(Policy& policy, const std::string& setting) {
    const auto equals = setting.find('=');
    if (equals == setting.npos) return Error(Code::Invalid, "\"" + setting + "\": write key=value");
    const std::string key = setting.substr(0, equals), value = setting.substr(equals + 1);
    const bool none = value.empty();
    if (key == "scheme") {
        TRY(policy.scheme, parseScheme(value));
    } else if (key == "cell" || key == "span") {
        u64 bytes = 0;
        if (!none) { TRY(bytes, parseBytes(value)); }
        if (bytes > kMaxSpan) return Error(Code::Invalid, key + ": at most 512M");
        (key == "cell" ? policy.cell : policy.span) = static_cast<u32>(bytes);
    } else if (key == "inline") {
        u64 bytes = 0;
        if (!none) { TRY(bytes, parseBytes(value)); }
        if (bytes > kMaxInline) return Error(Code::Invalid, "inline: at most 64K");
        policy.inline_most = none ? 0 : static_cast<u32>(bytes) + 1;
    } else if (key == "retention") {
        u64 ns = 0;
        if (!none) { TRY(ns, parseDuration(value)); }
        policy.retention = none ? 0 : ns + 1;
    } else if (key == "class") {
        policy.disk_class = value;
    } else if (key == "quota_bytes" || key == "quota_entries") {
        u64 n = 0;
        if (!none) { TRY(n, parseBytes(value)); }
        (key == "quota_bytes" ? policy.quota_bytes : policy.quota_entries) = n;
    } else {
        return Error(Code::Invalid,
                     "\"" + key + "\" is none of scheme, cell, span, inline, retention, class, quota_bytes, quota_entries");
    }
    return Ok{};
}

nlohmann::json json(const Policy& p) {
    nlohmann::json out = nlohmann::json::object();
    for (const SchemeStep& s : p.scheme) out["scheme"].push_back({{"up_to", s.up_to}, {"data", s.data}, {"parity", s.parity}});
    if (p.cell) out["cell"] = p.cell;
    if (p.span) out["span"] = p.span;
    if (p.inline_most) out["inline"] = p.inline_most - 1;
    if (p.retention) out["retention_s"] = (p.retention - 1) / kSecond;
    if (!p.disk_class.empty()) out["class"] = p.disk_class;
    if (p.quota_bytes) out["quota_bytes"] = p.quota_bytes;
    if (p.quota_entries) out["quota_entries"] = p.quota_entries;
    return out;
}

std::string text(const Policy& p) {
    std::string out, scheme;
    for (const SchemeStep& s : p.scheme)
        scheme += (scheme.empty() ? "" : ",") + (s.up_to < kMaxSpan ? std::to_string(s.up_to) + ":" : std::string()) +
                  std::to_string(s.data) + "+" + std::to_string(s.parity);
    if (!scheme.empty()) out += "  scheme=" + scheme + "\n";
    if (p.cell) out += "  cell=" + std::to_string(p.cell) + "\n";
    if (p.span) out += "  span=" + std::to_string(p.span) + "\n";
    if (p.inline_most) out += "  inline=" + std::to_string(p.inline_most - 1) + "\n";
    if (p.retention) out += "  retention=" + std::to_string((p.retention - 1) / kSecond) + "s\n";
    if (!p.disk_class.empty()) out += "  class=" + p.disk_class + "\n";
    if (p.quota_bytes) out += "  quota_bytes=" + std::to_string(p.quota_bytes) + "\n";
    if (p.quota_entries) out += "  quota_entries=" + std::to_string(p.quota_entries) + "\n";
    return out.empty() ? "  nothing\n" : out;
}

Task<Result<InodeId>> directory(Client& client, std::string path) {
    CO_TRY(client::Place place, co_await client::resolveExisting(client.metadata, path, client::Follow::kLast));
    if (!place.isDirectory()) co_return Error(Code::NotDirectory, place.path + ": policies are on directories");
    co_return place.attributes->inode;
}

Task<Result<>> get(Client& client, std::string path, bool as_json) {
    CO_TRY(const InodeId dir, co_await directory(client, path));
    auto policy = co_await client.metadata.getPolicy(dir);
    if (!policy) co_return client::withPath(policy.error(), path);
    if (as_json) print(nlohmann::json{{"own", json(policy->own)}, {"resolved", json(policy->resolved)}});
    else print("set here:\n" + text(policy->own) + "in force:\n" + text(policy->resolved));
    co_return Ok{};
}

Task<Result<>> set(Client& client, std::string path, std::vector<std::string> settings, bool as_json) {
    CO_TRY(const InodeId dir, co_await directory(client, path));
    auto policy = co_await client.metadata.getPolicy(dir);
    if (!policy) co_return client::withPath(policy.error(), path);
    Policy own = policy->own;
    for (const std::string& one : settings) CO_TRY_OK(apply(own, one));
    if (const std::string why = geometry::objection(own); !why.empty()) co_return Error(Code::Invalid, path + ": " + why);
    auto changed = co_await client.metadata.setPolicy(dir, own);
    if (!changed) co_return client::withPath(changed.error(), path);
    if (as_json) {
        print(nlohmann::json{{"directories", *changed}});
        co_return Ok{};
    }
    std::string what;
    for (const std::string& one : settings) what += " " + one;
    print(shownName(path) + ":" + what + ", for what is written from now on in " + std::to_string(*changed) +
          (*changed == 1 ? " directory\n" : " directories\n"));
    for (const char* key : {"class=", "quota_bytes=", "quota_entries="})
        for (const std::string& one : settings)
            if (one.starts_with(key) && one != key) print(one.substr(0, one.find('=')) + " is kept, and not obeyed yet\n");
    co_return Ok{};
}

} // namespace

void addPolicy(Commands& all) {
    auto o = std::make_shared<PolicyFlags>();
    Flags& g = all.add("policy get", "Shows how what is below a directory is stored", "skua policy get /photos", [&all, o] {
        auto path = remotePath(o->path);
        if (!path) return usage(path.error().detail);
        return withClient(all.settings, [&](Client& client) { return get(client, *path, o->json); });
    });
    g.positional("DIR", o->path, "A directory in skua");
    g.flag("--json", o->json, "As JSON");
    Flags& s =
        all.add("policy set", "Changes how what is written below a directory is stored",
                "skua policy set /photos scheme=64K:1+2,4+2 retention=30d", [&all, o] {
                    auto path = remotePath(o->path);
                    if (!path) return usage(path.error().detail);
                    Policy check;
                    for (const auto& one : o->settings)
                        if (auto fine = apply(check, one); !fine) return usage(fine.error().detail);
                    return withClient(all.settings, [&](Client& client) { return set(client, *path, o->settings, o->json); });
                });
    s.positional("DIR", o->path, "A directory in skua");
    s.positional("KEY=VALUE", o->settings,
                 "scheme, cell, span, inline, retention, class, quota_bytes, quota_entries; an empty value inherits again");
    s.flag("--json", o->json, "As JSON");
}

} // namespace skua::cli
