// perch listen: prints messages as they come. Beside a process that has the profile's connection it waits:
// what comes is that one's to show, and what comes after its end is printed here.
#include <cstdio>

#include "client/terminal/command.h"
#include "client/terminal/item_text.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

struct Listener : Tracker {
  // Prints what nobody has shown yet. The mark follows the print: a crash in between prints a message twice
  // rather than never. ERRORS: those of the disk; kClosed: the output takes no more.
  Result<void> print_unseen(Client& client) {
    while (count == 0 || seen < count) {
      const auto arrivals = client.unseen(count == 0 ? 256 : std::min<uint64_t>(256, count - seen));
      if (!arrivals.ok()) return arrivals.error();
      if (arrivals->empty()) return {};
      for (const Arrival& next : *arrivals) print(client, next.message);
      if (!output_written()) return Error{Errc::kClosed};
      if (auto seen_to = client.set_seen(arrivals->back().arrival); !seen_to.ok()) return seen_to;
    }
    return {};
  }

  void print(Client& client, const InboxMessage& in) {
    if (json) {
      seen++;
      print_json(in);
      return;
    }
    const std::string peer = name_of_user(client, in.peer);
    const std::string line = told(client, in, in.peer != in.id.user ? "you to " + peer : peer);
    if (line.empty()) return;
    seen++;
    std::printf("%s %s\n", clock_text(in.time_ms).c_str(), line.c_str());
  }

  static void print_json(const InboxMessage& in) {
    const auto item = in.content == kContentItem ? decode_item(in.body) : Result<Item>(Item());
    const Item what = item.ok() ? *item : Item();
    std::printf(
        "{\"id\":\"%s\",\"from\":%llu,\"peer\":%llu,\"device\":%u,\"origin\":\"%016llx\",\"seq\":%llu,"
        "\"number\":%llu,\"time_ms\":%llu,\"content\":%u,\"variant\":%u,\"kind\":\"%s\",\"body\":%s,"
        "\"about\":%s,\"target\":%s,\"timer_s\":%u}\n",
        id_text(in.id).c_str(), static_cast<unsigned long long>(in.id.user),
        static_cast<unsigned long long>(in.peer), in.id.device, static_cast<unsigned long long>(in.id.origin),
        static_cast<unsigned long long>(in.id.seq), static_cast<unsigned long long>(in.number),
        static_cast<unsigned long long>(in.time_ms), in.content, in.variant, kind_text(in),
        json_text(plain_text(in)).c_str(), json_text(what.about).c_str(), id_json(what.target).c_str(),
        what.timer_s);
  }

  bool json = false;
  uint64_t seen = 0, count = 0;
};

}  // namespace

int run_listen(const Flags& flags) {
  Listener listener;
  listener.json = flags.json;
  listener.count = flags.count;
  listener.talk = !flags.json;
  auto opened = Client::open(options_of(flags, true), listener);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  if (!client.connects())
    Tracker::note("another process holds this profile's connection: waiting until it ends");
  const Running signals(client);
  const uint64_t until =
      flags.seconds > 0 ? now_ms() + static_cast<uint64_t>(flags.seconds * 1000) : UINT64_MAX;
  while (!interrupted() && client.stop_reason() == StopReason::kNone) {
    if (client.connects()) {
      if (const auto printed = listener.print_unseen(client); !printed.ok())
        return profile_failed(flags, printed.error());
    }
    if (flags.count != 0 && listener.seen >= flags.count) break;
    const uint64_t now = now_ms();
    if (now >= until) break;
    client.poll(std::min<uint64_t>(until - now, 10'000));
  }
  if (client.stop_reason() != StopReason::kNone) return refused(client, listener);
  return flags.count != 0 && listener.seen < flags.count ? kQueued : kDone;
}

}  // namespace perch::client
