#include "chat/config_keys.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "codec/frame.h"

namespace perch::chat {
namespace {

constexpr uint64_t kSecondMs = 1'000;
constexpr uint64_t kHourMs = 3'600 * kSecondMs;
constexpr uint64_t kDayMs = 24 * kHourMs;
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kTiB = 1ull << 40;

constexpr bool kAtSighup = true;

constexpr std::string_view kFrames = "limits.frames";
constexpr std::string_view kConnections = "limits.connections";
constexpr std::string_view kDelivery = "limits.delivery";
constexpr std::string_view kStore = "limits.store";
constexpr std::string_view kNode = "limits.node";

// Order is the order of the printed file.
constexpr ConfigKey kKeys[] = {
    {"", "data", &Config::data_dir, "folder of the store; made if it is not there"},
    {"", "listen", &Config::listen,
     "addresses, \"127.0.0.1:7110\" or \"[::1]:7110\"; port 0: the kernel chooses"},
    {"", "reactors", &Config::reactors, "reactor threads; 0: one for each core that the process may run on",
     0, kReactorsMax},
    {"", "user", &Config::user, "user to become once all is open, if started as root; empty: stay"},
    {"accounts", "auto", &Config::accounts_auto,
     "a token may name an account that is not there yet; false: its login is refused"},
    {"operations", "listen", &Config::operations_listen,
     "address of /metrics, /healthz and /readyz; anybody who reaches it may ask; empty: none"},
    {"log", "level", &Config::log_level,
     "the least that is written: debug (who comes and goes), info, warn or error", 0, 0, kAtSighup},
    {"log", "format", &Config::log_format, "logfmt (key=value) or json, a line each"},

    {kFrames, "body_bytes_max", &Limits::body_bytes_max, "body of a message; over it: REJECTED(TOO_LARGE)", 1,
     16 * kMiB},
    {kFrames, "frame_bytes_max", &Limits::frame_bytes_max, "whole frame; over it: ERROR, close", 2048,
     codec::kFrameBytesMost},
    {kFrames, "hello_bytes_max", &Limits::hello_bytes_max, "first frame; over it: ERROR, close", 512,
     64 * 1024},

    {kConnections, "connections_max", &Limits::connections_max,
     "connections of one reactor; at it: peers wait to be accepted", 1, 1'000'000},
    {kConnections, "login_ms_max", &Limits::login_ms_max, "from accept to a good HELLO; then: close", 100,
     kHourMs},
    {kConnections, "frame_ms_max", &Limits::frame_ms_max,
     "from a frame's first byte to its last; then: close", 100, kHourMs},
    {kConnections, "ping_ms", &Limits::ping_ms, "a client pings this often; it is told in WELCOME", 100,
     kHourMs},
    {kConnections, "silence_ms_max", &Limits::silence_ms_max, "nothing received for so long; then: close",
     100, kDayMs},
    {kConnections, "send_stall_ms_max", &Limits::send_stall_ms_max,
     "a send makes no progress for so long; then: close", 100, kDayMs},
    {kConnections, "send_queue_frames_max", &Limits::send_queue_frames_max,
     "frames that wait to be sent to one connection; at half: deliveries and results wait; at it: close", 8,
     65'535},

    {kDelivery, "window", &Limits::window, "messages of a device without a result; over it: ERROR, close", 1,
     65'535},
    {kDelivery, "unconfirmed_frames_max", &Limits::unconfirmed_frames_max,
     "frames a session has not confirmed; at it: more wait in its mailbox", 1, 65'535, kAtSighup},
    {kDelivery, "unconfirmed_bytes_max", &Limits::unconfirmed_bytes_max, "… and their bytes", 2048,
     1024 * kMiB, kAtSighup},
    {kDelivery, "confirm_ms_max", &Limits::confirm_ms_max, "a message waits in memory; then: it is stored",
     10, kHourMs, kAtSighup},
    {kDelivery, "flights_max", &Limits::flights_max,
     "messages without a result, of one reactor; at it: HOLD(BUSY)", 1, 1 << 24, kAtSighup},
    {kDelivery, "flight_bytes_max", &Limits::flight_bytes_max, "… and their bytes", 2048, kTiB, kAtSighup},
    {kDelivery, "unclosed_windows_max", &Limits::unclosed_windows_max,
     "times `window`: messages of a device with a result that it could have closed; at it: HOLD(BUSY)", 2,
     1'000, kAtSighup},
    {kDelivery, "devices_max", &Limits::devices_max,
     "devices of a user; a further one replaces one unseen for device_removable_ms, else: "
     "ERROR(DEVICE_LIMIT)",
     1, 8, kAtSighup},
    {kDelivery, "device_removable_ms", &Limits::device_removable_ms,
     "a device stays away; then: a further one may take its place", kSecondMs, 3'650 * kDayMs, kAtSighup},
    {kDelivery, "blocks_max", &Limits::blocks_max,
     "whom a user blocks or has blocked, 8 bytes of memory each; a further one: ERROR(BLOCK_LIMIT)", 1,
     100'000, kAtSighup},
    {kDelivery, "mailbox_items_max", &Limits::mailbox_items_max,
     "messages that wait for one device; all devices full: REJECTED(MAILBOX_FULL)", 1, 1'000'000'000,
     kAtSighup},
    {kDelivery, "mailbox_bytes_max", &Limits::mailbox_bytes_max, "… and their bytes", 2048, kTiB, kAtSighup},
    {kDelivery, "expiry_ms", &Limits::expiry_ms, "a message waits; then: its sender is told EXPIRED",
     kSecondMs, 3'650 * kDayMs},
    {kDelivery, "device_unseen_ms", &Limits::device_unseen_ms,
     "a device stays away; then: it is not addressed, and told so when it comes back", kSecondMs,
     3'650 * kDayMs, kAtSighup},
    {kDelivery, "rate_burst", &Limits::rate_burst, "messages of a device at once; over it: HOLD(RATE)", 1,
     1'000'000, kAtSighup},
    {kDelivery, "rate_per_second", &Limits::rate_per_second, "… and per second for long", 1, 1'000'000,
     kAtSighup},

    {kStore, "chunk_bytes_max", &Limits::chunk_bytes_max,
     "part of a message in one LMDB value without overflow page", 512, 1900},
    {kStore, "batch_ops_max", &Limits::batch_ops_max, "operations in one commit", 1, 1 << 20},
    {kStore, "map_bytes", &Limits::map_bytes, "largest size of the journal; at 90 %: HOLD(STORE_FULL)", kMiB,
     kTiB},
    {kStore, "table_map_bytes", &Limits::table_map_bytes, "largest size of the mailbox tables", kMiB,
     64 * kTiB},
    {kStore, "move_after_ms", &Limits::move_after_ms,
     "a message waits in the journal; then: moved to the tables", 0, kDayMs},
    {kStore, "move_ms", &Limits::move_ms, "the mover looks for such messages so often", 1, kHourMs},

    {kNode, "mesh_slots", &Limits::mesh_slots,
     "hops between two threads, a power of two; at it: they wait at the poster", 2, 1 << 16},
    {kNode, "drain_ms_max", &Limits::drain_ms_max, "from SIGTERM to exit; then: as at a kill", 0, kHourMs,
     kAtSighup},
};

constexpr uint64_t kEnvelopeBytes = 1024;  // of a frame around the body of a message, generously

constexpr ConfigRelation kRelations[] = {
    {"limits.frames.frame_bytes_max", "limits.frames.body_bytes_max", 1, kEnvelopeBytes,
     "a frame holds a body and 1024 bytes around it"},
    {"limits.frames.frame_bytes_max", "limits.frames.hello_bytes_max", 1, 0, "the first frame is a frame"},
    {"limits.connections.silence_ms_max", "limits.connections.ping_ms", 1, 1,
     "a peer that pings on time must not seem silent"},
    {"limits.delivery.unconfirmed_bytes_max", "limits.frames.frame_bytes_max", 1, 0, "one frame must fit"},
    {"limits.delivery.flight_bytes_max", "limits.frames.frame_bytes_max", 1, 0, "one frame must fit"},
    {"limits.delivery.mailbox_bytes_max", "limits.frames.frame_bytes_max", 1, 0, "one frame must fit"},
    {"limits.store.map_bytes", "limits.frames.frame_bytes_max", 8, 0, "a few frames must fit"},
    {"limits.store.table_map_bytes", "limits.frames.frame_bytes_max", 8, 0, "a few frames must fit"},
};

// Edits that turn one word into the other.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string ConfigKey::path() const {
  return table.empty() ? std::string(name) : std::string(table) + '.' + std::string(name);
}

bool ConfigKey::is_number() const { return max > 0; }

uint64_t ConfigKey::number(const Config& config) const {
  if (const auto* u16 = std::get_if<uint16_t Config::*>(&field)) return config.**u16;
  if (const auto* u32 = std::get_if<uint32_t Limits::*>(&field)) return config.limits.**u32;
  return config.limits.*std::get<uint64_t Limits::*>(field);
}

void ConfigKey::set_number(Config& config, uint64_t value) const {
  if (const auto* u16 = std::get_if<uint16_t Config::*>(&field))
    config.** u16 = static_cast<uint16_t>(value);
  else if (const auto* u32 = std::get_if<uint32_t Limits::*>(&field))
    config.limits.** u32 = static_cast<uint32_t>(value);
  else
    config.limits.*std::get<uint64_t Limits::*>(field) = value;
}

bool ConfigKey::same(const Config& a, const Config& b) const {
  return std::visit(
      [&](auto member) {
        if constexpr (requires { a.*member; })
          return a.*member == b.*member;
        else
          return a.limits.*member == b.limits.*member;
      },
      field);
}

std::span<const ConfigKey> config_keys() { return kKeys; }
std::span<const ConfigRelation> config_relations() { return kRelations; }

const ConfigKey* find_config_key(std::string_view path) {
  for (const ConfigKey& key : kKeys)
    if (key.path() == path) return &key;
  return nullptr;
}

std::string nearest_config_key(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('.') + 1);
  std::string nearest;
  size_t best = 2 * std::max<size_t>(2, name.size() / 3) + 2;
  const auto consider = [&](std::string_view candidate, size_t twice_edits) {
    if (twice_edits >= best) return;
    best = twice_edits;
    nearest = candidate;
  };
  for (const ConfigKey& key : kKeys) {
    // A key in the wrong table is the commonest mistake, so the last word alone counts too, if no whole name
    // is as near.
    consider(key.path(), 2 * distance(path, key.path()));
    consider(key.path(), 2 * distance(name, key.name) + 1);
    for (size_t end = key.table.find('.');; end = key.table.find('.', end + 1)) {
      const std::string_view table = key.table.substr(0, end);
      if (!table.empty()) consider(table, 2 * distance(path, table));
      if (end == key.table.npos) break;
    }
  }
  return nearest;
}

}  // namespace perch::chat
