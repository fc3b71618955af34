#include "client/cli/interrupt.h"

#include <unistd.h>
#include <atomic>
#include <csignal>

namespace skua::cli {

namespace {

constexpr int kSlots = 64;
std::atomic<const char*> slots[kSlots];

// Only what a signal handler may: unlink and _exit.
void end(int number) {
    for (auto& slot : slots)
        if (const char* path = slot.load()) ::unlink(path);
    ::_exit(128 + number);
}

} // namespace

void handleInterrupts() {
    struct sigaction action{};
    action.sa_handler = end;
    sigfillset(&action.sa_mask);
    for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
}

Temporary::Temporary(std::string path) : path_(std::move(path)) {
    for (int i = 0; i < kSlots && slot_ < 0; i++) {
        const char* none = nullptr;
        if (slots[i].compare_exchange_strong(none, path_.c_str())) slot_ = i;
    }
}
Temporary::~Temporary() {
    if (!kept_) ::unlink(path_.c_str());
    if (slot_ >= 0) slots[slot_] = nullptr;
}
void Temporary::keep() {
    kept_ = true;
    if (slot_ >= 0) slots[slot_] = nullptr;
    slot_ = -1;
}

} // namespace skua::cli
