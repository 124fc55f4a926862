// blocks, block, unblock, disconnect, token revoke, token list: what is done to users.
#include <fmt/format.h>
#include <time.h>

#include <iterator>

#include "ctl/json.h"
#include "ctl/text.h"

namespace perch::ctl {
namespace {

std::string utc_text(uint64_t ms) {
  const auto seconds = static_cast<time_t>(ms / 1000);
  tm at{};
  gmtime_r(&seconds, &at);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday,
                     at.tm_hour, at.tm_min, at.tm_sec);
}

// Asks `verb` about flags.user and `rest`; shows the answer by `show`, or as it is.
template <typename Show>
int run(const Flags& flags, std::string_view verb, std::string_view rest, const Show& show) {
  if (!is_word(flags.user)) return complain(kUsage, "USER: a user id or a handle");
  const std::optional<std::string> answer =
      ask(flags, fmt::format("{} {}{}{}", verb, flags.user, rest.empty() ? "" : " ", rest));
  if (!answer) return kNotDone;
  const std::optional<Json> json = parse_answer(*answer);
  if (!json) return kNotDone;
  return flags.json ? print_json(*json) : print(show(*json));
}

std::string blocks_text(const Json& json) {
  const Json& blocks = list_at(json, "blocks");
  std::string out = fmt::format("user {} blocks {}\n", number_at(json, "user"),
                                blocks.empty() ? "nobody" : std::to_string(blocks.size()));
  for (const Json& whom : blocks)
    if (whom.is_number_unsigned()) fmt::format_to(std::back_inserter(out), "{}\n", whom.get<uint64_t>());
  return out;
}

std::string ended_text(const Json& json) {
  const uint64_t num = number_at(json, "sessions_ended");
  return fmt::format("{} session{} ended\n", num, num == 1 ? "" : "s");
}

int change_block(const Flags& flags, std::string_view verb) {
  if (!is_word(flags.whom)) return complain(kUsage, "WHOM: a user id or a handle");
  return run(flags, verb, flags.whom, blocks_text);
}

}  // namespace

int run_blocks(const Flags& flags) { return run(flags, "blocks", "", blocks_text); }
int run_block(const Flags& flags) { return change_block(flags, "block"); }
int run_unblock(const Flags& flags) { return change_block(flags, "unblock"); }

int run_disconnect(const Flags& flags) {
  if (!flags.device.empty() && !is_word(flags.device)) return complain(kUsage, "DEVICE: its number");
  return run(flags, "disconnect", flags.device, ended_text);
}

int run_token_revoke(const Flags& flags) {
  return run(flags, "revoke", "", [](const Json& json) {
    return fmt::format("tokens issued before {} are revoked; {}",
                       utc_text(number_at(json, "revoked_before_ms")), ended_text(json));
  });
}

int run_token_list(const Flags& flags) {
  return print_pages(flags, "revoked",
                     fmt::format("{:<20}{}\n", "USER", "TOKENS REVOKED THAT WERE ISSUED BEFORE"),
                     [](const Json& row) {
                       return fmt::format("{:<20}{}\n", number_at(row, "user"),
                                          utc_text(number_at(row, "revoked_before_ms")));
                     });
}

}  // namespace perch::ctl
