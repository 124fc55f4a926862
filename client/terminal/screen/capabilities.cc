#include "client/terminal/screen/capabilities.h"

// term.h makes macros of everyday words; nothing else may come after it.
#include <curses.h>
#include <term.h>

namespace perch::client::screen {
namespace {

std::string* written = nullptr;
int write_character(int character) {
  written->push_back(static_cast<char>(character));
  return character;
}

// Without the pauses that old terminals want.
std::string without_padding(const char* capability) {
  std::string out;
  written = &out;
  tputs(capability, 1, write_character);
  written = nullptr;
  return out;
}

std::string text_of(const char* name) {
  const char* text = tigetstr(name);
  return text == nullptr || text == reinterpret_cast<char*>(-1) ? "" : text;
}

std::string ready(const char* name) { return without_padding(text_of(name).c_str()); }

}  // namespace

std::string Capabilities::move(Position to) const {
  return without_padding(tparm(address.c_str(), to.row, to.column, 0, 0, 0, 0, 0, 0, 0));
}

Result<Capabilities> capabilities_of(const std::string& terminal, bool colour) {
  if (cur_term != nullptr) del_curterm(cur_term);  // of the last call
  int error = 0;
  if (setupterm(terminal.c_str(), 1, &error) != OK) return Error{Errc::kNotFound};
  Capabilities out;
  out.address = text_of("cup");
  out.clear = ready("clear");
  if (out.address.empty() || out.clear.empty()) return Error{Errc::kUnsupported};
  const std::string wraps = ready("smam");
  // Terminfo of Debian 12 has no name for bracketed paste; a terminal that does not know the mode ignores it,
  // and one without a screen to come back to is not asked.
  const bool modern = !ready("smcup").empty();
  out.enter = ready("smcup") + (modern ? "\x1b[?2004h" : "") + ready("rmam") + ready("smkx");
  out.leave = ready("sgr0") + ready("cnorm") + ready("rmkx") + wraps + (modern ? "\x1b[?2004l" : "") +
              (modern ? ready("rmcup") : out.clear);
  out.hide_cursor = ready("civis");
  out.show_cursor = ready("cnorm");
  out.reset = ready("sgr0");
  out.bold = ready("bold");
  out.faint = ready("dim");
  out.reverse = ready("rev");
  out.underline = ready("smul");
  const std::string foreground = text_of("setaf");
  if (colour && !foreground.empty() && tigetnum("colors") >= 8) {
    for (size_t i = 0; i < out.colours.size(); ++i)
      out.colours[i] =
          without_padding(tparm(foreground.c_str(), static_cast<int>(i), 0, 0, 0, 0, 0, 0, 0, 0));
  }
  return out;
}

}  // namespace perch::client::screen
