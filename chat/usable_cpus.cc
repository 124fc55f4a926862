#include "chat/usable_cpus.h"

#include <sched.h>

#include <memory>

namespace perch::chat {

std::vector<unsigned> usable_cpus() {
  constexpr unsigned kNum = 8192;  // Linux knows no more; cpu_set_t has 1024
  struct Free {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
  };
  const std::unique_ptr<cpu_set_t, Free> set(CPU_ALLOC(kNum));
  const size_t bytes = CPU_ALLOC_SIZE(kNum);
  CPU_ZERO_S(bytes, set.get());
  std::vector<unsigned> cpus;
  if (sched_getaffinity(0, bytes, set.get()) == 0)
    for (unsigned cpu = 0; cpu < kNum; ++cpu)
      if (CPU_ISSET_S(cpu, bytes, set.get())) cpus.push_back(cpu);
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

}  // namespace perch::chat
