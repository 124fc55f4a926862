#include "client/terminal/screen/transcript.h"

#include <algorithm>

#include "client/terminal/screen/dates.h"
#include "client/terminal/screen/grapheme.h"
#include "client/utf8.h"

namespace perch::client::screen {
namespace {

constexpr int kNameColumnsMax = 12;
constexpr int kNameAt = 6;  // behind the time
// Of a message that is not selected. All that is loaded is laid out at every key: without a bound a peer
// could stall the screen with a few messages of nothing but line breaks.
constexpr size_t kBytesShownMax = 4096;
constexpr size_t kRowsShownMax = 50;

class Builder {
 public:
  Builder(const State& state, int width) : state_(state), width_(width) {
    for (const Entry& entry : state.entries)
      name_columns_ = std::max(name_columns_, std::min(width_of(harmless(entry.who)), name_columns_max()));
  }
  std::vector<TranscriptRow> build() {
    const Entry* before = nullptr;
    for (const Entry& entry : state_.entries) {
      part_ = 0;
      if (before == nullptr || !same_day(before->time_ms, entry.time_ms))
        add_line(entry, day_text(entry.time_ms, state_.now_ms), Style::kDate);
      if (entry.key == state_.first_new) add_line(entry, "new", Style::kUnread);
      add_entry(entry);
      before = &entry;
    }
    return std::move(rows_);
  }

 private:
  int name_columns_max() const { return std::min(kNameColumnsMax, width_ / 4); }
  int text_at() const { return kNameAt + name_columns_ + 2; }
  TranscriptRow& add_row(const Entry& entry) {
    rows_.push_back({.at = {entry.key, part_++}, .pieces = {}});
    return rows_.back();
  }
  // "── text ──────"
  void add_line(const Entry& entry, const std::string& text, Style style) {
    std::string line = "── " + text + " ";
    for (int column = width_of(line); column < width_ - 1; ++column) line += "─";
    add_row(entry).pieces.push_back({0, line, style});
  }
  void add_entry(const Entry& entry) {
    const int text_columns = width_ - text_at() - 1;
    const bool selected = entry.key == state_.selected && state_.mode >= Mode::kSelect;
    const Style style = selected                                                  ? Style::kSelected
                        : entry.key == state_.marked || entry.key == state_.about ? Style::kMatch
                        : entry.is_gone                                           ? Style::kFaint
                                                                                  : Style::kPlain;
    TranscriptRow* row = &add_row(entry);
    row->pieces.push_back({0, hour_text(entry.time_ms), Style::kFaint});
    row->pieces.push_back(
        {kNameAt, shortened(harmless(entry.who), name_columns_), entry.mine ? Style::kMine : Style::kPeer});
    bool first = true;
    int end = 0;
    if (!entry.quote.empty()) {
      std::string quote = "▏";
      quote += shortened(harmless(entry.quote), text_columns - 1);
      row->pieces.push_back({text_at(), quote, Style::kFaint});
      first = false;
    }
    const std::string_view text = selected ? entry.text : utf8_head(entry.text, kBytesShownMax);
    const size_t rows_max = selected ? std::string_view::npos : kRowsShownMax;
    bool is_cut = text.size() < entry.text.size();
    size_t num_rows = 0;
    for (const std::string& line : harmless_lines(text)) {
      for (const std::string_view part : wrapped(line, text_columns)) {
        if (++num_rows > rows_max) {
          is_cut = true;
          break;
        }
        if (!first) row = &add_row(entry);
        first = false;
        row->pieces.push_back({text_at(), std::string(part), style});
        end = width_of(part);
      }
      if (num_rows > rows_max) break;
    }
    if (is_cut) {
      row = &add_row(entry);
      const std::string more = shortened("… there is more: Ctrl-S shows it", text_columns);
      row->pieces.push_back({text_at(), more, Style::kFaint});
      end = width_of(more);
    }
    add_mark(entry, *row, end, text_columns);
    if (!entry.reactions.empty()) {
      add_row(entry).pieces.push_back(
          {text_at(), shortened(harmless(entry.reactions), text_columns), Style::kFaint});
    }
  }
  // Behind the last row of the text, which ends at `end`, or in one of its own.
  void add_mark(const Entry& entry, TranscriptRow& last, int end, int text_columns) {
    if (entry.mark.empty()) return;
    const bool fits = end + 2 + width_of(entry.mark) <= text_columns;
    TranscriptRow& row = fits ? last : add_row(entry);
    row.pieces.push_back({text_at() + (fits ? end + 2 : 0), entry.mark,
                          entry.is_lost   ? Style::kError
                          : entry.is_read ? Style::kRead
                                          : Style::kFaint});
  }

  const State& state_;
  const int width_;
  int name_columns_ = 3;
  int part_ = 0;
  std::vector<TranscriptRow> rows_;
};

}  // namespace

std::vector<TranscriptRow> transcript(const State& state, int width) { return Builder(state, width).build(); }

size_t bottom_row(const State& state, const std::vector<TranscriptRow>& rows) {
  if (rows.empty()) return 0;
  if (!state.bottom) return rows.size() - 1;
  // After a resize a message may have fewer rows than it had.
  size_t found = rows.size() - 1;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].at.key != state.bottom->key) continue;
    found = i;
    if (rows[i].at.part == state.bottom->part) break;
  }
  return found;
}

}  // namespace perch::client::screen
