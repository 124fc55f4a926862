#include "client/terminal/screen/grapheme.h"

#include <utf8proc.h>

#include <algorithm>

#include "client/terminal/text.h"

namespace perch::client::screen {
namespace {

// Of a cluster. A kiss of two people with skin tones takes 10 code points, a region's flag 7; without an end
// one character could cover the screen with accents.
constexpr size_t kCodePointsMax = 16;
constexpr size_t kTabColumns = 4;
constexpr int32_t kZeroWidthNonJoiner = 0x200c, kZeroWidthJoiner = 0x200d, kEmojiPresentation = 0xfe0f;
constexpr int32_t kKeycap = 0x20e3, kBlackFlag = 0x1f3f4;

// The code point at `at`; its length is 1 if there is none.
struct CodePoint {
  int32_t value = -1;  // -1: broken UTF-8
  size_t len = 1;
};
CodePoint code_point_at(std::string_view text, size_t at) {
  CodePoint out;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at);
  const utf8proc_ssize_t len =
      utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &out.value);
  if (len <= 0) {
    out.value = -1;
  } else {
    out.len = static_cast<size_t>(len);
  }
  return out;
}

bool is_tag(int32_t value) { return value >= 0xe0020 && value <= 0xe007f; }
bool is_keycap_base(int32_t value) { return (value >= '0' && value <= '9') || value == '#' || value == '*'; }
bool is_pictograph(int32_t value) {
  return utf8proc_get_property(value)->boundclass == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC;
}
bool is_control(int32_t value) {
  const utf8proc_category_t category = utf8proc_category(value);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CS ||
         category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}
// Formatting that shows nothing, such as what turns the direction of text. What joins emoji stays.
bool is_invisible(int32_t value) {
  return utf8proc_category(value) == UTF8PROC_CATEGORY_CF && utf8proc_charwidth(value) == 0 &&
         value != kZeroWidthJoiner && value != kZeroWidthNonJoiner;
}
// One code point that every terminal draws in `width` columns: Latin, and the ideographs and syllables that
// have been wide for ever.
bool is_exact(int32_t value, int width) {
  if (value < 0x300) return width == 1 && utf8proc_category(value) != UTF8PROC_CATEGORY_CF;
  return width == 2 && utf8proc_category(value) == UTF8PROC_CATEGORY_LO;
}

}  // namespace

Cluster cluster_at(std::string_view text, size_t at) {
  const CodePoint base = code_point_at(text, at);
  Cluster out{.text = text.substr(at, base.len)};
  if (base.value < 0 || is_control(base.value)) {
    out.drawable = false;
    return out;
  }
  int width = utf8proc_charwidth(base.value);
  out.drawable = width > 0;
  bool wide = false;
  utf8proc_int32_t state = 0;
  size_t end = at + base.len, count = 1;
  for (int32_t last = base.value; end < text.size(); ++count) {
    const CodePoint next = code_point_at(text, end);
    if (next.value < 0 || utf8proc_grapheme_break_stateful(last, next.value, &state)) break;
    width += utf8proc_charwidth(next.value);
    wide = wide || (next.value == kEmojiPresentation && is_pictograph(base.value)) ||
           (next.value == kKeycap && is_keycap_base(base.value));
    last = next.value;
    end += next.len;
  }
  out.text = text.substr(at, end - at);
  out.width = wide ? 2 : std::clamp(width, 1, 2);
  out.exact = count == 1 && is_exact(base.value, out.width);
  return out;
}

// From the beginning of the line: what is a cluster depends on all before it, as flags show.
size_t cluster_before(std::string_view text, size_t at) {
  const size_t line = at < 2 ? std::string_view::npos : text.rfind('\n', at - 2);
  size_t begin = line == std::string_view::npos ? 0 : line + 1;
  for (size_t next = begin; next < at; next += cluster_at(text, next).text.size()) begin = next;
  return begin;
}

int width_of(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    const Cluster next = cluster_at(text, at);
    width += next.width;
    at += next.text.size();
  }
  return width;
}

std::string_view fitting(std::string_view text, int width) {
  size_t at = 0;
  for (int used = 0; at < text.size();) {
    const Cluster next = cluster_at(text, at);
    used += next.width;
    if (used > width) break;
    at += next.text.size();
  }
  return text.substr(0, at);
}

std::string shortened(std::string_view text, int width) {
  if (width <= 0) return "";
  const std::string_view whole = fitting(text, width);
  if (whole.size() == text.size()) return std::string(text);
  return std::string(fitting(text, width - 1)) + "…";
}

std::vector<std::string_view> wrapped(std::string_view text, int width) {
  std::vector<std::string_view> out;
  while (true) {
    const std::string_view row = fitting(text, width);
    if (row.size() == text.size()) break;
    size_t end = row.size(), next = end;
    if (text[end] == ' ') {
      while (next < text.size() && text[next] == ' ') ++next;
    } else if (const size_t blank = row.rfind(' ');
               blank != std::string_view::npos && row.find_first_not_of(' ') < blank) {
      end = row.find_last_not_of(' ', blank) + 1;
      next = blank + 1;
    }
    out.push_back(text.substr(0, end));
    text.remove_prefix(next);
    if (text.empty()) return out;
  }
  out.push_back(text);
  return out;
}

std::vector<std::string> harmless_lines(std::string_view text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
    const std::string safe = printable(std::string(text.substr(begin, end - begin)));
    begin = end + (text.substr(end).starts_with("\r\n") ? 2 : 1);
    std::string kept;
    bool region = false;  // the flag of one is a black flag and tags; elsewhere tags hide text
    for (size_t at = 0; at < safe.size();) {
      const CodePoint next = code_point_at(safe, at);
      if (next.value == '\t') {
        kept.append(kTabColumns, ' ');
      } else if (is_control(next.value)) {
        kept += ' ';  // separators of lines and paragraphs
      } else if (is_tag(next.value) ? region : !is_invisible(next.value)) {
        kept.append(safe, at, next.len);
      }
      region = next.value == kBlackFlag || (region && is_tag(next.value));
      at += next.len;
    }
    std::string& line = out.emplace_back();
    for (size_t at = 0; at < kept.size();) {
      const std::string_view cluster = cluster_at(kept, at).text;
      size_t len = 0;
      for (size_t count = 0; count < kCodePointsMax && len < cluster.size(); ++count)
        len += code_point_at(cluster, len).len;
      line.append(cluster.substr(0, len));
      at += cluster.size();
    }
  }
  return out;
}

std::string harmless(std::string_view text) {
  std::string out;
  for (const std::string& line : harmless_lines(text)) {
    if (!out.empty()) out += ' ';
    out += line;
  }
  return out;
}

}  // namespace perch::client::screen
