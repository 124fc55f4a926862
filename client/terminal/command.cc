#include "client/terminal/command.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "client/terminal/text.h"
#include "core/clock.h"

namespace perch::client {
namespace {

Client* running = nullptr;
volatile sig_atomic_t signalled = 0;
void on_signal(int) {
  signalled = 1;
  if (running != nullptr) running->stop();
}

}  // namespace

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return signalled != 0; }

Running::Running(Client& client) { running = &client; }
Running::~Running() { running = nullptr; }

int complain(int status, const std::string& text) {
  std::fflush(stdout);
  std::fprintf(stderr, "perch: %s\n", text.c_str());
  return status;
}

uint64_t now_ms() { return system_clock().mono_ms(); }

void Tracker::on_online(const LoginInfo& info) {
  offline = busy = false;
  if (info.continuity_broken || info.overflowed || info.new_incarnation || talk) note(login_text(info));
}

void Tracker::on_offline(std::string_view why) {
  if (!offline && talk)
    note("offline (" + printable(std::string(why)) + "): trying again, what you write is kept");
  offline = true;
  last_why = why;
}

void Tracker::on_unreadable(const MessageId& id) { note(unreadable_text(id)); }

// Said once: it is asked again every second or two. Other errors end the session, and that is said.
void Tracker::on_error(ErrorCode code, std::string_view text) {
  if (code != ErrorCode::kBusy || offline) return;
  if (!busy) note("the server is busy: " + printable(std::string(text)));
  busy = true;
}

void Tracker::on_stopped(StopReason reason, std::string_view text) {
  stopped = std::string(name_of(reason));
  if (!text.empty()) stopped += " (" + printable(std::string(text)) + ")";
}

void Tracker::note(const std::string& text) {
  std::fflush(stdout);
  std::fprintf(stderr, "* %s\n", text.c_str());
}

int refused(const Client& client, const Tracker& tracker) {
  return complain(client.stop_reason() == StopReason::kStorage ? kNoProfile : kRefused, tracker.stopped);
}

int open_failed(const Flags& flags, Error error) {
  switch (error.code) {
    case Errc::kInvalid:
      return complain(kUsage, "no usable server address: give --server HOST:PORT");
    case Errc::kNewerFormat:
      return complain(kNoProfile, flags.profile + ": written by a newer perch");
    case Errc::kSystem:
      return complain(kNoProfile,
                      flags.profile + ": " + std::string(strerror(static_cast<int>(error.detail))));
    default:
      return complain(kNoProfile, flags.profile + ": cannot be opened: " + perch::name_of(error.code));
  }
}

bool output_written() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

int output_failed() { return complain(kNoProfile, "the standard output cannot be written"); }

int profile_failed(const Flags& flags, Error error) {
  if (error.code == Errc::kClosed) return output_failed();
  return complain(kNoProfile, flags.profile + ": cannot be read or written: " + name_of(error.code));
}

bool has_profile(const Flags& flags) { return access((flags.profile + "/profile.db").c_str(), F_OK) == 0; }

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

ClientOptions options_of(const Flags& flags, bool connect) {
  ClientOptions options;
  options.profile_path = flags.profile;
  options.server = flags.server;
  options.token = flags.token;
  options.connect = connect;
  return options;
}

int send_failed(Error error) {
  switch (error.code) {
    case Errc::kTooLarge:
      return complain(kUsage, "the message is over " + std::to_string(error.detail) + " bytes: not sent");
    case Errc::kInvalid:
      return complain(kUsage, "no such recipient can be: not sent");
    default:
      return complain(kNoProfile,
                      std::string("the profile cannot be written: not sent: ") + name_of(error.code));
  }
}

}  // namespace perch::client
