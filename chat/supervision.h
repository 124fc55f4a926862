// Supervision: watches that the node's threads go on, and tells the service manager how the node is. Its
// watchdog is fed only while every reactor and the store thread go round; that the main thread does shows in
// its being fed at all.
//
// ON: the main thread. Waits for nothing.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/health.h"
#include "chat/progress.h"
#include "chat/service_manager.h"
#include "core/clock.h"

namespace perch::chat {

class Supervision {
 public:
  explicit Supervision(Clock& clock) : clock_(clock) {}
  // Empty, or one line for the operator.
  [[nodiscard]] std::string open() { return manager_.open(); }
  // Listening sockets that the service manager has passed on. OWNER: the caller.
  const std::vector<int>& sockets() const { return manager_.sockets(); }

  // The threads run. LIFETIME: the pages outlive it.
  void started(std::span<const std::unique_ptr<MetricsPage>> pages);
  // While new settings are handed out.
  void reloading();
  void reloaded();
  // Shown as the status until the health changes, or a reload is not refused. `why`: one line.
  void reload_refused(std::string_view why);
  // Many times a second.
  void serve(Health health);
  // For how long a thread has stood still; 0: none does, or they do not run yet.
  uint64_t stalled_ms() const { return stalled_ms_; }

 private:
  uint64_t look_every_ms() const;

  Clock& clock_;
  ServiceManager manager_;
  std::optional<Progress> progress_;
  std::optional<Health> told_;
  uint64_t next_look_ms_ = 0;
  uint64_t stalled_ms_ = 0;
};

}  // namespace perch::chat
