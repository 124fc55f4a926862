// Log: what happens to a server, a line each, for its operator:
//
//     ts=2026-03-01T12:00:00.123Z level=warn core=0 msg="device overflowed" user=17 device=2
//
// or, as JSON, an object a line with the same keys. There a field that has no room is left out whole and
// "cut":true says so, and a number that a double cannot hold is a string: who reads it would see another one.
//
// ON: a Log is one thread's end; the main thread takes the lines out and writes them (LogWriter). write()
//     formats into a bounded queue and never blocks, allocates or makes a system call; when the queue is full
//     the line is dropped and counted [perch_log_dropped_total].
// NEVER: bodies, tokens, keys, or who writes to whom. What comes from a peer is escaped and cut: a line is
//     one line, and printable ASCII.
// Not spdlog: its asynchronous queue is a mutex and a condition variable, which a reactor would take, and it
// brings a thread of its own; a queue between threads and a thread that naps are here already.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/metrics.h"
#include "core/spsc_queue.h"

namespace perch {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kLogfmt, kJson };

inline constexpr std::string_view kLogLevelNames = "debug, info, warn or error";
std::optional<LogLevel> log_level_of(std::string_view name);
std::optional<LogFormat> log_format_of(std::string_view name);  // "logfmt", "json"

// LIFETIME: views, until the call that they are given to returns.
struct LogField {
  LogField(std::string_view k, std::string_view t) : key(k), text(t) {}
  LogField(std::string_view k, const char* t) : key(k), text(t) {}
  LogField(std::string_view k, uint64_t n) : key(k), number(n), is_number(true) {}
  std::string_view key;  // ours: letters and underscores
  std::string_view text;
  uint64_t number = 0;
  bool is_number = false;
};

inline constexpr size_t kLogLineBytesMax = 488;  // without the time, which the writer puts before it
inline constexpr size_t kLogValueBytesMax = 160;
inline constexpr uint32_t kLogLinesMax = 64;       // of a thread, until the main thread looks
inline constexpr uint32_t kRefusalsPerSecond = 5;  // lines for one row of the metrics table
inline constexpr uint32_t kDebugPerSecond = 50;    // … at level debug

struct LogLine {
  uint64_t wall_ms;  // when it was written
  uint16_t size;     // of text, in bytes
  LogLevel level;
  LogFormat format;
  std::array<char, kLogLineBytesMax> text;
};

class Log {
 public:
  // `metrics` are the page of the same thread. LIFETIME: both outlive it.
  Log(Clock& clock, MetricsPage& metrics, LogFormat format = LogFormat::kLogfmt)
      : clock_(clock), metrics_(metrics), format_(format), queue_(kLogLinesMax) {}
  void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
  // Of what a peer can cause as often as it likes: at most kRefusalsPerSecond lines for this row of the
  // metrics, the next then says how many were left out.
  void refused(Metric row, std::string_view message, std::initializer_list<LogField> fields,
               LogLevel level = LogLevel::kInfo);
  // Of what happens all the time, for who looks for something: at most kDebugPerSecond lines, likewise.
  void debug(Metric row, std::string_view message, std::initializer_list<LogField> fields);
  // Is debug() worth its arguments? What is below the level, LogWriter leaves out; this spares making it.
  bool wants_debug() const { return level_ == LogLevel::kDebug; }
  void set_level(LogLevel level) { level_ = level; }

  // ---- the main thread
  // Null: nothing. LIFETIME: until pop().
  const LogLine* front() { return queue_.front(); }
  void pop() {  // REQUIRES: front() was not null
    queue_.pop();
    queue_.release();
  }

 private:
  struct Limit {
    uint64_t second = 0;
    uint32_t num = 0;
    uint32_t num_left_out = 0;
  };
  void limited(LogLevel level, uint32_t num_max, Metric row, std::string_view message,
               std::span<const LogField> fields);
  void push(LogLevel level, std::string_view message, std::span<const LogField> fields,
            uint32_t num_left_out);
  Clock& clock_;
  MetricsPage& metrics_;
  LogFormat format_;
  LogLevel level_ = LogLevel::kInfo;
  SpscQueue<LogLine> queue_;
  std::array<Limit, static_cast<size_t>(Metric::kNum)> limits_{};
};

// The line with its time and a newline.
std::string text_of(const LogLine& line);

// Writes what the logs hold to a descriptor, in batches that a pipe takes at once. While its reader is stuck
// it writes nothing, so that the main thread goes on and lines are dropped instead.
class LogWriter {
 public:
  // OWNER: the caller keeps the descriptor.
  explicit LogWriter(int descriptor) : descriptor_(descriptor) {}
  // Lines below it are not written from now on.
  void set_level(LogLevel level) { level_ = level; }
  void drain(std::span<Log* const> logs);  // lines of one millisecond: in the order of `logs`

 private:
  int descriptor_;
  LogLevel level_ = LogLevel::kInfo;
  std::string pending_;
};

}  // namespace perch
