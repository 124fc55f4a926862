// Times as a conversation shows them, in local time and in English.
#pragma once
#include <cstdint>
#include <string>

namespace perch::client::screen {

std::string hour_text(uint64_t time_ms);  // "14:05"
bool same_day(uint64_t a_ms, uint64_t b_ms);
// "Today", "Yesterday", "Wednesday, 25 November", with the year if it is not that of `now_ms`.
std::string day_text(uint64_t time_ms, uint64_t now_ms);
// For a column of them: "14:05" today, else "25 Nov".
std::string short_text(uint64_t time_ms, uint64_t now_ms);

}  // namespace perch::client::screen
