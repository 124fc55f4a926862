// Is this a kernel for Perch? Every operation tried once, and what to tell the operator if one fails.
#include <netinet/in.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/ring.h"

namespace perch {

Error ring_error(int negative_errno) {
  const int number = -negative_errno;
  // ENOSYS: no io_uring at all. EINVAL: a flag, a register call or an operation that this kernel does not
  // know.
  const bool unsupported = number == ENOSYS || number == EINVAL || number == EOPNOTSUPP;
  return {unsupported ? Errc::kUnsupported : Errc::kSystem, number};
}

namespace {

// A listening socket on the loopback address, closed when it goes.
class Listener {
 public:
  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int open() {
    descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor_ < 0) return -errno;
    auto& address = reinterpret_cast<sockaddr_in&>(address_);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address_);
    if (bind(descriptor_, generic, length) != 0 || listen(descriptor_, 1) != 0 ||
        getsockname(descriptor_, generic, &length) != 0) {
      return -errno;
    }
    return 0;
  }
  int descriptor() const { return descriptor_; }
  const sockaddr_storage& address() const { return address_; }

 private:
  int descriptor_ = -1;
  sockaddr_storage address_{};
};

constexpr uint64_t kProbeNs = 2'000'000'000;

// The next completion, or -ETIME. Probes queue one operation at a time except where said.
int32_t probe_wait(Ring& ring, Completion* completion) {
  return ring.wait({completion, 1}, kProbeNs) == 1 ? completion->result : -ETIME;
}

// Each step is one operation that Perch uses. Returns the first error.
int32_t probe_operations(Ring& ring, Ring& other) {
  Listener listener;
  if (int error = listener.open(); error < 0) return error;
  Completion completion;
  PeerAddress peer;
  ring.accept(listener.descriptor(), &peer, 1);
  ring.connect(listener.address(), nullptr, 2);
  Socket ends[2] = {kNoSocket, kNoSocket};
  for (int i = 0; i < 2; ++i) {
    const int32_t result = probe_wait(ring, &completion);
    if (result < 0) return result;
    ends[completion.user_data - 1] = static_cast<Socket>(result);
  }
  char byte = 1;
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ring.send(ends[1], &message, 3);
  if (int32_t result = probe_wait(ring, &completion); result < 0) return result;
  ring.poll_readable(ends[0], 4);
  if (int32_t result = probe_wait(ring, &completion); result < 0) return result;
  ring.receive(ends[0], 5);
  if (int32_t result = probe_wait(ring, &completion); result < 0) return result;
  if (completion.result != 1 || !completion.has_buffer) return -EINVAL;
  ring.give_back(completion.buffer);
  ring.move(ends[0], other.id(), 6);
  if (int32_t result = probe_wait(ring, &completion); result < 0) return result;
  ring.wake(other.id());
  ring.wait({&completion, 1}, 0);
  if (other.wait({&completion, 1}, kProbeNs) != 1 || completion.user_data != Ring::kWakeUserData)
    return -EINVAL;
  ring.shutdown(ends[1]);
  ring.close(ends[1], 7);
  if (int32_t result = probe_wait(ring, &completion); result < 0) return result;
  return 0;
}

}  // namespace

Result<void> probe_uring() {
  RingOptions options;
  options.submissions = 16;
  options.completions = 64;
  options.sockets = 8;
  options.buffers = 4;
  options.buffer_bytes = 512;
  options.connects = true;
  auto ring = make_uring(options);
  if (!ring) return ring.error();
  auto other = make_uring(options);
  if (!other) return other.error();
  if (int32_t error = probe_operations(**ring, **other); error < 0) return ring_error(error);
  return {};
}

const char* explain_ring_error(const Error& error) noexcept {
  utsname system{};
  const char* release = uname(&system) == 0 ? system.release : "unknown";
  int disabled = 0;  // 1: only for a group, 2: for all; before 6.6 there is no such file
  if (FILE* file = std::fopen("/proc/sys/kernel/io_uring_disabled", "re"); file != nullptr) {
    if (std::fscanf(file, "%d", &disabled) != 1) disabled = 0;
    std::fclose(file);
  }
  return explain_ring_error(error, release, disabled);
}

const char* explain_ring_error(const Error& error, const char* release, int disabled) noexcept {
  thread_local char text[320];
  const int number = static_cast<int>(error.detail);
  if (number == EPERM && disabled != 0) {
    std::snprintf(text, sizeof(text),
                  "io_uring is switched off: sysctl kernel.io_uring_disabled is %d, set it to 0", disabled);
  } else if (number == EPERM || number == EACCES) {
    std::snprintf(text, sizeof(text),
                  "io_uring is forbidden (%s), probably by a seccomp filter of the container "
                  "or the service: allow io_uring_setup, io_uring_enter, io_uring_register",
                  std::strerror(number));
  } else if (number == ENOSYS) {
    std::snprintf(text, sizeof(text),
                  "kernel %s has no io_uring, or a seccomp filter hides it; Perch needs "
                  "6.1 or newer",
                  release);
  } else if (error.code == Errc::kUnsupported) {
    std::snprintf(text, sizeof(text), "kernel %s lacks an io_uring feature (%s); Perch needs 6.1 or newer",
                  release, std::strerror(number));
  } else if (number == ENOMEM) {
    std::snprintf(text, sizeof(text),
                  "no memory for an io_uring: raise RLIMIT_MEMLOCK (ulimit -l, systemd "
                  "LimitMEMLOCK=infinity) or start fewer reactors (--reactors)");
  } else if (number == EMFILE || number == ENFILE) {
    std::snprintf(text, sizeof(text),
                  "the table of sockets is larger than the descriptor limit: raise it "
                  "(ulimit -n, systemd LimitNOFILE)");
  } else {
    std::snprintf(text, sizeof(text), "io_uring on kernel %s failed: %s", release, std::strerror(number));
  }
  return text;
}

}  // namespace perch
