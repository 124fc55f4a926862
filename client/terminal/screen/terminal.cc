#include "client/terminal/screen/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <utility>

namespace perch::client::screen {
namespace {

// What signal handlers use; set while there is a Terminal.
termios as_it_was;
std::string enter_bytes, leave_bytes;
volatile sig_atomic_t entered = 0, resized = 0, to_suspend = 0, resumed = 0;

constexpr int kCrashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
constexpr int kOwn[] = {SIGWINCH, SIGTSTP, SIGCONT};

bool write_all(const char* bytes, size_t len) {
  while (len > 0) {
    const ssize_t written = ::write(STDOUT_FILENO, bytes, len);
    if (written > 0) {
      bytes += written;
      len -= static_cast<size_t>(written);
    } else if (errno == EAGAIN) {
      pollfd fd{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&fd, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

// Async-signal-safe.
void give_back() {
  if (entered == 0) return;
  entered = 0;
  write_all(leave_bytes.data(), leave_bytes.size());
  tcsetattr(STDIN_FILENO, TCSADRAIN, &as_it_was);
}

void on_crash(int signal) {
  give_back();
  constexpr char kWords[] = "perch has crashed; what was written and received is kept\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kWords, sizeof(kWords) - 1);
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void on_own(int signal) {
  if (signal == SIGWINCH) resized = 1;
  if (signal == SIGTSTP) to_suspend = 1;
  if (signal == SIGCONT) resumed = 1;
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigaction(signal, &action, nullptr);
}

bool take(volatile sig_atomic_t& flag) {
  const bool was = flag != 0;
  flag = 0;
  return was;
}

}  // namespace

bool Terminal::is_there() { return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1; }

bool Terminal::wait_for_input(uint64_t wait_ms) {
  pollfd fd{STDIN_FILENO, POLLIN, 0};
  return ::poll(&fd, 1, static_cast<int>(wait_ms)) > 0;
}

Result<std::unique_ptr<Terminal>> Terminal::open(std::string enter, std::string leave) {
  if (tcgetattr(STDIN_FILENO, &as_it_was) != 0) return Error{Errc::kSystem, errno};
  enter_bytes = std::move(enter);
  leave_bytes = std::move(leave);
  for (const int signal : kCrashes) handle(signal, on_crash);
  for (const int signal : kOwn) handle(signal, on_own);
  std::unique_ptr<Terminal> terminal(new Terminal);
  terminal->enter();
  return terminal;
}

Terminal::~Terminal() {
  leave();
  for (const int signal : kCrashes) handle(signal, SIG_DFL);
  for (const int signal : kOwn) handle(signal, SIG_DFL);
}

void Terminal::enter() {
  termios raw = as_it_was;
  cfmakeraw(&raw);
  tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
  entered = 1;
  write(enter_bytes);
}

void Terminal::leave() { give_back(); }

Size Terminal::size() const {
  winsize window{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) return {};
  return {window.ws_col, window.ws_row};
}

bool Terminal::write(std::string_view bytes) { return write_all(bytes.data(), bytes.size()); }

std::string Terminal::read(bool& gone) {
  char bytes[4096];
  const ssize_t len = ::read(STDIN_FILENO, bytes, sizeof(bytes));
  if (len > 0) return std::string(bytes, static_cast<size_t>(len));
  gone = len == 0 || (errno != EINTR && errno != EAGAIN);
  return "";
}

bool Terminal::take_resized() { return take(resized); }
bool Terminal::take_suspend() { return take(to_suspend); }

bool Terminal::take_resumed() {
  if (!take(resumed)) return false;
  enter();
  return true;
}

void Terminal::suspend() {
  leave();
  handle(SIGTSTP, SIG_DFL);
  kill(0, SIGTSTP);  // whoever was started with it, as the terminal's own Ctrl-Z
  handle(SIGTSTP, on_own);
  resumed = 1;
}

}  // namespace perch::client::screen
