// How many descriptors a node needs, and the limit of the system for them.
#pragma once
#include <cstdint>
#include <string>

#include "chat/config.h"

namespace perch::chat {

// The table of a ring may not be larger than RLIMIT_NOFILE, though its sockets use no descriptor of the
// process.
uint64_t descriptors_needed(const Config& config);
// Raises the limit as far as it may; most systems start a service with much less than they allow. Empty, or
// one line for the operator if that is too little.
[[nodiscard]] std::string raise_descriptor_limit(const Config& config);

}  // namespace perch::chat
