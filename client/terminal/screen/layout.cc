#include "client/terminal/screen/layout.h"

#include <algorithm>

#include "client/terminal/screen/dates.h"
#include "client/terminal/screen/grapheme.h"
#include "client/terminal/screen/help.h"

namespace perch::client::screen {
namespace {

constexpr int kListColumnsMin = 18, kListColumnsMax = 30;
constexpr int kColumnsForBoth = 60;  // fewer: the list or the conversation
constexpr int kRowsForPreviews = 14;
constexpr int kEditorRowsMax = 5;

std::string with_number(std::string_view before, uint64_t number, std::string_view after) {
  return std::string(before).append(std::to_string(number)).append(after);
}

// Before the line one writes in.
std::string label_of(const State& state) {
  switch (state.mode) {
    case Mode::kNew:
      return "to: ";
    case Mode::kFind:
      return "find: ";
    case Mode::kReact:
      return "react: ";
    case Mode::kTimer:
      return "disappear after: ";
    default:
      return state.purpose == Purpose::kEdit     ? "edit: "
             : state.purpose == Purpose::kAnswer ? "answer: "
                                                 : "> ";
  }
}

// A rectangle of the screen.
struct Pane {
  int row = 0, column = 0, rows = 0, columns = 0;
};

class Layout {
 public:
  Layout(const State& state, Size size)
      : state_(state), size_(size), view_{.grid = Grid(size), .cursor = {}, .rows = {}} {}

  View draw() {
    if (size_.columns < kSizeMin.columns || size_.rows < kSizeMin.rows) {
      put({0, 0}, "perch: this terminal is too small", Style::kWarning, size_.columns);
      return std::move(view_);
    }
    draw_title();
    draw_foot();
    const Pane all{1, 0, size_.rows - 2, size_.columns};
    if (state_.mode == Mode::kLogin) {
      draw_login(all);
    } else if (state_.mode == Mode::kHelp) {
      draw_help(all);
    } else {
      draw_panes(all);
    }
    return std::move(view_);
  }

 private:
  int put(Position at, std::string_view text, Style style, int width) {
    return view_.grid.put(at, text, style, width);
  }
  void put_right(int row, int end, const std::string& text, Style style) {
    put({row, end - width_of(text)}, text, style, end);
  }

  void draw_title() {
    const Style style = state_.linked ? Style::kTitle : Style::kWarning;
    view_.grid.fill({0, 0}, size_.columns, style);
    const std::string link = state_.link + " ";
    const int used =
        put({0, 0}, " Perch  " + harmless(state_.account), style, size_.columns - width_of(link) - 1);
    uint64_t elsewhere = 0;
    for (const Contact& each : state_.contacts) elsewhere += each.to == state_.open ? 0 : each.num_unread;
    if (elsewhere > 0 && !both_panes())
      put({0, used + 2}, with_number("", elsewhere, " unread"), style, size_.columns);
    put_right(0, size_.columns, link, style);
  }

  void draw_foot() {
    const int row = size_.rows - 1;
    if (!state_.notice.empty()) {
      put({row, 1}, shortened(harmless(state_.notice), size_.columns - 2), Style::kError, size_.columns);
    } else if (!state_.trouble.empty()) {
      view_.grid.fill({row, 0}, size_.columns, Style::kWarning);
      put({row, 1}, shortened(harmless(state_.trouble), size_.columns - 2), Style::kWarning, size_.columns);
    } else {
      put({row, 0}, hint(state_.mode), Style::kFaint, size_.columns);
    }
  }

  bool both_panes() const { return size_.columns >= kColumnsForBoth; }
  void draw_panes(Pane all) {
    if (!both_panes()) {
      if (state_.mode == Mode::kList) {
        draw_list(all);
      } else {
        draw_right(all);
      }
      return;
    }
    const int width = std::clamp(size_.columns / 4, kListColumnsMin, kListColumnsMax);
    draw_list({all.row, 0, all.rows, width - 1});
    for (int row = all.row; row < all.row + all.rows; ++row) put({row, width}, "│", Style::kFaint, 1);
    draw_right({all.row, width + 2, all.rows, size_.columns - width - 2});
  }

  void draw_list(Pane pane) {
    if (state_.contacts.empty()) {
      put({pane.row, pane.column + 1}, "nobody yet", Style::kFaint, pane.columns - 1);
      return;
    }
    const int rows_each = size_.rows >= kRowsForPreviews ? 2 : 1;
    const auto shown = static_cast<size_t>(pane.rows / rows_each);
    size_t here = state_.picked;
    if (state_.mode != Mode::kList) {
      here = 0;
      while (here < state_.contacts.size() && state_.contacts[here].to != state_.open) ++here;
    }
    const size_t first = here < shown || here >= state_.contacts.size() ? 0 : here - shown + 1;
    for (size_t i = first; i < std::min(first + shown, state_.contacts.size()); ++i)
      draw_contact(
          state_.contacts[i], i == here,
          {pane.row + static_cast<int>(i - first) * rows_each, pane.column, rows_each, pane.columns});
  }

  void draw_contact(const Contact& contact, bool here, Pane pane) {
    const Style plain = here ? Style::kSelected : Style::kPlain;
    for (int row = 0; row < pane.rows; ++row)
      view_.grid.fill({pane.row + row, pane.column}, pane.columns, plain);
    const std::string unread = contact.num_unread > 0 ? with_number(" ", contact.num_unread, " ") : "";
    const std::string time = contact.time_ms == 0 ? "" : short_text(contact.time_ms, state_.now_ms);
    const bool has_preview = pane.rows > 1;
    const std::string& right = has_preview ? time : unread;
    const int name_columns = pane.columns - 2 - width_of(right);
    put({pane.row, pane.column + 1}, shortened(harmless(contact.name), name_columns), plain, name_columns);
    const Style right_style = !has_preview && !here ? Style::kUnread : here ? plain : Style::kFaint;
    put_right(pane.row, pane.column + pane.columns, right, right_style);
    if (!has_preview) return;
    const int columns = pane.columns - 2 - width_of(unread);
    put({pane.row + 1, pane.column + 1}, shortened(harmless(contact.preview), columns),
        here ? plain : Style::kFaint, columns);
    put_right(pane.row + 1, pane.column + pane.columns, unread, Style::kUnread);
  }

  // The conversation, or what was found, and below it the line one writes in.
  void draw_right(Pane pane) {
    if (state_.mode == Mode::kHits) return draw_hits(pane);
    const Contact* open = nullptr;
    for (const Contact& each : state_.contacts) open = each.to == state_.open ? &each : open;
    const bool asks = state_.mode == Mode::kNew || state_.mode == Mode::kFind ||
                      state_.mode == Mode::kReact || state_.mode == Mode::kTimer;
    if (open == nullptr && !asks) {
      put({pane.row + 1, pane.column}, "Enter opens a conversation, Ctrl-T begins one.", Style::kFaint,
          pane.columns);
      return;
    }
    const int below = draw_editor(pane, asks);
    if (open == nullptr) return;
    put({pane.row, pane.column}, shortened(harmless(open->name), pane.columns), Style::kPeer, pane.columns);
    draw_transcript({pane.row + 1, pane.column, pane.rows - 1 - below, pane.columns});
  }

  void draw_transcript(Pane pane) {
    view_.rows = transcript(state_, pane.columns);
    view_.page = std::max(pane.rows, 1);
    view_.bottom = bottom_row(state_, view_.rows);
    if (view_.rows.empty()) return;
    const size_t page = static_cast<size_t>(view_.page);
    view_.bottom = std::max(view_.bottom, std::min(page, view_.rows.size()) - 1);
    const size_t count = std::min(page, view_.bottom + 1);
    for (size_t i = 0; i < count; ++i) {
      const TranscriptRow& row = view_.rows[view_.bottom + 1 - count + i];
      const int at = pane.row + pane.rows - static_cast<int>(count - i);
      for (const Piece& piece : row.pieces)
        put({at, pane.column + piece.column}, piece.text, piece.style, pane.columns - piece.column);
    }
  }

  // Returns how many rows it takes.
  int draw_editor(Pane pane, bool asks) {
    const std::string label = label_of(state_);
    const Editor& editor = asks ? state_.prompt : state_.editor;
    const int label_columns = width_of(label);
    const int columns = pane.columns - label_columns - 1;  // one is left for the cursor
    struct Row {
      std::string_view text;
      size_t begin;  // in the editor
    };
    std::vector<Row> rows;
    Position cursor;  // in the rows
    const std::string_view text = editor.text();
    for (size_t begin = 0; begin <= text.size();) {
      const size_t newline = std::min(text.find('\n', begin), text.size());
      std::string_view line = text.substr(begin, newline - begin);
      do {  // by clusters, so that every byte has its place and the cursor is where it writes
        const std::string_view row = fitting(line, columns);
        rows.push_back({row, begin});
        line.remove_prefix(row.size());
        begin += row.size();
      } while (!line.empty());
      begin = newline + 1;
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].begin > editor.cursor()) break;
      cursor = {static_cast<int>(i), width_of(rows[i].text.substr(0, editor.cursor() - rows[i].begin))};
    }
    const int num = static_cast<int>(rows.size());
    const int shown = std::min({num, kEditorRowsMax, std::max(pane.rows / 3, 1)});
    const int first = std::clamp(cursor.row - shown + 1, 0, num - shown);
    const int top = pane.row + pane.rows - shown;
    for (int column = 0; column < pane.columns; ++column)
      put({top - 1, pane.column + column}, "─", Style::kFaint, 1);
    if (state_.bottom) put({top - 1, pane.column + 2}, " more below: Esc ", Style::kUnread, pane.columns - 2);
    put({top, pane.column}, label, Style::kFaint, pane.columns);
    for (int i = 0; i < shown; ++i)
      put({top + i, pane.column + label_columns}, rows[static_cast<size_t>(first + i)].text, Style::kPlain,
          columns);
    if (asks || state_.mode == Mode::kChat)
      view_.cursor = {top + cursor.row - first, pane.column + label_columns + cursor.column};
    return shown + 1;
  }

  void draw_hits(Pane pane) {
    const std::string found =
        with_number("", state_.hits.size(), state_.hits.size() == 1 ? " message" : " messages");
    put({pane.row, pane.column}, shortened(found + " with “" + harmless(state_.sought) + "”", pane.columns),
        Style::kPeer, pane.columns);
    const auto shown = static_cast<size_t>(std::max(pane.rows - 2, 1));
    const size_t first = state_.picked < shown ? 0 : state_.picked - shown + 1;
    for (size_t i = first; i < std::min(first + shown, state_.hits.size()); ++i) {
      const Hit& hit = state_.hits[i];
      const bool here = i == state_.picked;
      const int row = pane.row + 2 + static_cast<int>(i - first);
      const Style style = here ? Style::kSelected : Style::kPlain;
      view_.grid.fill({row, pane.column}, pane.columns, style);
      const std::string when = short_text(hit.entry.time_ms, state_.now_ms);
      const std::string who =
          hit.entry.mine ? std::string("you to ").append(harmless(hit.name)) : harmless(hit.name);
      int column = put({row, pane.column}, when, here ? style : Style::kFaint, pane.columns);
      column = std::max(column, 6) + 1;
      column += put({row, pane.column + column}, shortened(who, 16), here ? style : Style::kPeer, 16) + 2;
      put({row, pane.column + column}, shortened(harmless(hit.entry.text), pane.columns - column), style,
          pane.columns - column);
    }
  }

  void draw_help(Pane pane) {
    const int text_at = pane.columns >= kColumnsForBoth ? 2 + kHelpKeyColumns : 4;
    std::vector<std::pair<Position, std::string>> pieces;  // the row counts from the first of the help
    int row = 0;
    for (const HelpLine& line : kHelp) {
      pieces.push_back({{row, 2}, std::string(line.keys)});
      if (text_at < kHelpKeyColumns) ++row;
      for (const std::string_view part : wrapped(line.what, pane.columns - text_at - 1))
        pieces.push_back({{row++, text_at}, std::string(part)});
    }
    const int first = std::min(static_cast<int>(state_.help_row), std::max(row + 1 - pane.rows, 0));
    for (const auto& [at, text] : pieces) {
      const int shown = at.row - first + 1;
      if (shown < 1 || shown >= pane.rows) continue;
      put({pane.row + shown, at.column}, text, at.column == 2 ? Style::kPeer : Style::kPlain, pane.columns);
    }
  }

  void draw_login(Pane pane) {
    const Login& login = state_.login;
    int row = pane.row + std::max((pane.rows - 9) / 3, 0);
    put({row, 2}, login.again ? "This account needs another token." : "Welcome to Perch.", Style::kPeer,
        size_.columns - 2);
    row += 2;
    draw_field(row, "Server", login.server.text(), !login.at_token, login.server);
    put({row + 1, 10}, login.again ? "empty: the same as before" : "host:port, as your operator told it",
        Style::kFaint, size_.columns - 10);
    row += 3;
    // A token is a secret, and long.
    const size_t length = login.token.text().size();
    draw_field(row, "Token", length == 0 ? "" : with_number("(", length, " characters)"), login.at_token,
               login.token);
    put({row + 1, 10}, "paste the log-in token that you were given", Style::kFaint, size_.columns - 10);
    row += 3;
    int at = 0;
    const std::string why = harmless(login.why);
    for (const std::string_view line : wrapped(why, size_.columns - 4))
      put({row + at++, 2}, line, login.trying ? Style::kFaint : Style::kError, size_.columns - 4);
  }

  void draw_field(int row, const std::string& label, const std::string& text, bool here,
                  const Editor& editor) {
    const int at = 10, columns = size_.columns - at - 2;
    put({row, 2}, label, here ? Style::kPeer : Style::kFaint, at - 2);
    put({row, at}, text, Style::kPlain, columns);
    if (!here || state_.login.trying) return;
    const bool plain = text == editor.text();
    const int column = width_of(plain ? std::string_view(text).substr(0, editor.cursor()) : text);
    view_.cursor = {row, at + std::min(column, columns - 1)};
  }

  const State& state_;
  const Size size_;
  View view_;
};

}  // namespace

View layout(const State& state, Size size) { return Layout(state, size).draw(); }

}  // namespace perch::client::screen
