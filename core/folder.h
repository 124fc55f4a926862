// The names in a folder, flushed: fsync of a file flushes what is in it, not the name by which it is found.
//
// ON: any thread. Blocks.
#pragma once
#include <string>

#include "core/result.h"

namespace perch {

// ERRORS: kSystem with the errno; EACCES: whoever runs this may not read it.
Result<void> flush_names(const std::string& folder);
// The folder that `path` is in; "." if it does not say.
std::string parent_of(const std::string& path);

}  // namespace perch
