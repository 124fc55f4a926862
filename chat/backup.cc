#include "chat/backup.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/arena.h"

namespace perch::chat {
namespace {
constexpr uint64_t kLookMs = 200;  // so often a send that waits looks whether it is to end
}

Backup::~Backup() {
  if (!running()) return;
  stop("the server ends");
  shutdown(socket_, SHUT_RDWR);
  thread_.join();
  close(socket_);
}

void Backup::start(int socket, store::Cut cut, uint64_t bytes_about) {
  PERCH_CHECK(!running());
  why_stopped_ = nullptr;
  is_over_ = false;
  ended_ = {};
  socket_ = socket;
  const int flags = fcntl(socket, F_GETFL);
  fcntl(socket, F_SETFL, flags & ~O_NONBLOCK);
  const timeval patience{kLookMs / 1000, kLookMs % 1000 * 1000};
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  thread_ = std::thread(
      [this, bytes_about, moved = std::move(cut)]() mutable { run(std::move(moved), bytes_about); });
}

std::optional<Backup::Ended> Backup::ended() {
  if (!running() || !is_over_) return std::nullopt;
  thread_.join();
  close(std::exchange(socket_, -1));
  return std::move(ended_);
}

void Backup::run(store::Cut cut, uint64_t bytes_about) {
  take_own_arena();
  // What people wait for goes first.
  constexpr int kNice = 10;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  store::BackupWriter writer([this](Bytes bytes) { return send_all(bytes); });
  const Result<void> written = writer.write(cut, bytes_about);
  cut = {};  // whatever its asker does with the rest
  if (!written) {
    switch (written.error().code) {
      case Errc::kStopped:
        ended_.broken = why_stopped_;
        why_stopped_ = nullptr;
        (void)writer.broken(ended_.broken);  // who has gone needs no reason
        break;
      case Errc::kClosed:
        ended_.broken =
            written.error().detail == EAGAIN ? "who asked for it takes nothing" : "who asked for it has gone";
        break;
      default:
        ended_.broken = name_of(written.error().code);
    }
  }
  shutdown(socket_, SHUT_WR);
  is_over_ = true;
}

// ERRORS: kStopped; kClosed: it is not taken; detail is the errno.
Result<void> Backup::send_all(Bytes bytes) {
  if (why_stopped_ != nullptr) return Error{Errc::kStopped};
  for (uint64_t waited_ms = 0; !bytes.empty();) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN && why_stopped_ != nullptr) return Error{Errc::kStopped};
    if (sent < 0 && errno == EAGAIN && (waited_ms += kLookMs) < kBackupMsMax) continue;
    if (sent < 0) return Error{Errc::kClosed, errno};
    ended_.bytes += static_cast<uint64_t>(sent);
    bytes = bytes.subspan(static_cast<size_t>(sent));
  }
  return {};
}

}  // namespace perch::chat
