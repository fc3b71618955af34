// smoke: the client library without the CLI, for a cluster that was started by hand.
//   smoke put PATH < bytes | cat PATH | mkdir PATH | ls PATH | rm PATH | space
#include <unistd.h>
#include <cstdio>
#include <cstring>
#include <string>
#include "client/files.h"
#include "client/process.h"

using namespace skua;
using namespace skua::client;

namespace {

class Stdin final : public Source {
public:
    Task<Result<Some>> next() override {
        std::size_t have = 0;
        while (have < sizeof bytes_) {
            const ssize_t n = ::read(0, bytes_ + have, sizeof bytes_ - have);
            if (n <= 0) break;
            have += static_cast<std::size_t>(n);
        }
        Some some;
        some.bytes = {bytes_, have};
        co_return some;
    }

private:
    u8 bytes_[1 << 20];
};

Task<Result<>> work(Client& client, std::string verb, std::string path) {
    FileSystem fs(client);
    if (verb == "put") {
        auto source = std::make_unique<Stdin>();
        PutOptions options;
        CO_TRY_OK(co_await fs.putFile(path, options, *source));
    } else if (verb == "cat") {
        CO_TRY(auto reader, co_await fs.open(path));
        std::string bytes(1 << 20, 0);
        for (u64 at = 0;;) {
            std::span<u8> into(reinterpret_cast<u8*>(bytes.data()), bytes.size());
            CO_TRY(const u64 n, co_await reader->read(at, into));
            if (n == 0) break;
            (void)!::write(1, bytes.data(), n);
            at += n;
        }
    } else if (verb == "mkdir") {
        Owner owner;
        CO_TRY_OK(co_await fs.mkdir(path, 0755, owner, true));
    } else if (verb == "rm") {
        CO_TRY_OK(co_await fs.unlink(path));
    } else if (verb == "ls") {
        CO_TRY(auto all, co_await fs.list(path));
        for (auto& one : all)
            std::printf("%s %llu\n", one.name.c_str(),
                        one.attributes ? static_cast<unsigned long long>(one.attributes->size) : 0ull);
    } else {
        CO_TRY(auto space, co_await fs.space());
        std::printf("disks %u up %u free %llu\n", space.disks, space.disks_up, static_cast<unsigned long long>(space.free));
    }
    co_return Ok{};
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    auto process = Process::make({});
    if (!process) {
        std::fprintf(stderr, "%s\n", process.error().message().c_str());
        return 1;
    }
    auto done = (*process)->run(work((*process)->client(), argv[1], argc > 2 ? argv[2] : "/"));
    if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
    return done ? 0 : 1;
}
