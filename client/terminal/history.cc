// perch history: prints a conversation; never connects.
#include "client/terminal/history.h"

#include <cstdio>

#include "client/terminal/command.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

void print_history_json(const std::vector<HistoryLine>& lines, const Identity& me) {
  for (const HistoryLine& line : lines) {
    const MessageId id =
        line.own_device ? MessageId{me.user, me.device, line.row.origin, line.row.seq} : line.id;
    std::printf(
        "{\"from\":%llu,\"device\":%u,\"origin\":\"%016llx\",\"seq\":%llu,\"number\":%llu,\"open\":%s,"
        "\"state\":\"%s\",\"time_ms\":%llu,\"content\":%u,\"variant\":%u,\"body\":%s}\n",
        static_cast<unsigned long long>(id.user), id.device, static_cast<unsigned long long>(id.origin),
        static_cast<unsigned long long>(id.seq), static_cast<unsigned long long>(line.number),
        line.own_device && line.row.open ? "true" : "false", state_text(line),
        static_cast<unsigned long long>(line.time_ms), line.content, line.variant,
        json_text(text_of(line.body)).c_str());
  }
}

}  // namespace

void print_history(const std::vector<HistoryLine>& lines, const std::string& peer) {
  for (const HistoryLine& line : lines) {
    const std::string mark = line.mine ? std::string("  ") + mark_text(line.mark) : "";
    const std::string reason = line.mark == Mark::kRejected ? " (" + reason_text(line.row.reason) + ")" : "";
    std::printf("%s %s: %s%s%s\n", clock_text(line.time_ms).c_str(), line.mine ? "you" : peer.c_str(),
                shown(line.content, line.body).c_str(), mark.c_str(), reason.c_str());
  }
  std::fflush(stdout);
}

int run_history(const Flags& flags) {
  if (!has_profile(flags)) return complain(kNoProfile, flags.profile + ": no profile there");
  Tracker tracker;
  auto opened = Client::open(options_of(flags, false), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  const auto lines = (*opened)->history(flags.to, flags.limit);
  if (!lines.ok()) return profile_failed(flags, lines.error());
  if (flags.json) {
    print_history_json(*lines, (*opened)->identity());
  } else {
    print_history(*lines, printable(flags.to));
  }
  return kDone;
}

}  // namespace perch::client
