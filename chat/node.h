// Node: one perchd. Opens what needs root, gives root up, makes the store, the mesh, a thread per core and
// the store thread, and stops them in the right order. Everything that can be refused is refused here,
// before the first connection.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "chat/config.h"
#include "tls/token.h"

namespace perch::chat {

class Node {
 public:
  Node(Config config, const TokenKeys& keys);
  ~Node();
  // Empty: running. Else one line for the operator: what is wrong and what to do.
  // `restored`: the store was put back from a copy (delivery.md H28).
  std::string start(bool restored = false);
  // "127.0.0.1:7110" for each listener, with the real port.
  const std::vector<std::string>& addresses() const;
  std::string bill() const;  // its memory, as a table: chat/memory_bill.h
  void drain();              // from any thread; then wait()
  // Returns once the node has drained, or the store failed. The exit status.
  int wait();

 private:
  struct State;
  struct Starting;
  std::string open_store(bool restored);
  void run_core(uint16_t id, std::shared_ptr<Starting> shared);  // the whole life of a reactor thread
  void run_store(std::shared_ptr<Starting> shared);              // … and of the store thread
  std::unique_ptr<State> state_;
};

}  // namespace perch::chat
