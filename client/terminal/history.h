// Conversations as `perch chat` and `perch history` print them.
#pragma once
#include <string>
#include <vector>

#include "client/client.h"

namespace perch::client {

void print_history(const std::vector<HistoryLine>& lines, const std::string& peer);

}  // namespace perch::client
