// sim --seed N [--seeds K] [--seconds S] [--log]: runs K seeds from N on, or as many as fit into S seconds
// but at least K. The seconds are of the CPU: what else the machine does takes no seed away. Exit status 1 at
// the first broken promise.
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "world.h"

#ifdef PERCH_MUTANTS
int perch_mutant = 0;  // which rule is missing, by its number in mutants.py
#endif

namespace {

volatile uint64_t seed_running = 0;

// A CHECK that fails is a finding too: it must name its seed.
void on_crash(int number) {
  char text[96];
  const int length = std::snprintf(text, sizeof(text), "\nBROKEN seed %llu: signal %d\n",
                                   static_cast<unsigned long long>(seed_running), number);
  if (write(STDERR_FILENO, text, static_cast<size_t>(length)) < 0) _exit(2);
  std::signal(number, SIG_DFL);
  std::raise(number);
}

double share(uint64_t part, uint64_t of) {
  return of == 0 ? 0 : static_cast<double>(part) / static_cast<double>(of);
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t first = 1, num = 1, seconds = 0;
  bool log = false, quiet = false;
  for (int i = 1; i < argc; ++i) {
    const auto number = [&](const char* name, uint64_t& out) {
      if (std::strcmp(argv[i], name) != 0 || i + 1 >= argc) return false;
      out = std::strtoull(argv[++i], nullptr, 10);
      return true;
    };
    if (number("--seed", first) || number("--seeds", num) || number("--seconds", seconds)) continue;
#ifdef PERCH_MUTANTS
    if (uint64_t mutant = 0; number("--mutant", mutant)) {
      perch_mutant = static_cast<int>(mutant);
      continue;
    }
#endif
    if (std::strcmp(argv[i], "--log") == 0)
      log = true;
    else if (std::strcmp(argv[i], "--quiet") == 0)
      quiet = true;
    else
      return std::fprintf(stderr, "usage: sim --seed N [--seeds K] [--seconds S] [--log] [--quiet]\n"), 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS}) std::signal(number, on_crash);
  perch::sim::Totals totals;
  uint64_t hash = 0;
  const auto elapsed = [] {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  };
  for (uint64_t i = 0; i < num || (seconds > 0 && elapsed() < static_cast<double>(seconds)); ++i) {
    const perch::sim::Plan plan = perch::sim::Plan::from(first + i);
    seed_running = plan.seed;
    if (!quiet) std::printf("%s\n", plan.text().c_str());
    perch::sim::World world(plan, log, totals);
    const std::string broken = world.run();
    hash = (hash ^ world.trace_hash()) * 0x100000001b3u;
    if (broken.empty()) continue;
    std::printf("BROKEN seed %llu: %s\n", static_cast<unsigned long long>(plan.seed), broken.c_str());
    std::printf("again: sim --seed %llu --log\n", static_cast<unsigned long long>(plan.seed));
    return 1;
  }
  std::fprintf(stderr, "%.1f seeds/s\n", static_cast<double>(totals.seeds) / elapsed());
  std::printf("trace %016llx\n", static_cast<unsigned long long>(hash));
  totals.each([](const char* name, uint64_t value) {
    std::printf("%s %llu, ", name, static_cast<unsigned long long>(value));
  });
  std::printf("resolved without a disk write %.1f %%\n",
              100 * (1 - share(totals.handed_to_store, totals.taken)));
  return 0;
}
