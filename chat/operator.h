// Operator: what the operator's programs ask on the control socket (chat/control.h), and the answers:
//
//     health         one word: starting, ok, full, stuck, draining or poisoned
//     metrics        the counters of all threads in the Prometheus text format
//     drain          stops as SIGTERM does; answers once that is begun
//     log-level      debug, info, warn or error: the least that is logged
//     log-level L    … is L from now on, until a reload or the next start
//     users FROM     the registry from user id FROM on, a JSON object a line; the last says {"next": ID} if
//                    there are more
//     user WHO       one user, by id or handle: its devices, and what waits; one JSON object
//     blocks WHO     whom that user blocks
//     block WHO WHOM, unblock WHO WHOM    changes that, as the user itself can; answered once it is on the
//                    disk
//     disconnect WHO [DEVICE]    ends the sessions of the user, or of the device of that number; says how
//                    many
//     revoke WHO     tokens of the user issued up to now are good no more; ends its sessions; likewise
//     revoked FROM   whose tokens are, from user id FROM on, as `users`
//     backup         the store as it is now, as store/backup_writer.h has it
//
// Anything else is answered "error: …". All but the first three know nothing before the node has started.
//
// ON: the main thread. What is on the disk it reads itself; what lives on a core it asks that core, by a hop
//     (chat/question.h). It has no ring, so a core that sleeps sees the hop when its sleep ends.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "chat/backup.h"
#include "chat/control.h"
#include "chat/hops.h"
#include "chat/question.h"
#include "core/log.h"
#include "core/mesh.h"
#include "store/store.h"

namespace perch::chat {

inline constexpr size_t kUsersPerAnswer = 200;

class Operator {
 public:
  struct Node {  // what it asks of the node
    std::function<std::string_view()> health;
    std::function<std::string()> metrics;
    std::function<void()> drain;
    std::function<std::string_view()> log_level;
    std::function<void(std::string_view)> set_log_level;  // REQUIRES: it is one
    std::function<uint64_t()> store_bytes;
  };
  Operator(Node node, Clock& clock, MetricsPage& metrics, Log& log);
  ~Operator();
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  std::string open(const std::string& data_dir) { return control_.open(data_dir); }
  // From now on all is answered. LIFETIME: the environments of `reader` outlive this. REQUIRES: the cores'
  // threads have ended when it goes.
  void begin(MeshEndpoint& mesh, uint16_t num_cores, std::unique_ptr<store::Reader> reader);
  // Serves what has come; waits at most `timeout_ms` for it.
  void serve(int timeout_ms);

 private:
  using Reply = std::optional<std::string>;  // nothing: it comes later
  Reply answer(Control::Asker asker, std::string_view request);
  Reply log_level(Control::Asker asker, std::string_view level);
  Reply users(Control::Asker asker, std::string_view from);
  Reply back_up(Control::Asker asker);
  void begin_backup();
  void look_after_backup();
  Reply revoked(Control::Asker asker, std::string_view from);
  Reply about_user(Control::Asker asker, std::string_view verb, std::string_view words);
  Reply refuse(Control::Asker asker, std::string_view why);
  std::optional<UserId> find(Control::Asker asker, std::string_view who);
  std::string why_not(const Question& question, const Error& error) const;
  void on_hop(const Hop& hop);

  const Node node_;
  Clock& clock_;
  Log& log_;
  Control control_;
  MeshEndpoint* mesh_ = nullptr;
  uint16_t num_cores_ = 0;
  std::unique_ptr<store::Reader> reader_;
  struct Asked {
    Control::Asker asker;
    std::unique_ptr<Question> question;
  };
  std::unordered_map<const Question*, Asked> asked_;  // with a core
  struct Cutting {
    Control::Asker asker;
    CutRequest request;
  };
  std::unique_ptr<Cutting> cutting_;  // with the store thread
  Backup backup_;
};

}  // namespace perch::chat
