#include "bench/machine.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "bench_commit.h"  // generated at build
#include "core/clock.h"

namespace perch::bench {
namespace {

constexpr uint64_t kStartMsMax = 20'000;
constexpr uint64_t kStopMsMax = 15'000;

std::string first_value(const char* file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "unknown";
}

}  // namespace

MachineFacts machine_facts() {
  MachineFacts facts;
  utsname name{};
  if (uname(&name) == 0) facts.kernel = std::string(name.sysname) + " " + name.release + " " + name.machine;
  facts.cpu = first_value("/proc/cpuinfo", "model name");
  const time_t now = time(nullptr);
  tm utc{};
  char text[32] = "";
  if (gmtime_r(&now, &utc) != nullptr) strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  facts.date = text;
  facts.commit = kCommit;
  facts.build = kBuildType;
  facts.num_cores = static_cast<uint32_t>(usable_cores().size());
  return facts;
}

std::vector<int> usable_cores() {
  std::vector<int> cores;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

bool pin_to_core(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

Result<CpuTime> cpu_of_process(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::stringstream all;
  all << in.rdbuf();
  const std::string text = all.str();
  const size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return Error{Errc::kNotFound};
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  uint64_t user = 0, system = 0;
  if (!(fields >> user >> system)) return Error{Errc::kNotFound};
  const auto per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  return CpuTime{static_cast<double>(user) / per_second, static_cast<double>(system) / per_second};
}

uint64_t resident_bytes_of(pid_t pid) {
  const std::string file = "/proc/" + std::to_string(pid) + "/status";
  return std::strtoull(first_value(file.c_str(), "VmRSS").c_str(), nullptr, 10) * 1024;
}

double cpu_of_this_thread_s() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::string ServerProcess::start(const std::string& program, const std::vector<std::string>& arguments,
                                 int core) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return "pipe: " + std::string(std::strerror(errno));
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) return "fork: " + std::string(std::strerror(errno));
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    if (core >= 0) pin_to_core(core);
    dup2(ends[1], STDOUT_FILENO);
    execv(program.c_str(), argv.data());
    std::fprintf(stderr, "%s: %s\n", program.c_str(), std::strerror(errno));
    _exit(127);
  }
  ::close(ends[1]);
  output_ = ends[0];
  std::string said;
  const uint64_t deadline = system_clock().mono_ms() + kStartMsMax;
  while (said.find('\n') == std::string::npos) {
    const uint64_t now = system_clock().mono_ms();
    pollfd waiting{output_, POLLIN, 0};
    char buffer[512];
    ssize_t got = 0;
    if (now < deadline && poll(&waiting, 1, static_cast<int>(deadline - now)) > 0) {
      got = read(output_, buffer, sizeof(buffer));
    }
    if (got <= 0) {
      stop();
      return program + " did not start; what it says is above";
    }
    said.append(buffer, static_cast<size_t>(got));
  }
  constexpr std::string_view kWord = "listening ";
  if (!said.starts_with(kWord)) {
    stop();
    return program + " said something else than where it listens: " + said;
  }
  address_ = said.substr(kWord.size(), said.find('\n') - kWord.size());
  return "";
}

bool ServerProcess::running() {
  if (pid_ <= 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  ended_well_ = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  pid_ = -1;
  return false;
}

bool ServerProcess::stop() {
  if (running()) {
    kill(pid_, SIGTERM);
    const uint64_t deadline = system_clock().mono_ms() + kStopMsMax;
    while (running() && system_clock().mono_ms() < deadline) usleep(5'000);
    if (running()) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      pid_ = -1;
      ended_well_ = false;
    }
  }
  if (output_ >= 0) ::close(output_);
  output_ = -1;
  return ended_well_;
}

}  // namespace perch::bench
