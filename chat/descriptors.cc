#include "chat/descriptors.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

namespace perch::chat {

uint64_t descriptors_needed(const Config& config) {
  // The store, the control socket and monitoring with their peers, standard streams, what libraries open.
  constexpr uint64_t kOthers = 72;
  const uint64_t of_the_process = config.reactors * (config.listen.size() + 1) + kOthers;
  return std::max<uint64_t>(config.limits.connections_max, of_the_process);
}

std::string raise_descriptor_limit(const Config& config) {
  const uint64_t needed = descriptors_needed(config);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= needed) return {};
  const rlimit wanted{needed, std::max<rlim_t>(limit.rlim_max, needed)};
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) return {};
  return fmt::format(
      "limits.connections.connections_max: {} connections and {} reactors need {} descriptors, and "
      "RLIMIT_NOFILE "
      "is {}; raise it (ulimit -n, systemd LimitNOFILE) or lower the key",
      config.limits.connections_max, config.reactors, needed, limit.rlim_max);
}

}  // namespace perch::chat
