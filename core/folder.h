// The names in a folder, flushed: fsync of a file flushes what is in it, not the name by which it is found.
//
// ON: any thread. Blocks.
#pragma once
#include <string>

#include "core/result.h"

namespace perch {

// ERRORS: kSystem with the errno.
Result<void> flush_names(const std::string& folder);
// The same for a name that was there already: whoever made it may have been killed before the flush. No error
// where it was made by other means: the folder may not be read by who runs this, or is on a file system that
// is read-only or knows no such flush.
Result<void> flush_names_again(const std::string& folder);
// The folder that `path` is in; "." if it does not say.
std::string parent_of(const std::string& path);

}  // namespace perch
