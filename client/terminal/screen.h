// The full-screen chat: it holds the Client and the terminal together. What is shown and what keys do is in
// client/terminal/screen/.
//
// OWNER: run_screen(). ON: the main thread.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/terminal/command.h"
#include "client/terminal/screen/key.h"
#include "client/terminal/screen/layout.h"
#include "client/terminal/screen/painter.h"
#include "client/terminal/screen/terminal.h"
#include "client/terminal/screen/update.h"

namespace perch::client {

class Screen final : public DeviceEvents {
 public:
  Screen(const Flags& flags, screen::Capabilities capabilities, screen::Terminal& terminal)
      : flags_(flags), painter_(std::move(capabilities)), terminal_(terminal) {}
  int run();

 private:
  void on_online(const LoginInfo& info) override;
  void on_offline(std::string_view why) override;
  void on_message(const InboxMessage& /*message*/, Insert /*insert*/) override { changed_ = true; }
  void on_row(const RowStatus& row) override { changed_ = changed_ || row.kind == RowKind::kMessage; }
  void on_read_elsewhere(UserId /*peer*/, const ReadMark& /*mark*/) override { changed_ = true; }
  void on_changed(UserId /*peer*/) override { changed_ = true; }
  void on_resolved(std::string_view handle, UserId user) override;
  void on_unreadable(const MessageId& id) override;
  void on_stopped(StopReason reason, std::string_view text) override;

  static constexpr size_t kPageEntries = 200;

  // screen.cc: from the start to the end, and what the client tells.
  void begin();
  void open_client(const std::string& server, const std::string& token);
  void ask_login(const std::string& why, bool at_token);
  void wait_for_keys();
  void turn();
  void paint();
  // screen_act.cc: what keys ask for.
  void perform(const screen::Intent& intent);
  void send(const screen::Intent& intent);
  void remark(const screen::Intent& intent);
  void set_timer(const screen::Intent& intent);
  // Says what became of what was to be sent. False: nothing was.
  bool queued(const Result<RowId>& row);
  void find(const std::string& text);
  void go_to(const screen::Hit& hit);
  void open(const std::string& to);
  // screen_load.cc: what of the profile is shown.
  void load();
  void load_contacts();
  void load_entries();
  void load_older();
  Result<std::vector<HistoryLine>> read_lines();
  void read_and_seen();
  // Says what went wrong with the profile. True: nothing did.
  template <typename T>
  bool good(const Result<T>& result) {
    if (!result.ok())
      state_.notice = "the profile cannot be used: " + std::string(name_of(result.error().code));
    return result.ok();
  }

  const Flags& flags_;
  screen::Painter painter_;
  screen::Terminal& terminal_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Running> running_;
  screen::State state_;
  std::vector<HistoryLine> lines_;  // what state_.entries was made of
  screen::View view_{.grid = screen::Grid({0, 0}), .cursor = {}, .rows = {}};
  screen::KeyDecoder keys_;
  // What is loaded: the last `limit_`, or as many on both sides of a place that is far from the end.
  size_t limit_ = kPageEntries;
  std::optional<Number> place_;
  bool changed_ = true;
  bool asked_ = false;  // whose handle that of the open conversation is
  uint64_t looked_ms_ = 0;
  bool quit_ = false;
};

}  // namespace perch::client
