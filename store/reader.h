// The Reader over both environments: looks for a message where it is said to be, then where the mover may
// have put it.
#pragma once
#include <memory>

#include "store/kv.h"
#include "store/store.h"

namespace perch::store {

// ON: any thread may call it; the Reader is then one thread's. LIFETIME: both outlive it.
std::unique_ptr<Reader> make_reader(Kv& journal, Kv& tables);

}  // namespace perch::store
