// perch login: makes a profile, or one that works again, from a server and a token.
#include <cstdio>

#include "client/terminal/command.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

struct Login final : Tracker {
  void on_online(const LoginInfo& info) override { said = login_text(info); }
  std::string said;  // empty: not yet
};

}  // namespace

int run_login(const Flags& flags) {
  Login login;
  auto opened = Client::open(options_of(flags, true), login);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  if (!client.connects()) {
    return complain(kQueued, "another process holds this profile's connection" +
                                 std::string(flags.token.empty() ? "" : "; the token is for when it ends"));
  }
  const Running signals(client);
  const uint64_t until = now_ms() + static_cast<uint64_t>(flags.wait_seconds * 1000);
  while (login.said.empty() && client.stop_reason() == StopReason::kNone && !interrupted()) {
    const uint64_t now = now_ms();
    if (now >= until) break;
    client.poll(until - now);
  }
  if (client.stop_reason() != StopReason::kNone) return refused(client, login);
  if (login.said.empty()) {
    const std::string why = login.last_why.empty() ? "no answer" : printable(login.last_why);
    return complain(kQueued, "not yet (" + why + "); the profile keeps the server and the token");
  }
  std::printf("%s; the profile is %s\n", login.said.c_str(), flags.profile.c_str());
  return kDone;
}

}  // namespace perch::client
