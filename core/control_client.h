// The asking side of the control socket DATA/control, on which a running perchd answers its operator: one
// request line, an answer, the end. The serving side, and what can be asked, is chat/control.h.
//
// ON: any thread of any process; answer() blocks, for at most kAskMsMax at a time without a word.
#pragma once
#include <sys/un.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"
#include "core/types.h"

namespace perch {

inline constexpr int kAskMsMax = 5'000;
inline constexpr std::string_view kControlError = "error: ";  // what a refusal begins with

// DATA/control as an address. ERRORS: kTooLarge: longer than a Unix socket's path may be; detail is the most
// bytes that the folder's name may have.
Result<sockaddr_un> control_address(std::string_view data_dir);

// A question that is with the server. It answers at once, whether or not somebody waits for it.
class ControlQuestion {
 public:
  // REQUIRES: `request` has no newline. ERRORS: kNotFound: no server runs there; kTooLarge as above; kDenied:
  // the socket is somebody else's; kSystem. All but kTooLarge: detail is the errno.
  static Result<ControlQuestion> ask(std::string_view data_dir, std::string_view request);
  ControlQuestion(ControlQuestion&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  ControlQuestion& operator=(ControlQuestion other) noexcept {
    std::swap(socket_, other.socket_);
    return *this;
  }
  ~ControlQuestion();
  // What the server says next, into the front of the buffer; how much: 0 is the end. What it refuses begins
  // with kControlError. ERRORS: kSystem (detail: errno; EAGAIN: not a word for kAskMsMax).
  Result<size_t> read(MutableBytes buffer);
  // All that the server says until it closes; what it refuses begins with kControlError.
  // REQUIRES: not called before. ERRORS: as of read().
  Result<std::string> answer();

 private:
  explicit ControlQuestion(int socket) : socket_(socket) {}
  int socket_ = -1;
};

// Asks and waits. ERRORS: of ask() and answer().
Result<std::string> ask_control(std::string_view data_dir, std::string_view request);

}  // namespace perch
