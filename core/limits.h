// Every limit of a node: default, cost, what happens at it, and in brackets the metric of
// core/metrics_table.h that shows it reached. Values in one struct so that tests and the simulator can shrink
// them until every "full" path is common.
//
// The unit is in the name; `_max` may be reached, not passed. ON: a struct is one thread's, or changed by
// none; a reload hands each core a new one. SOURCE: chat/config_keys.cc has each one's range, and if it
// reloads.
//
// Bounds that no operator has a reason to set stand as constants beside what they bound: a send's frames and
// bytes (net/send_queue.h), a close that flushes (net/closing.cc), unacknowledged bytes and the backlog
// (net/listen.cc), the rest after a failed accept (net/acceptor.h), receive buffers (core/ring.h), log lines
// (core/log.h), the control socket (chat/control.h), monitoring (chat/http.h), key files (chat/key_files.cc).
#pragma once
#include <cstdint>

namespace perch {

struct Limits {
  // --- frames -------------------------------------------------------------------------------------
  uint32_t body_bytes_max = 64 * 1024;   // message body; over it: REJECTED(TOO_LARGE)
                                         // [perch_rejected_total{reason="too_large"}]
  uint32_t frame_bytes_max = 66 * 1024;  // whole frame, prefix included; over it: ERROR, close
                                         // [perch_connections_closed_total{reason="frame_too_large"}]
  uint32_t hello_bytes_max = 4 * 1024;   // first frame; over it: ERROR, close
                                         // [perch_connections_closed_total{reason="frame_too_large"}]
  // --- connections --------------------------------------------------------------------------------
  uint32_t connections_max = 16384;      // per core; at it: accepts pause, peers wait in the backlog. Those
                                         // whose accepts were in flight when moves filled it are dropped
                                         // [perch_accepts_paused_total{reason="connections"},
                                         // perch_connections_refused_total]
  uint32_t login_ms_max = 10'000;        // from accept to a verified HELLO; then: close
                                         // [perch_connections_closed_total{reason="login_timeout"}]
  uint32_t frame_ms_max = 15'000;        // from a frame's first byte to its last; then: close
                                         // [perch_connections_closed_total{reason="frame_timeout"}]
  uint32_t ping_ms = 30'000;             // a client pings this often; told in WELCOME
                                         // [perch_connections_closed_total{reason="silence"}]
  uint32_t silence_ms_max = 75'000;      // nothing received for so long: half-open, close
                                         // [perch_connections_closed_total{reason="silence"}]
  uint32_t send_stall_ms_max = 60'000;   // a send makes no progress for so long: close
                                         // [perch_connections_closed_total{reason="send_stall"}]
  uint32_t send_queue_frames_max = 512;  // per connection; at half: deliveries and results wait; at it: close
                                         // [perch_send_queue_full_total]
  // --- delivery -----------------------------------------------------------------------------------
  uint32_t window = 64;                   // W: a device's rows without result; over it: ERROR, close
                                          // [perch_errors_sent_total{code="window"}]
  uint32_t unconfirmed_frames_max = 256;  // counted frames sent to a session; at it: they wait in the list
                                          // [perch_deliveries_paused_total{reason="unconfirmed_frames"}]
  uint32_t unconfirmed_bytes_max = 256 * 1024;  // [perch_deliveries_paused_total{reason="unconfirmed_bytes"}]
  uint32_t confirm_ms_max = 2'000;              // oldest item in memory; then: stored, device is slow
                                                // [perch_devices_slow_total]
  uint32_t flights_max = 65536;                 // per core, without a result; at it: HOLD(BUSY)
                                                // [perch_held_total{reason="busy"}, perch_flights]
  uint64_t flight_bytes_max = 256u << 20;       // per core; at it: HOLD(BUSY)
                                                // [perch_held_total{reason="busy"}, perch_flight_bytes]
  uint32_t unclosed_windows_max = 4;            // times W: rows of a device with a result that it could have
                                                // closed; at it: HOLD(BUSY) [perch_held_total{reason="busy"}]
  uint32_t devices_max = 8;                     // per user; a further one: ERROR(DEVICE_LIMIT)
                                                // [perch_errors_sent_total{code="device_limit"}]
  uint64_t device_removable_ms = 30ull * 86'400'000;  // … unless one is unseen for so long: it is removed
                                                      // [perch_devices_removed_total]
  uint32_t blocks_max = 1000;                         // whom a user blocks or has blocked; over it: ERROR
                                                      // [perch_errors_sent_total{code="block_limit"}]
  uint32_t mailbox_items_max = 10'000;             // per device; full device: overflowed; all full: REJECTED
                                                   // [perch_devices_overflowed_total]
  uint64_t mailbox_bytes_max = 64u << 20;          // per device
                                                   // [perch_devices_overflowed_total]
  uint64_t expiry_ms = 30ull * 86'400'000;         // a waiting message; then: EXPIRED to its sender
                                                   // [perch_expired_total]
  uint64_t device_unseen_ms = 45ull * 86'400'000;  // then not addressed, told at its next login
                                                   // [perch_devices_unseen_total]
  uint32_t rate_burst = 1000;                      // SENDs of a device at once; over it: HOLD(RATE)
                                                   // [perch_held_total{reason="rate"}]
  uint32_t rate_per_second = 100;                  // [perch_held_total{reason="rate"}]
  // --- store --------------------------------------------------------------------------------------
  uint32_t chunk_bytes_max = 1900;         // a value: none needs overflow pages (store/keyspace.h)
                                           // [perch_store_messages_split_total]
  uint32_t batch_ops_max = 4096;           // store operations in one commit [perch_store_batches_full_total]
  uint64_t map_bytes = 8ull << 30;         // journal map; admission stops at 90 %: HOLD(STORE_FULL)
                                           // [perch_store_fill_ratio{map="journal"}]
  uint64_t table_map_bytes = 32ull << 30;  // mailbox tables
                                           // [perch_store_fill_ratio{map="tables"}]
  uint64_t move_after_ms = 60'000;         // what waits longer is moved to the mailbox tables
                                           // [perch_store_moved_total]
  uint64_t move_ms = 1'000;                // the mover looks for that so often [perch_store_moved_total]
  // --- mesh ---------------------------------------------------------------------------------------
  uint32_t mesh_slots = 1024;      // hops between two endpoints; at it: they wait at the poster
                                   // [perch_hops_delayed_total]
  uint32_t drain_ms_max = 10'000;  // SIGTERM to exit; then as at a kill [perch_draining_seconds]
};

// How long a client is told to wait, in ms. PROTOCOL.md says what it does with it.
struct ToldWaits {
  static constexpr uint32_t kDrainingMs = 2'000;   // HOLD(DRAINING), GOAWAY: another run has the port by then
  static constexpr uint32_t kStoreFullMs = 1'000;  // HOLD(STORE_FULL): confirmations make room meanwhile
  static constexpr uint32_t kBusyMs = 100;         // HOLD(BUSY): some round trips
  static constexpr uint32_t kAskAgainMs = 1'000;   // ERROR(BUSY): what waits for the disk
};

}  // namespace perch
