// The Reader over both environments.
#pragma once
#include <memory>

#include "store/kv.h"
#include "store/store.h"

namespace perch::store {

std::unique_ptr<Reader> make_reader(Kv& journal, Kv& tables);

}  // namespace perch::store
