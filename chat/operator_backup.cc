// Operator: a backup is begun, looked after, and spoken of in the log.
#include "chat/operator.h"

namespace perch::chat {

Operator::Reply Operator::back_up(Control::Asker asker) {
  if (cutting_ || backup_.running()) return refuse(asker, "a backup is being made; wait for its end");
  if (node_.health() == "full")
    return refuse(asker,
                  "the store is full, and a backup would keep it from making room; free some of the disk, "
                  "or raise limits.store");
  cutting_ = std::make_unique<Cutting>();
  cutting_->asker = asker;
  mesh_->post(num_cores_, Hop::make(kHopCut, CutHop{&cutting_->request}));
  return std::nullopt;
}

void Operator::begin_backup() {
  const std::unique_ptr<Cutting> cutting = std::move(cutting_);
  if (!cutting->request.made) {
    control_.reply_error(cutting->asker, name_of(cutting->request.made.error().code));
    return;
  }
  const int socket = control_.detach(cutting->asker);
  if (socket < 0) return;
  log_.write(LogLevel::kInfo, "a backup is being made", {{"store_bytes", node_.store_bytes()}});
  backup_.start(socket, std::move(cutting->request.cut), node_.store_bytes());
}

void Operator::look_after_backup() {
  if (!backup_.running()) return;
  if (node_.health() == "full")
    backup_.stop("the store has no room left: while it is read it uses none again");
  const std::optional<Backup::Ended> ended = backup_.ended();
  if (!ended) return;
  if (ended->broken.empty())
    log_.write(LogLevel::kInfo, "a backup was sent", {{"bytes", ended->bytes}});
  else
    log_.write(LogLevel::kWarn, "a backup is broken off",
               {{"reason", ended->broken}, {"bytes", ended->bytes}});
}

}  // namespace perch::chat
