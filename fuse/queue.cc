#include "fuse/queue.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include "fuse/session.h"

namespace skua::fuse {
using namespace abi;

namespace {
constexpr std::size_t kHeaderPage = 4096;
constexpr std::size_t kDeviceHeader = sizeof(fuse_in_header) + sizeof(fuse_write_in);
constexpr int kReadsAtOnce = 16; // from /dev/fuse, then the ring's other guests have a turn
} // namespace

// One request's buffers. In memory, a page and the payload behind it:
//
//   | EntryHeader 288 |  free  | fuse_in_header | operation | payload ... |
//   page                       `- assembled here, so that all is contiguous, as libfuse wants it,
//                                 though the payload stays where the kernel wrote it
//
//   Waiting ─prepare()─> Lent ─complete(0)──> Handling ─reply()─> Waiting     over io_uring
//      `──────────────────┴───complete(<0)──> Gone, or Idle if it could not be registered
//   Idle ─readDevice()─> Handling ─reply()─> Idle                             over /dev/fuse
struct Queue::Entry final : Completion {
    enum class State { Waiting, Lent, Idle, Handling, Gone };

    Entry(Queue& q, std::byte* memory, State s)
        : queue(q), header(*new(memory) EntryHeader{}), payload(memory + kHeaderPage), state(s) {}

    void lend(io_uring_sqe* sqe) {
        io_uring_prep_rw(IORING_OP_URING_CMD, sqe, queue.session_.device_, nullptr, 0, 0);
        CommandArgs args{};
        args.commitId = commitId;
        args.queue = queue.number_;
        std::memset(reinterpret_cast<std::byte*>(sqe) + offsetof(io_uring_sqe, cmd), 0, 80); // the larger half too
        std::memcpy(reinterpret_cast<std::byte*>(sqe) + offsetof(io_uring_sqe, cmd), &args, sizeof args);
        if (registered) {
            sqe->cmd_op = kCommitAndFetch;
        } else {
            sqe->cmd_op = kRegister;
            sqe->addr = reinterpret_cast<u64>(buffers);
            sqe->len = std::size(buffers);
        }
        io_uring_sqe_set_data(sqe, static_cast<Completion*>(this));
        state = State::Lent;
        queue.lent_++;
    }

    void complete(int result) override {
        CHECK(state == State::Lent);
        queue.lent_--;
        if (result == 0) {
            registered = true;
            commitId = header.info.commitId;
            dispatchAssembled();
        } else if (result == -ENOTCONN || result == -ECONNABORTED || result == -ECANCELED) {
            state = State::Gone;
            queue.hangUp();
            queue.checkFinished();
        } else {                // the kernel takes back its offer: it sends all to /dev/fuse
            CHECK(!registered); // else: a commit that the kernel does not know, somebody would wait for ever
            state = State::Idle;
            queue.idle_.push_back(this);
        }
    }

    void dispatchAssembled() {
        const auto& in = *reinterpret_cast<const fuse_in_header*>(header.inOut);
        const std::size_t operation = in.len - sizeof in - header.info.payloadSize;
        CHECK(operation <= sizeof header.operation);
        std::byte* at = payload - operation - sizeof in;
        std::memcpy(at, &in, sizeof in);
        std::memcpy(at + sizeof in, header.operation, operation);
        dispatch(at, in.len);
    }

    // False: nothing more to read now.
    bool readDevice() {
        std::byte* at = payload - kDeviceHeader; // so that a WRITE's bytes are aligned here too
        // The kernel refuses a buffer that could not hold the largest WRITE, even if it has but a FORGET.
        const ssize_t n = ::read(queue.session_.device_, at, kDeviceHeader + queue.session_.payload_);
        if (n < 0 && errno == ENOENT) return true; // interrupted before anybody had seen it
        if (n < 0 && errno != EAGAIN && errno != EINTR) queue.hangUp();
        if (n <= 0) return false;
        queue.idle_.pop_back();
        dispatch(at, static_cast<std::size_t>(n));
        return true;
    }

    void dispatch(std::byte* at, std::size_t size) {
        auto& in = *reinterpret_cast<fuse_in_header*>(at);
        state = State::Handling;
        queue.handled_++;
        kernelUnique = in.unique;
        queue.session_.asked_[std::min<std::size_t>(in.opcode, queue.session_.asked_.size() - 1)]++;
        if (in.opcode == FUSE_INTERRUPT) {
            queue.session_.interrupt({in.unique, reinterpret_cast<const fuse_interrupt_in*>(at + sizeof in)->unique});
            return release();
        }
        in.unique = tag();
        const bool answered = in.opcode != FUSE_FORGET && in.opcode != FUSE_BATCH_FORGET;
        feed(at, size);
        if (!answered) return release();
        auto& early = queue.session_.early_;
        auto found = std::find_if(early.begin(), early.end(), [&](const Interrupt& i) { return i.request == kernelUnique; });
        if (found == early.end()) return;
        const Interrupt interrupt = *found;
        early.erase(found);
        if (state == State::Handling) queue.interrupt(interrupt);
    }

    void feed(std::byte* at, std::size_t size) {
        fuse_buf buffer{};
        buffer.size = size;
        buffer.mem = at;
        buffer.fd = -1;
        fuse_session_process_buf(queue.session_.se_, &buffer);
    }

    // `iov[0]` is libfuse's fuse_out_header, the rest goes behind it.
    ssize_t reply(iovec* iov, int count) {
        CHECK(state == State::Handling);
        auto& out = *static_cast<fuse_out_header*>(iov[0].iov_base);
        const auto size = static_cast<ssize_t>(out.len);
        out.unique = kernelUnique;
        if (!registered) {
            const ssize_t n = ::writev(queue.session_.device_, iov, count);
            release();
            return n;
        }
        std::memcpy(header.inOut, &out, sizeof out);
        std::size_t at = 0;
        for (int i = 1; i < count; i++) {
            const iovec& part = iov[i];
            CHECK(at + part.iov_len <= queue.session_.payload_);
            if (part.iov_len > 0 && part.iov_base != payload + at) std::memmove(payload + at, part.iov_base, part.iov_len);
            at += part.iov_len;
        }
        header.info.payloadSize = static_cast<u32>(at);
        release();
        return size;
    }

    void release() {
        queue.handled_--;
        state = registered ? State::Waiting : State::Idle;
        (registered ? queue.toLend_ : queue.idle_).push_back(this);
        queue.checkFinished();
    }

    u64 tag() const { return kOurs | reinterpret_cast<u64>(this); }
    static Entry& of(u64 tag) { return *reinterpret_cast<Entry*>(tag & ~kOurs); }

    Queue& queue;
    EntryHeader& header;
    std::byte* const payload;
    State state;
    bool registered = false;
    u64 commitId = 0, kernelUnique = 0;
    iovec buffers[2] = {{&header, sizeof header}, {payload, queue.session_.payload_}};
};

Queue::Queue(Session& session, u16 number) : session_(session), number_(number) {
    const bool uring = session.overIoUring_;
    // Over io_uring, queue 0 reads besides what still comes by /dev/fuse: it needs one more buffer.
    const unsigned count = session.options_.depth + (uring && number == 0);
    const std::size_t stride = kHeaderPage + (session.payload_ + kHeaderPage - 1) / kHeaderPage * kHeaderPage;
    memorySize_ = count * stride;
    memory_ = mmap(nullptr, memorySize_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory_ != MAP_FAILED);
    toLend_.reserve(count);
    idle_.reserve(count);
    for (unsigned i = 0; i < count; i++) {
        const bool lent = uring && i < session.options_.depth;
        entries_.emplace_back(*this, static_cast<std::byte*>(memory_) + i * stride,
                              lent ? Entry::State::Waiting : Entry::State::Idle);
        (lent ? toLend_ : idle_).push_back(&entries_.back());
    }
    session_.ring_.addGuest(*this);
}

Queue::~Queue() {
    CHECK(finished());
    session_.ring_.removeGuest(*this);
    munmap(memory_, memorySize_);
}

void Queue::prepare() {
    std::size_t said = 0;
    for (; !ended_ && said < toLend_.size(); said++) {
        io_uring_sqe* sqe = io_uring_get_sqe(&session_.ring_.raw());
        if (!sqe) break;
        toLend_[said]->lend(sqe);
    }
    toLend_.erase(toLend_.begin(), toLend_.begin() + static_cast<std::ptrdiff_t>(said));
    if (ended_) return;
    // Without a buffer for a request the thread is not woken for one.
    if (!idle_.empty()) poll(deviceReady_, POLLIN | EPOLLEXCLUSIVE, polling_);
    // The end is heard from what the kernel has of ours; if that is nothing, it must be asked for.
    if (!polling_ && lent_ == 0) poll(deviceGone_, 0, watching_);
}

void Queue::poll(Completion& then, unsigned events, bool& armed) {
    if (armed) return;
    io_uring_sqe* sqe = io_uring_get_sqe(&session_.ring_.raw());
    if (!sqe) return;
    io_uring_prep_poll_add(sqe, session_.device_, events);
    io_uring_sqe_set_data(sqe, &then);
    armed = true;
}

void Queue::deviceReady(int) {
    polling_ = false;
    for (int i = 0; i < kReadsAtOnce && !idle_.empty(); i++)
        if (!idle_.back()->readDevice()) break;
    checkFinished();
}

void Queue::deviceGone(int) {
    watching_ = false;
    hangUp();
    checkFinished();
}

// libfuse would keep an interrupt that comes before its request only until any other request comes,
// then send it back to the kernel; which, over io_uring, no longer knows it. So the session keeps it.
bool Queue::interrupt(const Interrupt& i) {
    for (Entry& e : entries_) {
        if (e.state != Entry::State::Handling || e.kernelUnique != i.request) continue;
        struct {
            fuse_in_header header;
            fuse_interrupt_in body;
        } in{};
        in.header.len = sizeof in;
        in.header.opcode = FUSE_INTERRUPT;
        in.header.unique = i.unique;
        in.body.unique = e.tag();
        e.feed(reinterpret_cast<std::byte*>(&in), sizeof in);
        return true;
    }
    return false;
}

void Queue::hangUp() {
    if (ended_) return;
    ended_ = true;
    session_.hungUp();
    checkFinished();
}

void Queue::checkFinished() {
    if (told_ || !finished()) return;
    told_ = true;
    session_.queueFinished();
}

ssize_t Queue::reply(u64 unique, iovec* iov, int count) { return Entry::of(unique).reply(iov, count); }

} // namespace skua::fuse
