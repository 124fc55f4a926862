// The highest number that the store's last start reserved, in a file of its own beside the store: a store
// that knows a lower one was put back from a copy (DELIVERY.md H28).
//
// ON: the main thread, at start.
#pragma once
#include <cstdint>
#include <string>

#include "core/result.h"

namespace perch::store {

// ERRORS: kNotFound; kCorrupt if it is no number; kSystem with the errno.
Result<uint64_t> read_ceiling_file(const std::string& folder);

// Safe on the disk when it returns. ERRORS: kSystem with the errno.
Result<void> write_ceiling_file(const std::string& folder, uint64_t ceiling);

}  // namespace perch::store
