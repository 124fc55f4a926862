// Every metric of a server, and nowhere else a name of one. Rows of one name stand together and differ in
// their label; the first of them has the help. core/limits.h names for every limit the metric that shows it
// reached.
//
// scope: whose pages have it, kThread being reactors and the store thread.
// kind: kCounter, kGauge, or kRatio: a gauge from 0 to 1, kept in millionths.
#pragma once

// X(id, scope, kind, name, label, help)
#define PERCH_METRICS(X)                                                                                     \
  /* the ring and the mesh */                                                                                \
  X(kRingEnters, kThread, kCounter, "perch_ring_enters_total", "", "io_uring_enter calls")                   \
  X(kRingCompletions, kThread, kCounter, "perch_ring_completions_total", "", "completions handled")          \
  X(kRingWakes, kThread, kCounter, "perch_ring_wakes_total", "", "times another thread woke this one")       \
  X(kTurns, kThread, kCounter, "perch_turns_total", "", "times the thread went round its loop")              \
  X(kHopsPosted, kThread, kCounter, "perch_hops_posted_total", "",                                           \
    "items posted to other threads or itself")                                                               \
  X(kHopsDelayed, kThread, kCounter, "perch_hops_delayed_total", "", "hops that found their queue full")     \
  X(kHopsWaiting, kThread, kGauge, "perch_hops_waiting", "", "hops waiting for room in their queue")         \
  X(kLogDropped, kThread, kCounter, "perch_log_dropped_total", "",                                           \
    "log lines that came faster than they were written")                                                     \
  /* connections */                                                                                          \
  X(kConnections, kReactor, kGauge, "perch_connections", "", "connections now")                              \
  X(kAccepted, kReactor, kCounter, "perch_connections_accepted_total", "", "connections accepted")           \
  X(kMovedOut, kReactor, kCounter, "perch_connections_moved_total", "",                                      \
    "connections moved to their home core")                                                                  \
  X(kRefused, kReactor, kCounter, "perch_connections_refused_total", "", "connections dropped: no room")     \
  X(kPausedFull, kReactor, kCounter, "perch_accepts_paused_total", "reason=\"connections\"",                 \
    "times accepting stopped, peers wait in the backlog")                                                    \
  X(kPausedDescriptors, kReactor, kCounter, "perch_accepts_paused_total", "reason=\"descriptors\"", "")      \
  X(kClosedPeer, kReactor, kCounter, "perch_connections_closed_total", "reason=\"peer\"",                    \
    "connections ended")                                                                                     \
  X(kClosedSystem, kReactor, kCounter, "perch_connections_closed_total", "reason=\"system\"", "")            \
  X(kClosedBadFrame, kReactor, kCounter, "perch_connections_closed_total", "reason=\"bad_frame\"", "")       \
  X(kClosedFrameTooLarge, kReactor, kCounter, "perch_connections_closed_total",                              \
    "reason=\"frame_too_large\"", "")                                                                        \
  X(kClosedLoginTimeout, kReactor, kCounter, "perch_connections_closed_total", "reason=\"login_timeout\"",   \
    "")                                                                                                      \
  X(kClosedFrameTimeout, kReactor, kCounter, "perch_connections_closed_total", "reason=\"frame_timeout\"",   \
    "")                                                                                                      \
  X(kClosedSilence, kReactor, kCounter, "perch_connections_closed_total", "reason=\"silence\"", "")          \
  X(kClosedSendStall, kReactor, kCounter, "perch_connections_closed_total", "reason=\"send_stall\"", "")     \
  X(kClosedLocal, kReactor, kCounter, "perch_connections_closed_total", "reason=\"local\"", "")              \
  X(kFramesIn, kReactor, kCounter, "perch_frames_received_total", "", "whole frames received")               \
  X(kFramesOut, kReactor, kCounter, "perch_frames_sent_total", "", "whole frames sent")                      \
  X(kBytesIn, kReactor, kCounter, "perch_received_bytes_total", "", "bytes received")                        \
  X(kBytesOut, kReactor, kCounter, "perch_sent_bytes_total", "", "bytes sent")                               \
  X(kBuffersFree, kReactor, kGauge, "perch_receive_buffers_free", "", "receive buffers with the kernel")     \
  X(kBuffersExhausted, kReactor, kCounter, "perch_receive_buffers_exhausted_total", "",                      \
    "receives that found no buffer")                                                                         \
  X(kSendQueueFull, kReactor, kCounter, "perch_send_queue_full_total", "",                                   \
    "frames a full send queue refused")                                                                      \
  /* sessions */                                                                                             \
  X(kLogins, kReactor, kCounter, "perch_logins_total", "", "sessions begun")                                 \
  X(kSessions, kReactor, kGauge, "perch_sessions", "", "sessions now")                                       \
  X(kUsers, kReactor, kGauge, "perch_users_loaded", "", "users in memory")                                   \
  X(kErrorMalformed, kReactor, kCounter, "perch_errors_sent_total", "code=\"malformed\"", "ERROR answers")   \
  X(kErrorTooLarge, kReactor, kCounter, "perch_errors_sent_total", "code=\"too_large\"", "")                 \
  X(kErrorVersion, kReactor, kCounter, "perch_errors_sent_total", "code=\"version\"", "")                    \
  X(kErrorState, kReactor, kCounter, "perch_errors_sent_total", "code=\"state\"", "")                        \
  X(kErrorUnknownFrame, kReactor, kCounter, "perch_errors_sent_total", "code=\"unknown_frame\"", "")         \
  X(kErrorTokenInvalid, kReactor, kCounter, "perch_errors_sent_total", "code=\"token_invalid\"", "")         \
  X(kErrorTokenExpired, kReactor, kCounter, "perch_errors_sent_total", "code=\"token_expired\"", "")         \
  X(kErrorNoAccount, kReactor, kCounter, "perch_errors_sent_total", "code=\"no_account\"", "")               \
  X(kErrorDeviceLimit, kReactor, kCounter, "perch_errors_sent_total", "code=\"device_limit\"", "")           \
  X(kErrorReplaced, kReactor, kCounter, "perch_errors_sent_total", "code=\"replaced\"", "")                  \
  X(kErrorStaleAttempt, kReactor, kCounter, "perch_errors_sent_total", "code=\"stale_attempt\"", "")         \
  X(kErrorLoginTimeout, kReactor, kCounter, "perch_errors_sent_total", "code=\"login_timeout\"", "")         \
  X(kErrorFrameTimeout, kReactor, kCounter, "perch_errors_sent_total", "code=\"frame_timeout\"", "")         \
  X(kErrorWindow, kReactor, kCounter, "perch_errors_sent_total", "code=\"window\"", "")                      \
  X(kErrorConfirm, kReactor, kCounter, "perch_errors_sent_total", "code=\"confirm\"", "")                    \
  X(kErrorSessionExpired, kReactor, kCounter, "perch_errors_sent_total", "code=\"session_expired\"", "")     \
  X(kErrorBusy, kReactor, kCounter, "perch_errors_sent_total", "code=\"busy\"", "")                          \
  X(kErrorSlowReader, kReactor, kCounter, "perch_errors_sent_total", "code=\"slow_reader\"", "")             \
  X(kErrorNotFound, kReactor, kCounter, "perch_errors_sent_total", "code=\"not_found\"", "")                 \
  X(kErrorIdle, kReactor, kCounter, "perch_errors_sent_total", "code=\"idle\"", "")                          \
  X(kErrorBlockLimit, kReactor, kCounter, "perch_errors_sent_total", "code=\"block_limit\"", "")             \
  /* messages */                                                                                             \
  X(kTaken, kReactor, kCounter, "perch_messages_taken_total", "", "messages and read marks taken")           \
  X(kForwardedLive, kReactor, kCounter, "perch_messages_forwarded_live_total", "",                           \
    "messages sent at once to all addressed devices of a user")                                              \
  X(kNeedStore, kReactor, kCounter, "perch_messages_need_store_total", "",                                   \
    "messages that a user's core asked to be stored")                                                        \
  X(kToStore, kReactor, kCounter, "perch_messages_to_store_total", "", "messages given to the store thread") \
  X(kStored, kReactor, kCounter, "perch_messages_stored_total", "", "messages flushed to the disk")          \
  X(kHandedOver, kReactor, kCounter, "perch_messages_handed_over_total", "",                                 \
    "messages read from the disk and sent to a device")                                                      \
  X(kResultAccepted, kReactor, kCounter, "perch_results_total", "tick=\"accepted\"", "OUTCOME answers")      \
  X(kResultDelivered, kReactor, kCounter, "perch_results_total", "tick=\"delivered\"", "")                   \
  X(kHeldRate, kReactor, kCounter, "perch_held_total", "reason=\"rate\"", "HOLD answers")                    \
  X(kHeldStoreFull, kReactor, kCounter, "perch_held_total", "reason=\"store_full\"", "")                     \
  X(kHeldBusy, kReactor, kCounter, "perch_held_total", "reason=\"busy\"", "")                                \
  X(kHeldDraining, kReactor, kCounter, "perch_held_total", "reason=\"draining\"", "")                        \
  X(kRejectedNotFound, kReactor, kCounter, "perch_rejected_total", "reason=\"not_found\"",                   \
    "messages rejected")                                                                                     \
  X(kRejectedTooLarge, kReactor, kCounter, "perch_rejected_total", "reason=\"too_large\"", "")               \
  X(kRejectedMailboxFull, kReactor, kCounter, "perch_rejected_total", "reason=\"mailbox_full\"", "")         \
  X(kRejectedNotMember, kReactor, kCounter, "perch_rejected_total", "reason=\"not_member\"", "")             \
  X(kBlocked, kReactor, kCounter, "perch_messages_blocked_total", "",                                        \
    "messages to somebody who blocks their sender: kept for nobody")                                         \
  X(kReceipts, kReactor, kCounter, "perch_receipts_total", "", "first confirmations of stored messages")     \
  X(kExpired, kReactor, kCounter, "perch_expired_total", "", "messages that nobody fetched in time")         \
  X(kOverflowed, kReactor, kCounter, "perch_devices_overflowed_total", "",                                   \
    "devices whose mailbox filled up: from there on they have a gap")                                        \
  X(kUnseen, kReactor, kCounter, "perch_devices_unseen_total", "",                                           \
    "times a device away for too long was not addressed")                                                    \
  X(kDevicesRemoved, kReactor, kCounter, "perch_devices_removed_total", "",                                  \
    "devices unseen for long that made room for another")                                                    \
  X(kSlow, kReactor, kCounter, "perch_devices_slow_total", "", "times a device confirmed too late")          \
  X(kPausedFrames, kReactor, kCounter, "perch_deliveries_paused_total", "reason=\"unconfirmed_frames\"",     \
    "times what a device is owed waited in its list")                                                        \
  X(kPausedBytes, kReactor, kCounter, "perch_deliveries_paused_total", "reason=\"unconfirmed_bytes\"", "")   \
  X(kPausedSendQueue, kReactor, kCounter, "perch_deliveries_paused_total", "reason=\"send_queue\"", "")      \
  X(kFlights, kReactor, kGauge, "perch_flights", "", "messages whose sender has not closed them")            \
  X(kFlightBytes, kReactor, kGauge, "perch_flight_bytes", "", "bytes of frames in memory")                   \
  /* the store thread */                                                                                     \
  X(kCommits, kStore, kCounter, "perch_store_commits_total", "", "group commits")                            \
  X(kStoreOps, kStore, kCounter, "perch_store_operations_total", "", "operations committed")                 \
  X(kStoreBytes, kStore, kCounter, "perch_store_message_bytes_total", "", "bytes of messages committed")     \
  X(kStoreSplit, kStore, kCounter, "perch_store_messages_split_total", "",                                   \
    "messages that took more than one value of the store")                                                   \
  X(kStoreRefused, kStore, kCounter, "perch_store_refused_total", "", "operations the disk had no room for") \
  X(kBatchesFull, kStore, kCounter, "perch_store_batches_full_total", "", "commits as large as is allowed")  \
  X(kMovedRows, kStore, kCounter, "perch_store_moved_total", "",                                             \
    "messages moved from the journal to the mailbox tables, once a user")                                    \
  X(kJournalFill, kStore, kRatio, "perch_store_fill_ratio", "map=\"journal\"",                               \
    "share in use of the map, or of what it could have of the disk, whichever is worse")                     \
  X(kTablesFill, kStore, kRatio, "perch_store_fill_ratio", "map=\"tables\"", "")                             \
  X(kJournalBytes, kStore, kGauge, "perch_store_used_bytes", "map=\"journal\"", "bytes of the map in use")   \
  X(kTablesBytes, kStore, kGauge, "perch_store_used_bytes", "map=\"tables\"", "")                            \
  X(kStoreFull, kStore, kGauge, "perch_store_full", "", "1 while messages are held for want of room")        \
  X(kStorePoisoned, kStore, kGauge, "perch_store_poisoned", "",                                              \
    "1 after a commit failed or a stored message could not be read: the node stops")                         \
  /* the main thread */                                                                                      \
  X(kStartTime, kMain, kGauge, "perch_start_time_seconds", "", "Unix time of the start")                     \
  X(kDraining, kMain, kGauge, "perch_draining_seconds", "", "seconds since SIGTERM, 0 before")               \
  X(kStalled, kMain, kGauge, "perch_stalled_seconds", "", "for how long a thread has stood still")           \
  X(kControlRequests, kMain, kCounter, "perch_control_requests_total", "", "requests on the control socket") \
  X(kControlRefused, kMain, kCounter, "perch_control_refused_total", "",                                     \
    "control requests refused: a stranger, unknown, too long or too slow")                                   \
  X(kHttpRequests, kMain, kCounter, "perch_http_requests_total", "", "monitoring requests answered")         \
  X(kHttpPaused, kMain, kCounter, "perch_http_paused_total", "",                                             \
    "times all places of monitoring connections were taken, further ones wait in the backlog")               \
  X(kHttpMalformed, kMain, kCounter, "perch_http_refused_total", "reason=\"malformed\"",                     \
    "monitoring requests refused")                                                                           \
  X(kHttpMethod, kMain, kCounter, "perch_http_refused_total", "reason=\"method\"", "")                       \
  X(kHttpNotFound, kMain, kCounter, "perch_http_refused_total", "reason=\"not_found\"", "")                  \
  X(kHttpTooLarge, kMain, kCounter, "perch_http_refused_total", "reason=\"too_large\"", "")                  \
  X(kHttpTimeout, kMain, kCounter, "perch_http_refused_total", "reason=\"timeout\"", "")

// X(id, name, first, last, scale, help): buckets for values up to 2^first, … 2^last and any; a value times
// `scale` is in the unit of the name. All belong to the store thread.
#define PERCH_HISTOGRAMS(X)                                                                        \
  X(kCommitUs, "perch_store_commit_seconds", 6, 24, 1e-6, "time of a group commit with its flush") \
  X(kBatchOps, "perch_store_batch_operations", 0, 13, 1, "operations in a group commit")
