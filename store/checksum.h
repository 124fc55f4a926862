// CRC-32C (Castagnoli), as iSCSI and ext4 use it: x86 and arm64 compute it in hardware.
#pragma once
#include <cstdint>

#include "core/types.h"

namespace perch::store {

// Continues `crc`; 0 starts a new one.
uint32_t crc32c(uint32_t crc, Bytes bytes) noexcept;

}  // namespace perch::store
