// Conversations as `perch chat` and `perch history` print them.
#pragma once
#include <string>
#include <vector>

#include "client/client.h"

namespace perch::client {

// On the standard output, a line each; `peer` as it is to be shown.
void print_history(const std::vector<HistoryLine>& lines, UserId me, const std::string& peer);

}  // namespace perch::client
