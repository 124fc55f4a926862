// Listeners: for each address one socket per reactor, all of one SO_REUSEPORT group, so that the kernel
// spreads connections over the reactors; or one that somebody else has opened, for all of them.
//
// ON: the main thread opens and closes them; each reactor accepts from its own.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace perch::chat {

class Listeners {
 public:
  Listeners() = default;
  ~Listeners();
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  // Empty, or one line for the operator.
  [[nodiscard]] std::string open(const std::vector<std::string>& addresses, size_t num_reactors);
  // Instead: listening sockets that were opened by somebody else. All reactors accept from each.
  [[nodiscard]] std::string adopt(const std::vector<int>& passed, size_t num_reactors);
  // As given, with the real port.
  const std::vector<std::string>& addresses() const { return addresses_; }
  std::vector<int> of(size_t reactor) const;  // its socket for each address

 private:
  size_t num_reactors_ = 0;
  std::vector<int> sockets_;  // by address, then by reactor
  std::vector<std::string> addresses_;
};

}  // namespace perch::chat
