// perch edit, delete, react, reply: say something about a message of a conversation; perch timer: how long
// messages of one stay.
#include <algorithm>
#include <cstdio>

#include "client/terminal/command.h"
#include "client/terminal/item_text.h"
#include "client/terminal/text.h"

namespace perch::client {
namespace {

struct Remarks final : Tracker {
  void on_resolved(std::string_view, UserId) override { answered = true; }
  bool answered = false;
};

// Who wrote first is known by number only: whose handle that is, the server says.
void resolve(Client& client, const Remarks& remarks, const Flags& flags) {
  const Running signals(client);
  const uint64_t until = now_ms() + static_cast<uint64_t>(flags.wait_seconds * 1000);
  while (!remarks.answered && client.connects() && client.stop_reason() == StopReason::kNone &&
         !interrupted()) {
    const auto user = client.user_of(flags.to);
    const uint64_t now = now_ms();
    if (!user.ok() || *user != 0 || now >= until) return;
    client.resolve(flags.to);
    client.poll(std::min<uint64_t>(until - now, 1000));
  }
}

Result<RowId> say(Client& client, const Flags& flags, const HistoryLine& line) {
  switch (flags.remark) {
    case ItemKind::kEdit:
      return line.own_device ? client.edit(line.row.row, joined(flags.words))
                             : client.edit(line.id, joined(flags.words));
    case ItemKind::kDelete:
      return line.own_device ? client.remove(line.row.row) : client.remove(line.id);
    case ItemKind::kReaction:
      return client.react(line.id, joined(flags.words));
    default:
      return client.reply(line.id, joined(flags.words));
  }
}

}  // namespace

int remark_failed(Error error, const std::string& message) {
  switch (error.code) {
    case Errc::kNotFound:
      return complain(kUsage, "no message " + message + " is here that anything can be said about");
    case Errc::kInvalid:
      return complain(kUsage, "that cannot be said about message " + message + ": not sent");
    default:
      return send_failed(error);
  }
}

int run_remark(const Flags& flags) {
  Remarks tracker;
  auto opened = Client::open(options_of(flags, true), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  auto lines = client.history(flags.to, kMessagesBack);
  if (lines.ok() && lines->empty()) {
    resolve(client, tracker, flags);
    lines = client.history(flags.to, kMessagesBack);
  }
  if (!lines.ok()) return profile_failed(flags, lines.error());
  const auto line = line_of(client, *lines, flags.message);
  if (!line.ok()) {
    if (line.error().code == Errc::kInvalid)
      return complain(kUsage, flags.message + " is neither a number nor the id of a message");
    return remark_failed(line.error(), flags.message);
  }
  const auto row = say(client, flags, *line);
  if (!row.ok()) return remark_failed(row.error(), flags.message);
  if (const auto status = client.status(*row); status.ok() && status->kind == RowKind::kMessage)
    return wait_for_tick(flags, client, tracker, *row);
  std::printf("taken back: it was not sent yet\n");
  return kDone;
}

int run_timer(const Flags& flags) {
  Tracker tracker;
  const bool sets = !flags.words.empty();
  if (!sets && !has_profile(flags)) return complain(kNoProfile, flags.profile + ": no profile there");
  const auto seconds = sets ? seconds_of(flags.words[0]) : std::nullopt;
  if (sets && !seconds) return complain(kUsage, flags.words[0] + ": such as 30s, 5m, 12h, 7d, 4w, or off");
  auto opened = Client::open(options_of(flags, sets), tracker);
  if (!opened.ok()) return open_failed(flags, opened.error());
  Client& client = **opened;
  if (sets) {
    const auto row = client.set_timer(flags.to, *seconds);
    return row.ok() ? wait_for_tick(flags, client, tracker, *row) : send_failed(row.error());
  }
  const auto present = client.timer(flags.to);
  if (!present.ok()) return profile_failed(flags, present.error());
  std::printf("%s\n", time_text(*present).c_str());
  return kDone;
}

}  // namespace perch::client
