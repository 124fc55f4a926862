#include "client/terminal/screen/dates.h"

#include <ctime>

namespace perch::client::screen {
namespace {

tm local(uint64_t time_ms) {
  const auto seconds = static_cast<time_t>(time_ms / 1000);
  tm out{};
  localtime_r(&seconds, &out);
  return out;
}

// The C locale's names, whatever the environment says: the program speaks English.
constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};
constexpr const char* kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                   "July",    "August",   "September", "October", "November", "December"};

}  // namespace

std::string hour_text(uint64_t time_ms) {
  const tm at = local(time_ms);
  char text[8];
  std::strftime(text, sizeof(text), "%H:%M", &at);
  return text;
}

bool same_day(uint64_t a_ms, uint64_t b_ms) {
  const tm a = local(a_ms), b = local(b_ms);
  return a.tm_year == b.tm_year && a.tm_yday == b.tm_yday;
}

std::string day_text(uint64_t time_ms, uint64_t now_ms) {
  if (same_day(time_ms, now_ms)) return "Today";
  tm yesterday = local(now_ms);
  --yesterday.tm_mday;
  yesterday.tm_isdst = -1;
  if (same_day(time_ms, static_cast<uint64_t>(mktime(&yesterday)) * 1000)) return "Yesterday";
  const tm at = local(time_ms);
  std::string text = kDays[at.tm_wday];
  text.append(", ").append(std::to_string(at.tm_mday)).append(" ").append(kMonths[at.tm_mon]);
  if (at.tm_year != local(now_ms).tm_year) text.append(" ").append(std::to_string(at.tm_year + 1900));
  return text;
}

std::string short_text(uint64_t time_ms, uint64_t now_ms) {
  if (same_day(time_ms, now_ms)) return hour_text(time_ms);
  const tm at = local(time_ms);
  return std::to_string(at.tm_mday).append(" ").append(kMonths[at.tm_mon], 3);
}

}  // namespace perch::client::screen
