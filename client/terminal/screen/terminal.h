// The terminal as the full-screen client has it while it runs: raw, on its alternate screen, and given back
// as it was, however the process ends (but by SIGKILL).
//
// OWNER: one in a process. ON: the main thread. Between open() and the destructor SIGWINCH, SIGTSTP, SIGCONT
// and the signals of a crash are its own.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "client/terminal/screen/grid.h"
#include "core/result.h"

namespace perch::client::screen {

class Terminal {
 public:
  // Standard input and output are a terminal.
  static bool is_there();
  // Waits so long for something to read().
  static bool wait_for_input(uint64_t wait_ms);
  // `enter`, `leave`: Capabilities. ERRORS: kSystem.
  static Result<std::unique_ptr<Terminal>> open(std::string enter, std::string leave);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  Size size() const;
  // False: it is gone.
  bool write(std::string_view bytes);
  // What was typed; `gone` becomes true when nobody will type any more. REQUIRES: it can be read.
  std::string read(bool& gone);
  // What happened since the last call.
  bool take_resized();
  bool take_suspend();  // SIGTSTP
  bool take_resumed();  // SIGCONT: it may show and do something else; entered again
  // Stops the process as the shell's own Ctrl-Z does, the terminal as it was; returns when it goes on.
  void suspend();

 private:
  Terminal() = default;
  void enter();
  void leave();
};

}  // namespace perch::client::screen
