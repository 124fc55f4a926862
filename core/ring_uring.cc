// The kernel's ring. The only file that includes liburing, in the version 2.3 that Debian 12 ships: what that
// lacks is filled into the sqe by hand.
//
// Operations of the ring itself (wake, shutdown, the steps of a connect) carry a user_data at or above
// kReservedUserData; reap() handles them and the caller never sees them.
#include "core/ring.h"

#include <fcntl.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/clock.h"

namespace perch {
namespace {

constexpr uint16_t kBufferGroup = 0;
// With DEFER_TASKRUN the kernel does at most 20 items per enter unless more are waited for
// (IO_LOCAL_TW_DEFAULT_MAX; commit "io_uring: limit local tw done", 2024).
constexpr uint32_t kBusyWait = 256;
constexpr uint64_t kForbiddenNs = 5'000'000'000;  // what is refused completes at once

// ---- user_data of the ring's own operations: 32 ones, the kind, an index.
enum class Own : uint8_t { kWake = 0, kShutdown, kConnectInstall, kConnect, kConnectClose };
constexpr uint32_t kOwnIndexBits = 24;
constexpr uint64_t own_user_data(Own kind, uint32_t index) {
  return Ring::kReservedUserData | uint64_t{static_cast<uint8_t>(kind)} << kOwnIndexBits | index;
}
constexpr Own own_kind(uint64_t user_data) { return static_cast<Own>(user_data >> kOwnIndexBits & 0xff); }
constexpr uint32_t own_index(uint64_t user_data) { return user_data & ((1u << kOwnIndexBits) - 1); }

socklen_t address_length(const sockaddr_storage& address) {
  switch (address.ss_family) {
    case AF_INET:
      return sizeof(sockaddr_in);
    case AF_INET6:
      return sizeof(sockaddr_in6);
    default:
      return sizeof(sockaddr_storage);
  }
}

bool any_port(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return reinterpret_cast<const sockaddr_in&>(address).sin_port == 0;
  if (address.ss_family == AF_INET6) return reinterpret_cast<const sockaddr_in6&>(address).sin6_port == 0;
  return false;
}

// An address space of whole pages; nothing is touched before it is used.
class Pages {
 public:
  Pages() = default;
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() {
    if (data_ != nullptr) munmap(data_, size_);
  }
  int map(size_t size) {
    void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return -errno;
    data_ = static_cast<uint8_t*>(data);
    size_ = size;
    return 0;
  }
  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

class UringRing final : public Ring {
 public:
  UringRing() = default;
  UringRing(const UringRing&) = delete;
  UringRing& operator=(const UringRing&) = delete;
  ~UringRing() override;
  Result<void> open(const RingOptions& options);

  void accept(int listener, PeerAddress* peer, uint64_t user_data) override;
  void connect(const sockaddr_storage& remote, const sockaddr_storage* local, uint64_t user_data) override;
  void poll_readable(Socket socket, uint64_t user_data) override;
  void receive(Socket socket, uint64_t user_data) override;
  void give_back(uint16_t buffer) override;
  void send(Socket socket, const msghdr* message, uint64_t user_data) override;
  void shutdown(Socket socket) override;
  void close(Socket socket, uint64_t user_data) override;
  void move(Socket socket, int target_ring, uint64_t user_data) override;
  void wake(int target_ring) override;
  size_t wait(std::span<Completion> out, uint64_t timeout_ns) override;
  int id() const override { return ring_.ring_fd; }
  uint32_t num_buffers_free() const override { return num_buffers_free_; }
  uint64_t num_syscalls() const override { return num_syscalls_; }

 private:
  // A connect on its way: its socket gets a slot, connects and, if that fails, gives the slot back.
  struct Connecting {
    int descriptor = -1;  // of the process, until the socket is in the table
    int slot = -1;        // the kernel reads the descriptor here and writes the slot
    int32_t error = 0;
    uint64_t user_data = 0;
    sockaddr_storage remote{};
  };
  // While a shutdown is with the kernel's workers the slot must not change hands: see shutdown().
  enum class Slot : uint8_t { kPlain, kShuttingDown, kCloseWaits };

  // What one CQE says, outside the CQ.
  struct Raw {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
  };

  Result<void> try_forbidden();
  io_uring_sqe* next_sqe();
  int enter(uint32_t wait_nr, unsigned flags, uint64_t timeout_ns);
  std::optional<Raw> next_raw();
  size_t reap(std::span<Completion> out);
  std::optional<Completion> translate(const Raw& raw);
  std::optional<Completion> finish_own(uint64_t user_data, int32_t result);
  std::optional<Completion> finish_connect(Own step, uint32_t index, int32_t result);
  Completion end_connect(uint32_t index, int32_t result);
  void queue_close(Socket socket, uint64_t user_data);
  void put_buffer(uint16_t buffer);

  io_uring ring_{};
  bool opened_ = false;
  unsigned enter_flags_ = 0;
  uint32_t buffer_bytes_ = 0;
  uint32_t num_buffers_ = 0;
  uint32_t num_buffers_free_ = 0;
  uint64_t num_syscalls_ = 0;
  Pages buffer_ring_memory_;
  Pages buffer_memory_;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::vector<Slot> slots_;
  std::unordered_map<Socket, uint64_t> waiting_closes_;
  std::deque<Connecting> connecting_;  // a deque: the kernel holds addresses into it
  std::vector<uint32_t> connecting_free_;
  std::deque<Raw> stashed_;  // completions that no longer are, or never were, in the CQ
};

// ---- restrictions: what takes over a reactor finds a ring that opens no file and runs no command.

constexpr uint8_t kServerOperations[] = {IORING_OP_ACCEPT,  IORING_OP_POLL_ADD, IORING_OP_RECV,
                                         IORING_OP_SENDMSG, IORING_OP_SHUTDOWN, IORING_OP_CLOSE,
                                         IORING_OP_MSG_RING};
constexpr uint8_t kConnectOperations[] = {IORING_OP_FILES_UPDATE, IORING_OP_CONNECT};
constexpr uint8_t kOperationFlags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;

int restrict_ring(int ring, bool connects) {
  std::vector<io_uring_restriction> restrictions;
  const auto add = [&restrictions](uint16_t what, uint8_t value) {
    io_uring_restriction& restriction = restrictions.emplace_back();
    restriction.opcode = what;
    restriction.sqe_op = value;  // of a union whose members are one byte each
  };
  for (const uint8_t operation : kServerOperations) add(IORING_RESTRICTION_SQE_OP, operation);
  if (connects)
    for (const uint8_t operation : kConnectOperations) add(IORING_RESTRICTION_SQE_OP, operation);
  add(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, kOperationFlags);
  add(IORING_RESTRICTION_REGISTER_OP, IORING_UNREGISTER_RING_FDS);  // liburing's exit
  // liburing 2.3 has no function for it in its shared library.
  return io_uring_register(static_cast<unsigned>(ring), IORING_REGISTER_RESTRICTIONS, restrictions.data(),
                           static_cast<unsigned>(restrictions.size()));
}

UringRing::~UringRing() {
  // Ends what is in flight. The pool's memory goes after it: receives never wait, so none can still write to
  // it.
  if (opened_) io_uring_queue_exit(&ring_);
  for (const Connecting& connecting : connecting_) {
    if (connecting.descriptor >= 0) ::close(connecting.descriptor);
  }
}

Result<void> UringRing::open(const RingOptions& options) {
  PERCH_CHECK(options.buffers == 0 || std::has_single_bit(options.buffers));
  PERCH_CHECK(options.buffers <= 32768 && options.sockets <= 1u << kOwnIndexBits);
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
  params.cq_entries = std::max(options.completions, options.submissions);
  if (int error = io_uring_queue_init_params(options.submissions, &ring_, &params); error < 0) {
    return ring_error(error);
  }
  opened_ = true;
  const unsigned features = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_CQE_SKIP;
  if ((params.features & features) != features) return ring_error(-EINVAL);
  // liburing 2.3 writes the array at each submit, later ones have none. Written once it always fits enter().
  if (ring_.sq.array != nullptr) {
    for (unsigned i = 0; i < params.sq_entries; ++i) ring_.sq.array[i] = i;
  }
  // Saves the descriptor look-up of each enter. A process may be out of such slots: then without.
  if (io_uring_register_ring_fd(&ring_) == 1) enter_flags_ = IORING_ENTER_REGISTERED_RING;

  if (options.sockets > 0) {
    if (int error = io_uring_register_files_sparse(&ring_, options.sockets); error < 0)
      return ring_error(error);
    slots_.assign(options.sockets, Slot::kPlain);
  }
  if (options.buffers > 0) {
    const size_t ring_bytes = options.buffers * sizeof(io_uring_buf);
    if (int error = buffer_ring_memory_.map(ring_bytes); error < 0) return ring_error(error);
    const size_t pool_bytes = size_t{options.buffers} * options.buffer_bytes;
    if (int error = buffer_memory_.map(pool_bytes); error < 0) return ring_error(error);
    buffer_ring_ = reinterpret_cast<io_uring_buf_ring*>(buffer_ring_memory_.data());
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uint64_t>(buffer_ring_);
    registration.ring_entries = options.buffers;
    registration.bgid = kBufferGroup;
    if (int error = io_uring_register_buf_ring(&ring_, &registration, 0); error < 0) return ring_error(error);
    buffer_bytes_ = options.buffer_bytes;
    num_buffers_ = options.buffers;
    for (uint32_t buffer = 0; buffer < num_buffers_; ++buffer) put_buffer(static_cast<uint16_t>(buffer));
  }
  if (int error = restrict_ring(ring_.ring_fd, options.connects); error < 0) return ring_error(error);
  // From here on the ring is this thread's (SINGLE_ISSUER) and refuses what it was not made for.
  if (int error =
          io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
      error < 0)
    return ring_error(error);
  return try_forbidden();
}

// Opening a file must be refused, or the restrictions are none.
Result<void> UringRing::try_forbidden() {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY | O_CLOEXEC, 0);
  sqe->user_data = 0;
  enter(1, IORING_ENTER_GETEVENTS, kForbiddenNs);
  const std::optional<Raw> raw = next_raw();
  if (!raw) return ring_error(-ETIME);
  if (raw->result >= 0) ::close(raw->result);
  if (raw->result != -EACCES) return ring_error(-EOPNOTSUPP);
  return {};
}

// ---- submission

// Submits all that is queued and, if `flags` say so, waits. One system call, unlike liburing's own, which
// enters a second time when a submit was followed by a timeout. Returns -errno of what is worth a caller's
// thought.
int UringRing::enter(uint32_t wait_nr, unsigned flags, uint64_t timeout_ns) {
  io_uring_sq& sq = ring_.sq;
  sq.sqe_head = sq.sqe_tail;
  io_uring_smp_store_release(sq.ktail, sq.sqe_tail);
  const unsigned to_submit = sq.sqe_tail - io_uring_smp_load_acquire(sq.khead);
  __kernel_timespec timeout{};
  timeout.tv_sec = static_cast<int64_t>(timeout_ns / 1'000'000'000);
  timeout.tv_nsec = static_cast<int64_t>(timeout_ns % 1'000'000'000);
  if (flags & IORING_ENTER_GETEVENTS) flags |= IORING_ENTER_EXT_ARG;
  io_uring_getevents_arg argument{};
  argument.sigmask_sz = 8;  // of the kernel's signal set; without a mask it is not read
  argument.ts = reinterpret_cast<uint64_t>(&timeout);
  ++num_syscalls_;
  const int result =
      io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), to_submit, wait_nr, flags | enter_flags_,
                      reinterpret_cast<sigset_t*>(&argument), sizeof(argument));
  if (result >= 0) return 0;
  switch (-result) {
    case ETIME:  // nothing came in time
      return 0;
    case EINTR:   // a signal; the caller's loop looks at what it means
    case EBUSY:   // completions must be reaped first
    case EAGAIN:  // no memory for requests now; they stay queued
      return result;
    default:
      // EBADR: the kernel lost completions for want of memory, so that buffers are held for ever. EEXIST:
      // another thread's ring. The rest are calls that we never make. None can be survived.
      std::fprintf(stderr, "perch: io_uring_enter: %s\n", std::strerror(-result));
      PERCH_CHECK(!"io_uring_enter failed");
      return result;
  }
}

io_uring_sqe* UringRing::next_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  for (int attempt = 0; sqe == nullptr; ++attempt) {
    PERCH_CHECK(attempt < 1000);  // a second without memory for one request
    if (enter(0, 0, 0) < 0) {
      while (const std::optional<Raw> raw = next_raw()) stashed_.push_back(*raw);
      enter(1, IORING_ENTER_GETEVENTS, 1'000'000);
    }
    sqe = io_uring_get_sqe(&ring_);
  }
  return sqe;
}

void UringRing::accept(int listener, PeerAddress* peer, uint64_t user_data) {
  PERCH_CHECK(user_data < kReservedUserData);
  io_uring_sqe* sqe = next_sqe();
  sockaddr* address = peer == nullptr ? nullptr : reinterpret_cast<sockaddr*>(&peer->storage);
  io_uring_prep_accept(sqe, listener, address, peer == nullptr ? nullptr : &peer->length, 0);
  // By hand: liburing 2.3's accept_direct makes a plain descriptor of this value.
  sqe->file_index = IORING_FILE_INDEX_ALLOC;
  sqe->user_data = user_data;
}

void UringRing::poll_readable(Socket socket, uint64_t user_data) {
  PERCH_CHECK(user_data < kReservedUserData);
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_poll_add(sqe, static_cast<int>(socket), POLLIN | POLLRDHUP);
  sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = user_data;
}

void UringRing::receive(Socket socket, uint64_t user_data) {
  PERCH_CHECK(user_data < kReservedUserData && buffer_ring_ != nullptr);
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_recv(sqe, static_cast<int>(socket), nullptr, buffer_bytes_, MSG_DONTWAIT);
  sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
  sqe->user_data = user_data;
}

void UringRing::put_buffer(uint16_t buffer) {
  uint8_t* memory = buffer_memory_.data() + size_t{buffer} * buffer_bytes_;
  io_uring_buf_ring_add(buffer_ring_, memory, buffer_bytes_, buffer, io_uring_buf_ring_mask(num_buffers_), 0);
  io_uring_buf_ring_advance(buffer_ring_, 1);
  ++num_buffers_free_;
}

void UringRing::give_back(uint16_t buffer) {
  PERCH_CHECK(buffer < num_buffers_ && num_buffers_free_ < num_buffers_);
  put_buffer(buffer);
}

void UringRing::send(Socket socket, const msghdr* message, uint64_t user_data) {
  PERCH_CHECK(user_data < kReservedUserData);
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_sendmsg(sqe, static_cast<int>(socket), message, MSG_WAITALL | MSG_NOSIGNAL);
  sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = user_data;
}

// The kernel gives a shutdown to a worker thread, which looks the slot up only when it runs. Were the slot
// closed and taken by an accept in between, it would shut down a stranger. So its completion is awaited, and
// a close() that comes earlier waits for it.
void UringRing::shutdown(Socket socket) {
  PERCH_CHECK(socket < slots_.size() && slots_[socket] != Slot::kCloseWaits);
  if (slots_[socket] == Slot::kShuttingDown) return;
  slots_[socket] = Slot::kShuttingDown;
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_shutdown(sqe, static_cast<int>(socket), SHUT_RDWR);
  sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = own_user_data(Own::kShutdown, socket);
}

void UringRing::close(Socket socket, uint64_t user_data) {
  PERCH_CHECK(user_data < kReservedUserData);
  PERCH_CHECK(socket < slots_.size() && slots_[socket] != Slot::kCloseWaits);
  if (slots_[socket] == Slot::kShuttingDown) {
    slots_[socket] = Slot::kCloseWaits;
    waiting_closes_.emplace(socket, user_data);
  } else {
    queue_close(socket, user_data);
  }
}

void UringRing::queue_close(Socket socket, uint64_t user_data) {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_close_direct(sqe, socket);
  sqe->user_data = user_data;
}

void UringRing::move(Socket socket, int target_ring, uint64_t user_data) {
  PERCH_CHECK(user_data < kReservedUserData);
  PERCH_CHECK(socket < slots_.size() && slots_[socket] == Slot::kPlain);
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_rw(IORING_OP_MSG_RING, sqe, target_ring, nullptr, 0, 0);
  sqe->addr = IORING_MSG_SEND_FD;
  sqe->addr3 = socket;
  sqe->file_index = IORING_FILE_INDEX_ALLOC;
  sqe->msg_ring_flags =
      IORING_MSG_RING_CQE_SKIP;  // the target learns the slot from us, with what belongs to it
  sqe->user_data = user_data;
}

void UringRing::wake(int target_ring) {
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_msg_ring(sqe, target_ring, 0, kWakeUserData, 0);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = own_user_data(Own::kWake, 0);
}

// ---- connect

// The socket is made by socket(2) and not by the ring, because a direct descriptor takes no options before
// kernel 6.7. It is a process descriptor only until it is in the table.
void UringRing::connect(const sockaddr_storage& remote, const sockaddr_storage* local, uint64_t user_data) {
  PERCH_CHECK(user_data < kReservedUserData);
  const int on = 1;
  num_syscalls_ += 3;
  const int descriptor = ::socket(remote.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    stashed_.push_back({user_data, -errno, 0});
    return;
  }
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  if (local != nullptr) {
    num_syscalls_ += 2;
    // The port is chosen at connect, so that it need be free only towards this remote address.
    if (any_port(*local)) setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(descriptor, reinterpret_cast<const sockaddr*>(local), address_length(*local)) != 0) {
      stashed_.push_back({user_data, -errno, 0});
      ::close(descriptor);
      return;
    }
  }
  if (connecting_free_.empty()) {
    connecting_free_.push_back(static_cast<uint32_t>(connecting_.size()));
    connecting_.emplace_back();
  }
  const uint32_t index = connecting_free_.back();
  connecting_free_.pop_back();
  PERCH_CHECK(index < 1u << kOwnIndexBits);
  Connecting& connecting = connecting_[index];
  connecting = Connecting{descriptor, descriptor, 0, user_data, remote};
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_files_update(sqe, &connecting.slot, 1, static_cast<int>(IORING_FILE_INDEX_ALLOC));
  sqe->user_data = own_user_data(Own::kConnectInstall, index);
}

// One step is done. A completion: so is the connect.
std::optional<Completion> UringRing::finish_connect(Own step, uint32_t index, int32_t result) {
  Connecting& connecting = connecting_[index];
  switch (step) {
    case Own::kConnectInstall: {
      ++num_syscalls_;
      ::close(std::exchange(connecting.descriptor, -1));
      if (result < 0) return end_connect(index, result);
      PERCH_CHECK(result == 1);
      io_uring_sqe* sqe = next_sqe();
      io_uring_prep_connect(sqe, connecting.slot, reinterpret_cast<const sockaddr*>(&connecting.remote),
                            address_length(connecting.remote));
      sqe->flags |= IOSQE_FIXED_FILE;
      sqe->user_data = own_user_data(Own::kConnect, index);
      return std::nullopt;
    }
    case Own::kConnect:
      if (result >= 0) return end_connect(index, connecting.slot);
      connecting.error = result;
      queue_close(static_cast<Socket>(connecting.slot), own_user_data(Own::kConnectClose, index));
      return std::nullopt;
    default:
      return end_connect(index, connecting.error);
  }
}

Completion UringRing::end_connect(uint32_t index, int32_t result) {
  Completion completion;
  completion.user_data = connecting_[index].user_data;
  completion.result = result;
  connecting_free_.push_back(index);
  return completion;
}

// ---- completion

// Nothing: the CQ is empty.
std::optional<UringRing::Raw> UringRing::next_raw() {
  io_uring_cq& cq = ring_.cq;
  const unsigned head = *cq.khead;
  if (head == io_uring_smp_load_acquire(cq.ktail)) return std::nullopt;
  const io_uring_cqe& cqe = cq.cqes[head & (*cq.kring_mask)];
  const Raw raw{cqe.user_data, cqe.res, cqe.flags};
  io_uring_smp_store_release(cq.khead, head + 1);
  return raw;
}

size_t UringRing::reap(std::span<Completion> out) {
  size_t num = 0;
  while (num < out.size()) {
    std::optional<Raw> raw;
    // Taken out of the CQ before it is looked at, because translate() may queue and so reap into stashed_.
    if (!stashed_.empty()) {
      raw = stashed_.front();
      stashed_.pop_front();
    } else {
      raw = next_raw();
    }
    if (!raw) break;
    if (const std::optional<Completion> completion = translate(*raw)) out[num++] = *completion;
  }
  return num;
}

// Nothing: the ring's own.
std::optional<Completion> UringRing::translate(const Raw& raw) {
  if (raw.user_data >= kReservedUserData && raw.user_data != kWakeUserData) {
    return finish_own(raw.user_data, raw.result);
  }
  Completion completion;
  completion.user_data = raw.user_data;
  completion.result = raw.result;
  if (raw.flags & IORING_CQE_F_BUFFER) {
    PERCH_CHECK(num_buffers_free_ > 0);
    --num_buffers_free_;
    const auto buffer = static_cast<uint16_t>(raw.flags >> IORING_CQE_BUFFER_SHIFT);
    if (raw.result > 0) {
      completion.buffer = buffer;
      completion.has_buffer = true;
      completion.bytes = {buffer_memory_.data() + size_t{buffer} * buffer_bytes_,
                          static_cast<size_t>(raw.result)};
    } else {
      put_buffer(buffer);
    }
  }
  return completion;
}

std::optional<Completion> UringRing::finish_own(uint64_t user_data, int32_t result) {
  const uint32_t index = own_index(user_data);
  switch (own_kind(user_data)) {
    case Own::kWake:
      // Only failures come here. The target ring is gone and nobody waits on it; or the kernel had no memory
      // for the message (-ENOMEM of io_msg_data_remote in its msg_ring.c, since 6.11) and the wake is lost.
      return std::nullopt;
    case Own::kShutdown: {  // a failure means that it was not connected any more
      const Slot slot = std::exchange(slots_[index], Slot::kPlain);
      if (slot == Slot::kCloseWaits) {
        auto waiting = waiting_closes_.find(index);
        PERCH_CHECK(waiting != waiting_closes_.end());
        queue_close(index, waiting->second);
        waiting_closes_.erase(waiting);
      }
      return std::nullopt;
    }
    default:
      return finish_connect(own_kind(user_data), index, result);
  }
}

size_t UringRing::wait(std::span<Completion> out, uint64_t timeout_ns) {
  PERCH_CHECK(!out.empty());
  const bool some_left = !stashed_.empty() || io_uring_cq_ready(&ring_) > 0;
  if (!some_left || io_uring_sq_ready(&ring_) > 0) enter(kBusyWait, IORING_ENTER_GETEVENTS, 0);
  size_t num = reap(out);
  if (num > 0 || timeout_ns == 0) return num;

  const uint64_t start_ns = system_clock().mono_ns();
  uint64_t waited_ns = 0;
  while (num == 0 && waited_ns < timeout_ns) {
    // Again if only completions of the ring's own came.
    if (enter(1, IORING_ENTER_GETEVENTS, timeout_ns - waited_ns) < 0) return reap(out);
    num = reap(out);
    waited_ns = system_clock().mono_ns() - start_ns;
  }
  return num;
}

}  // namespace

Result<std::unique_ptr<Ring>> make_uring(const RingOptions& options) {
  auto ring = std::make_unique<UringRing>();
  if (Result<void> opened = ring->open(options); !opened) return opened.error();
  return std::unique_ptr<Ring>(std::move(ring));
}

}  // namespace perch
