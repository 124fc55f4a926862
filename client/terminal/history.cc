// perch history: prints a conversation; never connects.
#include "client/terminal/history.h"

#include <cstdio>

#include "client/terminal/command.h"
#include "client/terminal/item_text.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

std::string reactions_json(const std::vector<Reaction>& reactions) {
  std::string out = "[";
  for (const Reaction& each : reactions) {
    if (out.size() > 1) out += ',';
    out.append("{\"user\":").append(std::to_string(each.user));
    out.append(",\"emoji\":").append(json_text(each.emoji)).append("}");
  }
  return out + "]";
}

void print_history_json(const std::vector<HistoryLine>& lines) {
  for (const HistoryLine& line : lines) {
    const MessageId& id = line.id;
    std::printf(
        "{\"id\":\"%s\",\"from\":%llu,\"device\":%u,\"origin\":\"%016llx\",\"seq\":%llu,\"number\":%llu,"
        "\"open\":%s,\"state\":\"%s\",\"time_ms\":%llu,\"content\":%u,\"variant\":%u,\"shown\":\"%s\","
        "\"body\":%s,\"edited\":%s,\"reply_to\":%s,\"reactions\":%s,\"timer_s\":%u,\"ends_ms\":%llu}\n",
        id_text(id).c_str(), static_cast<unsigned long long>(id.user), id.device,
        static_cast<unsigned long long>(id.origin), static_cast<unsigned long long>(id.seq),
        static_cast<unsigned long long>(line.number), line.own_device && line.row.open ? "true" : "false",
        state_text(line), static_cast<unsigned long long>(line.time_ms), line.content, line.variant,
        shown_text(line), json_text(plain_text(line)).c_str(), line.edited ? "true" : "false",
        id_json(line.answers ? line.answers->id : MessageId()).c_str(),
        reactions_json(line.reactions).c_str(), line.timer_s, static_cast<unsigned long long>(line.ends_ms));
  }
}

}  // namespace

void print_history(const std::vector<HistoryLine>& lines, UserId me, const std::string& peer) {
  for (const HistoryLine& line : lines) {
    const std::string mark = line.mine ? std::string("  ") + mark_text(line.mark) : "";
    const std::string reason = line.mark == Mark::kRejected ? " (" + reason_text(line.row.reason) + ")" : "";
    std::printf("%s %s: %s%s%s\n", clock_text(line.time_ms).c_str(), line.mine ? "you" : peer.c_str(),
                shown_whole(line, me, peer).c_str(), mark.c_str(), reason.c_str());
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
    print_history_json(*lines);
  } else {
    print_history(*lines, (*opened)->identity().user, printable(flags.to));
  }
  return kDone;
}

}  // namespace perch::client
