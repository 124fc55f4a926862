#include "chat/memory_bill.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "chat/core.h"
#include "core/metrics.h"
#include "net/connection.h"

namespace perch::chat {
namespace {

// The kernel's, as of 6.1: entries of the two queues, of the table of sockets, and an armed one-shot poll.
constexpr uint64_t kSubmissionBytes = 64 + 4;
constexpr uint64_t kCompletionBytes = 16;
constexpr uint64_t kSocketSlotBytes = 8;
constexpr uint64_t kPollBytes = 256;
constexpr uint64_t kBufferEntryBytes = 16;  // of the ring that names the receive buffers

constexpr uint64_t kTreeNodeBytes = 32;  // of std::map, beside its element
constexpr uint64_t kHashNodeBytes = 8;   // of std::unordered_map, beside its element; and a bucket

uint64_t ring_bytes(const RingOptions& ring) {
  return ring.submissions * kSubmissionBytes + ring.completions * kCompletionBytes +
         ring.sockets * kSocketSlotBytes;
}

// A user with one device and its session.
uint64_t session_bytes() {
  const uint64_t table = heap_bytes(kHashNodeBytes + sizeof(UserId) + sizeof(void*)) + sizeof(void*);
  // The table of connections doubles, so it is between once and twice as large as it need be.
  const uint64_t bound = Core::kBoundBytes * 3 / 2;
  return heap_bytes(sizeof(User)) + heap_bytes(sizeof(Device)) + heap_bytes(sizeof(Session)) + table + bound;
}

std::string human(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  double value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace

uint64_t heap_bytes(uint64_t size) {
  if (size <= 128) return std::max<uint64_t>(16, (size + 15) / 16 * 16);
  const uint64_t step = std::bit_ceil(size) / 8;
  return (size + step - 1) / step * step;
}

uint64_t waiting_message_bytes() {
  return heap_bytes(kTreeNodeBytes + sizeof(decltype(User::items)::value_type));
}

std::vector<BillLine> memory_bill(const Config& config, const RingOptions& reactor,
                                  const RingOptions& store) {
  const Limits& limits = config.limits;
  const uint64_t num = num_reactors(config);
  const uint64_t connections = num * limits.connections_max;
  const uint64_t pairs = (num + 2) * (num + 2);  // the store thread, the main thread
  std::vector<BillLine> lines;
  lines.push_back({.what = "connections",
                   .grows_to = connections * sizeof(net::Connection),
                   .per_connection = sizeof(net::Connection)});
  lines.push_back(
      {.what = "addresses until login",
       .grows_to = connections * heap_bytes(kHashNodeBytes + sizeof(uint32_t) + sizeof(PeerAddress))});
  lines.push_back({.what = "sessions and users",
                   .grows_to = connections * session_bytes(),
                   .per_connection = session_bytes()});
  lines.push_back({.what = "receive buffers",
                   .now = num * reactor.buffers * kBufferEntryBytes,
                   .grows_to = num * reactor.buffers * (kBufferEntryBytes + reactor.buffer_bytes)});
  lines.push_back({.what = "messages without a result",
                   .grows_to = num * (limits.flights_max * sizeof(Flight) + limits.flight_bytes_max)});
  lines.push_back({.what = "queues between threads",
                   .now = pairs * kMeshPairBytes,
                   .grows_to = pairs * (kMeshPairBytes + limits.mesh_slots * sizeof(Hop))});
  const uint64_t tables =
      num * (2 * sizeof(TimerWheel) + CoreOptions{}.completions_per_turn * sizeof(Completion)) +
      (num + 2) * sizeof(MetricsPage);
  lines.push_back({.what = "timers, counters", .now = tables, .grows_to = tables});
  lines.push_back({.what = "kernel: rings",
                   .kernel = true,
                   .now = num * ring_bytes(reactor) + ring_bytes(store),
                   .grows_to = num * ring_bytes(reactor) + ring_bytes(store)});
  lines.push_back({.what = "kernel: armed polls",
                   .kernel = true,
                   .grows_to = connections * kPollBytes,
                   .per_connection = kPollBytes});
  lines.push_back({.what = "file pages: store",
                   .address_space = true,
                   .grows_to = limits.map_bytes + limits.table_map_bytes});
  return lines;
}

std::string bill_text(const std::vector<BillLine>& lines, uint16_t num_reactors) {
  std::string out =
      fmt::format("{:<28}{:>12}{:>14}{:>18}\n",
                  fmt::format("memory of {} reactor{}", num_reactors, num_reactors == 1 ? "" : "s"), "now",
                  "grows to", "per connection");
  BillLine sum{.what = "user space in all"};
  const auto row = [&out](const BillLine& line) {
    const auto or_dash = [](uint64_t bytes) { return bytes == 0 ? std::string("-") : human(bytes); };
    out += fmt::format("{:<28}{:>12}{:>14}{:>18}\n", line.what, or_dash(line.now), or_dash(line.grows_to),
                       or_dash(line.per_connection));
  };
  for (const BillLine& line : lines) {
    row(line);
    if (line.kernel || line.address_space) continue;
    sum.now += line.now;
    sum.grows_to += line.grows_to;
    sum.per_connection += line.per_connection;
  }
  row(sum);
  return out + fmt::format("and {} of memory for each message that waits in a mailbox\n",
                           human(waiting_message_bytes()));
}

}  // namespace perch::chat
