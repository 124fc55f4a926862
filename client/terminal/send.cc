// perch send: queues one message and waits for its tick.
#include <cstdio>
#include <iostream>
#include <iterator>

#include "client/terminal/command.h"
#include "client/terminal/text.h"

namespace perch::client {

int run_send(const Flags& flags) {
  Tracker tracker;
  auto opened = Client::open(options_of(flags, true), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  std::string text;
  if (flags.words.size() == 1 && flags.words[0] == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    for (const std::string& word : flags.words) text += (text.empty() ? "" : " ") + word;
  }
  const auto row = client.send(flags.to, text);
  if (!row.ok()) return send_failed(row.error());
  const Running signals(client);
  const uint64_t until = now_ms() + static_cast<uint64_t>(flags.wait_seconds * 1000);
  RowStatus status;
  while (true) {
    if (const auto now = client.status(*row); now.ok()) status = *now;  // unknown: open, as it was
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
