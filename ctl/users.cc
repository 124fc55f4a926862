// users, devices, mailbox: who is registered, and how one of them is.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "ctl/json.h"
#include "ctl/text.h"

namespace perch::ctl {
namespace {

std::optional<Json> ask_user(const Flags& flags) {
  if (!is_word(flags.user)) {
    complain(kUsage, "USER: a user id or a handle");
    return std::nullopt;
  }
  const std::optional<std::string> answer = ask(flags, "user " + flags.user);
  return answer ? parse_answer(*answer) : std::nullopt;
}

std::string who(const Json& user) {
  const std::string handle = text_at(user, "handle");
  return handle.empty() ? fmt::format("user {}", number_at(user, "user"))
                        : fmt::format("user {} ({})", number_at(user, "user"), handle);
}

std::string waits_text(const Json& waits) {
  const uint64_t num = number_at(waits, "messages");
  if (num == 0) return fmt::format("{:>9}{:>10}{:>9}{:>9}{:>7}", 0, "-", "-", "-", "-");
  return fmt::format("{:>9}{:>10}{:>9}{:>9}{:>7}", num, bytes_text(number_at(waits, "bytes")),
                     duration_text(number_at(waits, "oldest_seconds")), number_at(waits, "on_disk"),
                     number_at(waits, "sent_unconfirmed"));
}

std::string user_text(const Json& row) {
  if (row.contains("error"))
    return fmt::format("{:<20}cannot be read: {}\n", number_at(row, "user"), text_at(row, "error"));
  const std::string handle = text_at(row, "handle");
  return fmt::format("{:<20}{:<34}{:>7}\n", number_at(row, "user"), handle.empty() ? "-" : handle,
                     number_at(row, "devices"));
}

}  // namespace

int run_users(const Flags& flags) {
  return print_pages(flags, "users", fmt::format("{:<20}{:<34}{:>7}\n", "USER", "HANDLE", "DEVICES"),
                     user_text);
}

int run_devices(const Flags& flags) {
  const std::optional<Json> user = ask_user(flags);
  if (!user) return is_word(flags.user) ? kNotDone : kUsage;
  const Json& devices = list_at(*user, "devices");
  if (flags.json)
    return print_json(
        {{"user", number_at(*user, "user")}, {"handle", text_at(*user, "handle")}, {"devices", devices}});
  std::string out = fmt::format("{}\n{:<8}{:>8}{:>9}{:>9}{:>6}  {}\n", who(*user), "DEVICE", "UNSEEN",
                                "WAITING", "OPEN", "GAP", "NAME");
  for (const Json& device : devices)
    fmt::format_to(std::back_inserter(out), "{:<8}{:>8}{:>9}{:>9}{:>6}  {}\n", number_at(device, "device"),
                   flag_at(device, "online") ? "online" : duration_text(number_at(device, "unseen_seconds")),
                   number_at(object_at(device, "waiting"), "messages"), number_at(device, "open_rows"),
                   flag_at(device, "has_gap") ? "yes" : "-", text_at(device, "name"));
  return print(out);
}

int run_mailbox(const Flags& flags) {
  const std::optional<Json> user = ask_user(flags);
  if (!user) return is_word(flags.user) ? kNotDone : kUsage;
  const Json& devices = list_at(*user, "devices");
  if (flags.json) {
    Json each = Json::array();
    for (const Json& device : devices)
      each.push_back({{"device", number_at(device, "device")},
                      {"name", text_at(device, "name")},
                      {"waiting", object_at(device, "waiting")}});
    return print_json({{"user", number_at(*user, "user")},
                       {"handle", text_at(*user, "handle")},
                       {"waiting", object_at(*user, "waiting")},
                       {"devices", std::move(each)}});
  }
  std::string out = fmt::format("{}\n{:<8}{:>9}{:>10}{:>9}{:>9}{:>7}  {}\n", who(*user), "DEVICE", "WAITING",
                                "BYTES", "OLDEST", "ON DISK", "SENT", "NAME");
  for (const Json& device : devices)
    fmt::format_to(std::back_inserter(out), "{:<8}{}  {}\n", number_at(device, "device"),
                   waits_text(object_at(device, "waiting")), text_at(device, "name"));
  fmt::format_to(std::back_inserter(out), "{:<8}{}  each message once\n", "in all",
                 waits_text(object_at(*user, "waiting")));
  return print(out);
}

}  // namespace perch::ctl
