// Whole requests of random fields, thrown at the shard, the coordinator and the registry: every one gets an
// answer, none stops a machine. The bytes seed a generator; what it makes is well-formed, but nonsense.
#include <memory>
#include "cdc/state.h"
#include "core/store/kv_memory.h"
#include "core/wire/arbitrary.h"
#include "registry/state.h"
#include "shard/state.h"

using namespace skua;

namespace {

struct Nowhere final : raft::Leader {
    void propose(std::string) override {}
    void call(GroupId, std::string, u64) override {}
    void tellHost(std::string, std::string, u64) override {}
    Random& random() override { return rng; }
    Random rng{1};
};

template <class Request>
void throwAt(raft::StateMachine& machine, const std::string& config, Random& rng, std::string_view bytes) {
    store::KvMemory kv;
    Nowhere leader;
    raft::Time now{Wall{1'700'000'000 * kSecond}, Age{kHour}};
    {
        store::Transaction t(kv);
        machine.format(t, now, config);
        CHECK(kv.write(t.writes()));
    }
    machine.started(kv, now, leader);
    for (int i = 0; i < 12; i++) {
        Request request;
        wire::randomise(rng, request);
        std::string body = wire::encode(request);
        // Some bytes of the fuzzer's own over it, so that it learns what matters.
        for (std::size_t k = 0; k < bytes.size() && k < body.size(); k++)
            if (rng.oneIn(4)) body[rng.below(body.size())] = bytes[k];
        now.wall.value += rng.below(kMinute);
        now.age.value += rng.below(kMinute);
        const raft::Command c{ClientId{rng.below(3)}, RequestId{static_cast<u64>(i)}, rng.oneIn(2), rng.oneIn(2), body};
        switch (machine.classify(body)) {
            case raft::StateMachine::Class::kQuery: CHECK(machine.query(kv, now, c, true)); break;
            case raft::StateMachine::Class::kVolatile: (void)machine.tell(kv, now, c, leader); break;
            case raft::StateMachine::Class::kCommand: {
                (void)machine.admit(kv, now, c); // an answer either way; apply must stand both
                store::Transaction t(kv);
                raft::Outcome out;
                machine.apply(t, now, c, out);
                if (!out.answer || out.answer->error.code == Code::Ok || out.keep) CHECK(kv.write(t.writes()));
            }
        }
        machine.lead(kv, now, leader);
        machine.heard(kv, now, rng.below(8), Result<std::string>(std::string(bytes.substr(0, 40))), leader);
        CHECK(!kv.failed());
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 9) return 0;
    u64 seed;
    std::memcpy(&seed, data + 1, sizeof seed);
    Random rng(seed);
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 9, size - 9);
    if (data[0] % 4 == 0) {
        cdc::Coordinator machine;
        cdc::CoordinatorConfig config;
        config.shards = 3;
        throwAt<cdc::Request>(machine, wire::encode(config), rng, bytes);
    } else if (data[0] % 4 == 1) {
        registry::Registry machine;
        registry::RegistryConfig config;
        config.shards = 3;
        throwAt<registry::Request>(machine, wire::encode(config), rng, bytes);
    } else {
        shard::Shard machine(net::Keys(ClusterId{1}, MacKey{}));
        shard::ShardConfig config;
        config.shards = 1;
        throwAt<shard::Request>(machine, wire::encode(config), rng, bytes);
    }
    return 0;
}
