// perch send: queues one message and waits for its tick.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "client/terminal/command.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

// Until the standard input can be read. False: a signal ends the command, also one just before the wait.
bool wait_for_input() {
  sigset_t ending, usual;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  sigprocmask(SIG_BLOCK, &ending, &usual);
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (!interrupted()) ppoll(&input, 1, nullptr, &usual);
  sigprocmask(SIG_SETMASK, &usual, nullptr);
  return !interrupted();
}

// All of the standard input. What a signal or an error has cut short is no message: once it is queued, nobody
// can take it back. ERRORS: kStopped (a signal), kSystem (detail: errno).
Result<std::string> read_input() {
  std::string text;
  while (wait_for_input()) {
    char bytes[4096];
    const ssize_t len = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (len == 0) return text;
    if (len > 0) {
      text.append(bytes, static_cast<size_t>(len));
    } else if (errno != EINTR) {
      return Error{Errc::kSystem, errno};
    }
  }
  return Error{Errc::kStopped};
}

int input_failed(Error error) {
  if (error.code == Errc::kStopped) return complain(kUsage, "interrupted: not sent");
  return complain(kNoProfile, std::string("the standard input cannot be read: ") +
                                  strerror(static_cast<int>(error.detail)) + ": not sent");
}

}  // namespace

int run_send(const Flags& flags) {
  std::string text;
  // Before the profile is opened: who has its connection serves others with it, and this may take its time.
  if (flags.words.size() == 1 && flags.words[0] == "-") {
    auto input = read_input();
    if (!input.ok()) return input_failed(input.error());
    text = std::move(input).value();
  } else {
    text = joined(flags.words);
  }
  Tracker tracker;
  auto opened = Client::open(options_of(flags, true), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  const auto row = client.send(flags.to, text);
  return row.ok() ? wait_for_tick(flags, client, tracker, *row) : send_failed(row.error());
}

int wait_for_tick(const Flags& flags, Client& client, const Tracker& tracker, RowId row) {
  const Running signals(client);
  const uint64_t until = now_ms() + static_cast<uint64_t>(flags.wait_seconds * 1000);
  RowStatus status;
  while (true) {
    if (const auto now = client.status(row); now.ok()) status = *now;  // unknown: open, as it was
    if (!status.open || client.stop_reason() != StopReason::kNone || interrupted()) break;
    const uint64_t now = now_ms();
    if (now >= until) break;
    client.poll(std::min<uint64_t>(until - now, 1000));
  }
  if (status.mark == Mark::kRejected) {
    return complain(kRejected, "rejected: " + flags.to + ": " + reason_text(status.reason));
  }
  if (status.mark == Mark::kExpired) return complain(kRejected, "expired: nobody fetched it in time");
  if (!status.open || status.mark != Mark::kQueued) {
    std::printf("%s %s\n", mark_text(status.mark), status.mark == Mark::kAccepted ? "accepted" : "delivered");
    return kDone;
  }
  std::string why = "no answer yet";
  if (!client.connects())
    why = "another process holds this profile's connection and will send it";
  else if (client.stop_reason() != StopReason::kNone)
    why = tracker.stopped;
  else if (!client.online())
    why = tracker.last_why.empty() ? "offline" : "offline, " + printable(tracker.last_why);
  std::printf("queued: %s\n", why.c_str());
  return client.stop_reason() == StopReason::kNone ? kQueued : kRefused;
}

}  // namespace perch::client
