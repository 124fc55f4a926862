// Node: one perchd. Opens what needs root, gives root up, makes the store, the mesh, a thread per core and
// the store thread, and stops them in the right order. Everything that can be refused is refused here,
// before the first connection.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/config.h"
#include "tls/token.h"

namespace perch::chat {

// What a running node is to go on with.
struct Reload {
  std::string problem;  // a line for the operator: nothing changes; empty: all of the rest is good
  Config config;
  TokenKeys keys;
  std::vector<std::string> warnings;
};

// What the process has heard from outside. Asked every few milliseconds.
struct Wishes {
  std::function<bool()> stop;  // once it says so, the node drains
  // Nothing, or the configuration read again. REQUIRES: checked against the one that the node has.
  std::function<std::optional<Reload>(const Config& running)> reload;
};

class Node {
 public:
  Node(Config config, TokenKeys keys, Wishes wishes);
  ~Node();
  // Empty: running, or stopped(). Else one line for the operator: what is wrong, what to do. While it reads
  // what waited, which may take long, it answers the operator's socket.
  // `restored`: the store was put back from a copy (DELIVERY.md H28).
  std::string start(bool restored = false);
  bool stopped() const;  // a stop was wanted before anything had begun
  // "127.0.0.1:7110" for each listener, with the real port.
  const std::vector<std::string>& addresses() const;
  const std::string& operations_address() const;  // of chat/http.h; empty: none
  std::string bill() const;                       // its memory, as a table: chat/memory_bill.h
  // Returns once the node has drained, or the store failed. The exit status.
  int wait();

 private:
  struct State;
  struct Starting;
  std::string open_store(bool restored);
  std::string recover(Starting& starting);
  void run_core(uint16_t id, std::shared_ptr<Starting> shared);  // the whole life of a reactor thread
  void run_store(std::shared_ptr<Starting> shared);              // … and of the store thread
  std::unique_ptr<State> state_;
};

}  // namespace perch::chat
