#include "core/control_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace perch {
namespace {

constexpr std::string_view kName = "/control";

Error system_error(int number) {
  switch (number) {
    case ENOENT:        // never started there
    case ECONNREFUSED:  // ended without a goodbye
      return {Errc::kNotFound, number};
    case EACCES:
    case EPERM:
      return {Errc::kDenied, number};
    default:
      return {Errc::kSystem, number};
  }
}

}  // namespace

Result<sockaddr_un> control_address(std::string_view data_dir) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  constexpr size_t kFolderBytesMax = sizeof(address.sun_path) - kName.size() - 1;
  if (data_dir.size() > kFolderBytesMax) return Error{Errc::kTooLarge, kFolderBytesMax};
  std::memcpy(address.sun_path, data_dir.data(), data_dir.size());
  std::memcpy(address.sun_path + data_dir.size(), kName.data(), kName.size());
  return address;
}

ControlQuestion::~ControlQuestion() {
  if (socket_ >= 0) close(socket_);
}

Result<ControlQuestion> ControlQuestion::ask(std::string_view data_dir, std::string_view request) {
  const Result<sockaddr_un> address = control_address(data_dir);
  if (!address) return address.error();
  ControlQuestion question(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int fd = question.socket_;
  if (fd < 0) return system_error(errno);
  const timeval patience{kAskMsMax / 1000, kAskMsMax % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));  // of connect() too
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0)
    return system_error(errno);
  const std::string line = std::string(request) + '\n';
  // A stranger is refused before it has said a word: then the answer is there although nothing can be sent.
  if (send(fd, line.data(), line.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE) return system_error(errno);
  return question;
}

Result<size_t> ControlQuestion::read(MutableBytes buffer) {
  for (;;) {
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return system_error(errno);
  }
}

Result<std::string> ControlQuestion::answer() {
  std::string answer;
  for (;;) {
    std::array<uint8_t, 4096> part;
    const Result<size_t> got = read(part);
    // A Unix socket that is closed with something unread resets behind what it said last.
    if (!got && got.error().detail == ECONNRESET && !answer.empty()) return answer;
    if (!got) return got.error();
    if (*got == 0) return answer;
    answer.append(part.begin(), part.begin() + static_cast<ptrdiff_t>(*got));
  }
}

Result<std::string> ask_control(std::string_view data_dir, std::string_view request) {
  Result<ControlQuestion> question = ControlQuestion::ask(data_dir, request);
  if (!question) return question.error();
  return question->answer();
}

}  // namespace perch
