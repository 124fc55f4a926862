// perch profile: who one says to be, or says who somebody else says to be.
#include <cstdio>

#include "client/terminal/command.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

void print(const Profile& profile, bool json) {
  if (json) {
    std::printf("{\"name\":%s,\"about\":%s}\n", json_text(profile.name).c_str(),
                json_text(profile.about).c_str());
    return;
  }
  std::printf("name:  %s\nabout: %s\n", printable(profile.name).c_str(), printable(profile.about).c_str());
}

// The last of the rows: they go out in order.
int send_profile(const Flags& flags, Client& client, const Tracker& tracker, const Profile& profile) {
  const auto row = client.set_profile(profile);
  if (row.ok()) return wait_for_tick(flags, client, tracker, *row);
  if (row.error().code == Errc::kNotFound)
    return complain(kUsage, "this profile has never been online: perch login comes first");
  if (row.error().code == Errc::kTooLarge)
    return complain(kUsage, "a name may have 64 bytes and an about text 512: not sent");
  return send_failed(row.error());
}

}  // namespace

int run_profile(const Flags& flags) {
  if (!has_profile(flags)) return complain(kNoProfile, flags.profile + ": no profile there");
  Tracker tracker;
  const bool sets = flags.name || flags.about;
  if (sets && !flags.to.empty()) return complain(kUsage, "only one's own profile can be changed");
  auto opened = Client::open(options_of(flags, sets), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  auto profile = client.profile(flags.to.empty() ? std::to_string(client.identity().user) : flags.to);
  if (!profile.ok()) return profile_failed(flags, profile.error());
  if (!sets) {
    print(*profile, flags.json);
    return kDone;
  }
  if (flags.name) profile->name = *flags.name;
  if (flags.about) profile->about = *flags.about;
  return send_profile(flags, client, tracker, *profile);
}

}  // namespace perch::client
