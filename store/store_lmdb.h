// The real Kv: one LMDB environment in one directory.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "store/kv.h"

namespace perch::store {

// Makes directory and tables where missing (mode 0700; the folder above must be there); they are on the disk
// when it returns. `map_bytes`: how large it can get; address space, not memory. One process at a time may
// have it open.
// ERRORS: kBusy another process has it; kSystem with an errno; kInvalid not LMDB's or broken; kFull no room
// to make it.
Result<std::unique_ptr<Kv>> open_lmdb(const std::string& path, std::span<const std::string_view> tables,
                                      uint64_t map_bytes);

}  // namespace perch::store
