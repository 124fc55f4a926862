// perch conversations: with whom this profile has talked; never connects.
#include <cstdio>

#include "client/terminal/command.h"
#include "client/terminal/item_text.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

void print_json(const Conversation& each) {
  const HistoryLine& last = each.last;
  std::printf(
      "{\"peer\":%llu,\"handle\":%s,\"unread\":%llu,\"last\":{\"mine\":%s,\"state\":\"%s\",\"number\":%llu,"
      "\"time_ms\":%llu,\"content\":%u,\"shown\":\"%s\",\"body\":%s}}\n",
      static_cast<unsigned long long>(each.peer), json_text(each.handle).c_str(),
      static_cast<unsigned long long>(each.num_unread), last.mine ? "true" : "false", state_text(last),
      static_cast<unsigned long long>(last.number), static_cast<unsigned long long>(last.time_ms),
      last.content, shown_text(last), json_text(plain_text(last)).c_str());
}

void print(const Conversation& each) {
  const std::string name = each.handle.empty() ? std::to_string(each.peer) : printable(each.handle);
  const std::string unread = each.num_unread == 0 ? "" : std::to_string(each.num_unread) + " unread";
  const HistoryLine& last = each.last;
  std::printf("%-20s %10s  %s  %s%s%s\n", name.c_str(), unread.c_str(), clock_text(last.time_ms).c_str(),
              last.mine ? "you: " : "", shown(last).c_str(),
              last.mine ? (std::string("  ") + mark_text(last.mark)).c_str() : "");
}

}  // namespace

int run_conversations(const Flags& flags) {
  if (!has_profile(flags)) return complain(kNoProfile, flags.profile + ": no profile there");
  Tracker tracker;
  auto opened = Client::open(options_of(flags, false), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  auto all = (*opened)->conversations();
  if (!all.ok()) return profile_failed(flags, all.error());
  if (all->size() > flags.limit) all->resize(flags.limit);
  for (const Conversation& each : *all) {
    if (flags.json) {
      print_json(each);
    } else {
      print(each);
    }
  }
  return kDone;
}

}  // namespace perch::client
