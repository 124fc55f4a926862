// Machine: what a figure has to say about where it was measured, and processes measured from outside.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"

namespace perch::bench {

struct MachineFacts {
  std::string kernel, cpu, date, commit, build;
  uint32_t num_cores = 0;  // that this process may run on
};
MachineFacts machine_facts();

// Cores this process may run on, in order.
std::vector<int> usable_cores();
// False: not allowed.
bool pin_to_core(int core);
// RLIMIT_NOFILE as high as this process may have it: it bounds the table of each ring.
uint64_t raise_descriptor_limit();

struct CpuTime {
  double user_s = 0, system_s = 0;
  double total_s() const { return user_s + system_s; }
};
// Of all threads of a process, in steps of a clock tick (10 ms). ERRORS: kNotFound.
Result<CpuTime> cpu_of_process(pid_t pid);
uint64_t resident_bytes_of(pid_t pid);  // 0: unknown
double cpu_of_this_thread_s();

// A server started for a benchmark. It does not outlive this process, however that ends.
class ServerProcess {
 public:
  ServerProcess() = default;
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess() { stop(); }
  // Starts `program`, on `core` unless that is negative, and waits until it prints "listening ADDRESS".
  // Empty: it runs. Else one line that says what is wrong.
  std::string start(const std::string& program, const std::vector<std::string>& arguments, int core);
  const std::string& address() const { return address_; }
  pid_t pid() const { return pid_; }
  bool running();
  // SIGTERM; after 15 s SIGKILL. True: it ended by itself with status 0.
  bool stop();

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  bool ended_well_ = false;
  std::string address_;
};

}  // namespace perch::bench
