// perch search: prints the messages that contain a text; never connects.
#include <cstdio>

#include "client/terminal/command.h"
#include "client/terminal/item_text.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

void print_json(const Found& found, const std::string& text) {
  const HistoryLine& line = found.line;
  std::printf("{\"peer\":%llu,\"mine\":%s,\"state\":\"%s\",\"number\":%llu,\"time_ms\":%llu,\"body\":%s}\n",
              static_cast<unsigned long long>(found.peer), line.mine ? "true" : "false", state_text(line),
              static_cast<unsigned long long>(line.number), static_cast<unsigned long long>(line.time_ms),
              json_text(text).c_str());
}

}  // namespace

int run_search(const Flags& flags) {
  if (!has_profile(flags)) return complain(kNoProfile, flags.profile + ": no profile there");
  Tracker tracker;
  auto opened = Client::open(options_of(flags, false), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  const auto all = (*opened)->search(joined(flags.words), flags.to, flags.limit);
  if (!all.ok()) return profile_failed(flags, all.error());
  for (const Found& found : *all) {
    const HistoryLine& line = found.line;
    if (flags.json) {
      print_json(found, plain_text(line));
      continue;
    }
    const std::string name = found.peer == 0 ? "?" : name_of_user(**opened, found.peer);
    std::printf("%s  %s%s: %s\n", clock_text(line.time_ms).c_str(), line.mine ? "you to " : "", name.c_str(),
                shown(line).c_str());
  }
  return kDone;
}

}  // namespace perch::client
