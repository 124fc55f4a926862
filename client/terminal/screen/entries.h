// Rows of a profile as the screen shows them.
#pragma once
#include <string>
#include <vector>

#include "client/client.h"
#include "client/terminal/screen/state.h"

namespace perch::client::screen {

// `who`: the name of the other.
Entry entry_of(const HistoryLine& line, const std::string& who);
// "👍 2  🎉": each emoji once, with how many said it.
std::string reactions_text(const std::vector<Reaction>& reactions);
Contact contact_of(const Conversation& conversation);
// Of the last `num_unread` messages that the other sent, the first; empty if there are none.
std::string first_unread(const std::vector<Entry>& entries, uint64_t num_unread);

}  // namespace perch::client::screen
