#include "core/log.h"

#include <limits.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <utility>

namespace perch {
namespace {

constexpr std::string_view kLevels[] = {"debug", "info", "warn", "error"};
constexpr std::string_view kCut = "...";

constexpr std::string_view kFormats[] = {"logfmt", "json"};
constexpr std::string_view kCutField = ",\"cut\":true";
constexpr uint64_t kDoubleMax = uint64_t{1} << 53;

// Appends fields to a line as long as there is room.
class Appender {
 public:
  explicit Appender(LogLine& line) : line_(line) { line_.size = 0; }
  void field(const LogField& field) {
    const uint16_t before = line_.size;
    if (is_json()) {
      raw(before > 0 ? ",\"" : "\"");
      raw(field.key);
      raw("\":");
      json_value(field);
    } else {
      if (before > 0) raw(" ");
      raw(field.key);
      raw("=");
      field.is_number ? number(field.number) : value(field.text);
    }
    // An object is one to its end: no half of a field is left.
    if (!is_json() || line_.size < line_.text.size() - kCutField.size()) return;
    line_.size = before;
    is_cut_ = true;
  }
  // What did not fit is seen to be missing.
  void finish() {
    if (is_json()) {
      if (is_cut_) raw(kCutField);
    } else if (line_.size == line_.text.size()) {
      std::ranges::copy(kCut, line_.text.end() - kCut.size());
    }
  }

 private:
  bool is_json() const { return line_.format == LogFormat::kJson; }
  void raw(std::string_view text) {
    const size_t room = line_.text.size() - line_.size;
    const size_t size = std::min(text.size(), room);
    std::copy_n(text.data(), size, line_.text.data() + line_.size);
    line_.size = static_cast<uint16_t>(line_.size + size);
  }
  void number(uint64_t value) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    raw({digits, static_cast<size_t>(end - digits)});
  }
  void json_value(const LogField& field) {
    if (!field.is_number) return quoted(field.text);
    if (field.number <= kDoubleMax) return number(field.number);
    raw("\"");
    number(field.number);
    raw("\"");
  }
  // Bare if it can be read so, else in quotes with everything that is not printable ASCII escaped.
  void value(std::string_view text) {
    const auto plain = [](unsigned char c) {
      return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
    };
    if (!text.empty() && text.size() <= kLogValueBytesMax && std::ranges::all_of(text, plain))
      return raw(text);
    quoted(text);
  }
  void quoted(std::string_view text) {
    raw("\"");
    for (const unsigned char c : text.substr(0, kLogValueBytesMax)) escaped(c);
    if (text.size() > kLogValueBytesMax) raw(kCut);
    raw("\"");
  }
  void escaped(unsigned char c) {
    constexpr std::string_view kHex = "0123456789abcdef";
    if (c == '"' || c == '\\') raw("\\");
    if (c >= ' ' && c < 0x7f) return raw({reinterpret_cast<const char*>(&c), 1});
    raw(is_json() ? "\\u00" : "\\x");
    const char code[] = {kHex[c >> 4], kHex[c & 15]};
    raw({code, sizeof(code)});
  }

  LogLine& line_;
  bool is_cut_ = false;
};

template <typename T, size_t kNum>
std::optional<T> named(const std::string_view (&names)[kNum], std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == std::end(names)) return {};
  return static_cast<T>(found - std::begin(names));
}

}  // namespace

std::optional<LogLevel> log_level_of(std::string_view name) { return named<LogLevel>(kLevels, name); }
std::optional<LogFormat> log_format_of(std::string_view name) { return named<LogFormat>(kFormats, name); }

void Log::write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  push(level, message, fields, 0);
}

void Log::refused(Metric row, std::string_view message, std::initializer_list<LogField> fields,
                  LogLevel level) {
  limited(level, kRefusalsPerSecond, row, message, fields);
}

void Log::debug(Metric row, std::string_view message, std::initializer_list<LogField> fields) {
  if (wants_debug()) limited(LogLevel::kDebug, kDebugPerSecond, row, message, fields);
}

void Log::limited(LogLevel level, uint32_t num_max, Metric row, std::string_view message,
                  std::span<const LogField> fields) {
  Limit& limit = limits_[static_cast<size_t>(row)];
  const uint64_t second = clock_.mono_ms() / 1000;
  if (limit.second != second) {
    limit.second = second;
    limit.num = 0;
  }
  if (limit.num == num_max) {
    ++limit.num_left_out;
    return;
  }
  ++limit.num;
  push(level, message, fields, std::exchange(limit.num_left_out, 0));
}

void Log::push(LogLevel level, std::string_view message, std::span<const LogField> fields,
               uint32_t num_left_out) {
  LogLine line;
  line.wall_ms = clock_.wall_ms();
  line.level = level;
  line.format = format_;
  Appender out(line);
  out.field({"level", kLevels[static_cast<size_t>(level)]});
  if (metrics_.scope() == MetricScope::kStore) out.field({"core", "store"});
  if (metrics_.scope() == MetricScope::kReactor) out.field({"core", uint64_t{metrics_.core()}});
  out.field({"msg", message});
  for (const LogField& field : fields) out.field(field);
  if (num_left_out > 0) out.field({"suppressed", uint64_t{num_left_out}});
  out.finish();
  if (!queue_.push(line)) return metrics_.add(Metric::kLogDropped);
  queue_.publish();
}

std::string text_of(const LogLine& line) {
  const auto seconds = static_cast<time_t>(line.wall_ms / 1000);
  tm utc{};
  gmtime_r(&seconds, &utc);
  char time[64];
  size_t size = strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &utc);
  size += static_cast<size_t>(
      std::snprintf(time + size, sizeof(time) - size, ".%03uZ", static_cast<unsigned>(line.wall_ms % 1000)));
  const bool is_json = line.format == LogFormat::kJson;
  return std::string(is_json ? "{\"ts\":\"" : "ts=")
      .append(time, size)
      .append(is_json ? "\"," : " ")
      .append(line.text.data(), line.size)
      .append(is_json ? "}\n" : "\n");
}

void LogWriter::drain(std::span<Log* const> logs) {
  // As much as a pipe has room for at POLLOUT, and takes whole.
  constexpr size_t kTimeBytesMax = 64;
  while (pending_.size() + kLogLineBytesMax + kTimeBytesMax <= PIPE_BUF) {
    Log* oldest = nullptr;
    for (Log* log : logs) {
      if (log->front() == nullptr) continue;
      if (oldest == nullptr || log->front()->wall_ms < oldest->front()->wall_ms) oldest = log;
    }
    if (oldest == nullptr) break;
    if (oldest->front()->level >= level_) pending_ += text_of(*oldest->front());
    oldest->pop();
  }
  if (pending_.empty()) return;
  pollfd ready{descriptor_, POLLOUT, 0};
  if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) {
    if (ready.revents & (POLLERR | POLLNVAL)) pending_.clear();  // nobody reads any more
    return;
  }
  const ssize_t written = ::write(descriptor_, pending_.data(), pending_.size());
  if (written > 0) pending_.erase(0, static_cast<size_t>(written));
  if (written < 0 && errno != EINTR && errno != EAGAIN) pending_.clear();
}

}  // namespace perch
