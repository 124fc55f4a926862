// The CPUs that this process may run on: the machine's, less what taskset or a container takes away.
#pragma once
#include <vector>

namespace perch::chat {

std::vector<unsigned> usable_cpus();  // in order, never empty

}  // namespace perch::chat
