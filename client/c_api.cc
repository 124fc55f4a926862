// client/perch.h over client/client.h. Compiled with exceptions, so that `noexcept` ends the process where
// memory ends instead of letting an exception into a caller that has none.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "client/client.h"
#include "client/perch.h"

using namespace perch;
using namespace perch::client;

namespace {

// The numbers of the C interface are those of the C++ one.
static_assert(PERCH_SYSTEM == static_cast<int>(Errc::kSystem));
static_assert(PERCH_INVALID == static_cast<int>(Errc::kInvalid));
static_assert(PERCH_TOO_LARGE == static_cast<int>(Errc::kTooLarge));
static_assert(PERCH_NOT_FOUND == static_cast<int>(Errc::kNotFound));
static_assert(PERCH_FULL == static_cast<int>(Errc::kFull));
static_assert(PERCH_POISONED == static_cast<int>(Errc::kPoisoned));
static_assert(PERCH_NEWER_FORMAT == static_cast<int>(Errc::kNewerFormat));
static_assert(PERCH_CORRUPT == static_cast<int>(Errc::kCorrupt));
static_assert(PERCH_BUSY == static_cast<int>(Errc::kBusy));
static_assert(PERCH_STOP_REPLACED == static_cast<int>(StopReason::kReplaced));
static_assert(PERCH_STOP_TOKEN == static_cast<int>(StopReason::kToken));
static_assert(PERCH_STOP_NO_ACCOUNT == static_cast<int>(StopReason::kNoAccount));
static_assert(PERCH_STOP_DEVICE_LIMIT == static_cast<int>(StopReason::kDeviceLimit));
static_assert(PERCH_STOP_VERSION == static_cast<int>(StopReason::kVersion));
static_assert(PERCH_STOP_OTHER_USER == static_cast<int>(StopReason::kOtherUser));
static_assert(PERCH_STOP_STORAGE == static_cast<int>(StopReason::kStorage));
static_assert(PERCH_QUEUED == static_cast<int>(Mark::kQueued));
static_assert(PERCH_ACCEPTED == static_cast<int>(Mark::kAccepted));
static_assert(PERCH_DELIVERED == static_cast<int>(Mark::kDelivered));
static_assert(PERCH_READ == static_cast<int>(Mark::kRead));
static_assert(PERCH_REJECTED == static_cast<int>(Mark::kRejected));
static_assert(PERCH_EXPIRED == static_cast<int>(Mark::kExpired));
static_assert(PERCH_REJECT_NOT_FOUND == static_cast<int>(RejectReason::kNotFound));
static_assert(PERCH_REJECT_TOO_LARGE == static_cast<int>(RejectReason::kTooLarge));
static_assert(PERCH_REJECT_MAILBOX_FULL == static_cast<int>(RejectReason::kMailboxFull));
static_assert(PERCH_REJECT_NOT_MEMBER == static_cast<int>(RejectReason::kNotMember));
static_assert(PERCH_NEW == static_cast<int>(Insert::kNew));
static_assert(PERCH_RENUMBERED == static_cast<int>(Insert::kRenumbered));
static_assert(PERCH_VARIANT == static_cast<int>(Insert::kVariant));

// What the structs of callers held in the first version: a `size` below that is a mistake.
constexpr size_t kOptionsSizeMin = offsetof(perch_options, never_connect) + sizeof(int);
constexpr size_t kCallbacksSizeMin = offsetof(perch_callbacks, stopped) + sizeof(perch_callbacks::stopped);
constexpr size_t kRowSizeMin = offsetof(perch_row, reason) + sizeof(uint8_t);
constexpr size_t kIdentitySizeMin = offsetof(perch_identity, device) + sizeof(uint16_t);

// What the caller's struct holds of those fields that this version knows; the others are zero.
template <typename T>
T taken(const T& theirs) {
  T ours{};
  std::memcpy(&ours, &theirs, std::min(theirs.size, sizeof(T)));
  return ours;
}

// The fields that the caller's struct has room for.
template <typename T>
void give(T ours, T& theirs) {
  ours.size = theirs.size;
  std::memcpy(&theirs, &ours, std::min(theirs.size, sizeof(T)));
}

const char* or_empty(const char* text) { return text == nullptr ? "" : text; }

perch_bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.empty() ? "" : text.data()), text.size()};
}

perch_bytes bytes_of(const std::vector<uint8_t>& bytes) {
  return bytes_of(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

perch_row row_of(const RowStatus& status) {
  perch_row row{};
  row.size = sizeof(row);
  row.row = status.row;
  row.to = status.to;
  row.origin = status.origin;
  row.seq = status.seq;
  row.number = status.number;
  row.time_ms = status.time_ms;
  row.kind = static_cast<uint8_t>(status.kind);
  row.open = status.open;
  row.mark = static_cast<uint8_t>(status.mark);
  row.reason = status.reason;
  return row;
}

// LIFETIME: as `in`.
perch_message message_of(const InboxMessage& in, UserId me) {
  perch_message out{};
  out.size = sizeof(out);
  out.peer = in.peer;
  out.user = in.id.user;
  out.device = in.id.device;
  out.origin = in.id.origin;
  out.seq = in.id.seq;
  out.number = in.number;
  out.time_ms = in.time_ms;
  out.body = bytes_of(in.body);
  out.variant = in.variant;
  out.content = in.content;
  out.mine = in.id.user == me;
  out.mark = static_cast<uint8_t>(in.mark);
  return out;
}

// LIFETIME: as `line`.
perch_message message_of(const HistoryLine& line, UserId peer, const Identity& me) {
  perch_message out{};
  out.size = sizeof(out);
  out.peer = peer;
  MessageId id = line.id;
  if (line.own_device) {
    out.row = line.row.row;
    out.reason = line.row.reason;
    if (line.row.seq != 0) id = {me.user, me.device, line.row.origin, line.row.seq};
  }
  out.user = id.user;
  out.device = id.device;
  out.origin = id.origin;
  out.seq = id.seq;
  out.number = line.number;
  out.time_ms = line.time_ms;
  out.arrival = line.arrival;
  out.body = bytes_of(line.body);
  out.variant = line.variant;
  out.content = line.content;
  out.mine = line.mine;
  out.mark = static_cast<uint8_t>(line.mark);
  return out;
}

}  // namespace

struct perch_client final : DeviceEvents {
  perch_callbacks callbacks{};
  std::unique_ptr<Client> client;
  int64_t last_detail = 0;
  bool calling_back = false;

  perch_error failed(Error error) {
    last_detail = error.detail;
    return static_cast<perch_error>(error.code);
  }
  template <typename T>
  perch_error ended(const Result<T>& result) {
    if (!result.ok()) return failed(result.error());
    last_detail = 0;
    return PERCH_OK;
  }
  // The result goes to `out`, unless that is null.
  template <typename T>
  perch_error ended(const Result<T>& result, T* out) {
    if (result.ok() && out != nullptr) *out = *result;
    return ended(result);
  }
  template <typename... Parameters, typename... Arguments>
  void call(void (*callback)(void*, Parameters...), void* context, const Arguments&... arguments) {
    if (callback == nullptr) return;
    const bool before = std::exchange(calling_back, true);
    callback(context, arguments...);
    calling_back = before;
  }
  template <typename... Parameters, typename... Arguments>
  void tell(void (*callback)(void*, Parameters...), const Arguments&... arguments) {
    call(callback, callbacks.context, arguments...);
  }

  void on_online(const LoginInfo& info) override {
    perch_login login{};
    login.size = sizeof(login);
    login.user = info.user;
    login.device = info.device;
    login.handle = bytes_of(info.handle);
    login.session_expires_ms = info.session_expires_ms;
    login.num_reopened = info.num_reopened;
    login.continuity_broken = info.continuity_broken;
    login.overflowed = info.overflowed;
    login.new_incarnation = info.new_incarnation;
    tell(callbacks.online, &login);
  }
  void on_offline(std::string_view why) override { tell(callbacks.offline, bytes_of(why)); }
  void on_message(const InboxMessage& in, Insert insert) override {
    const perch_message message = message_of(in, client->identity().user);
    tell(callbacks.message, &message, static_cast<perch_insert>(insert));
  }
  void on_row(const RowStatus& status) override {
    const perch_row row = row_of(status);
    tell(callbacks.row, &row);
  }
  void on_unreadable(const MessageId& id) override {
    tell(callbacks.unreadable, id.user, id.device, id.origin, id.seq);
  }
  void on_read_elsewhere(UserId peer, const ReadMark& mark) override {
    tell(callbacks.read_elsewhere, peer, mark.device, mark.origin, mark.up_to);
  }
  void on_resolved(std::string_view handle, UserId user) override {
    tell(callbacks.resolved, bytes_of(handle), user);
  }
  void on_hold(HoldReason reason, uint32_t wait_ms) override {
    tell(callbacks.hold, static_cast<uint32_t>(reason), wait_ms);
  }
  void on_error(ErrorCode code, std::string_view text) override {
    tell(callbacks.error, static_cast<uint32_t>(code), bytes_of(text));
  }
  void on_stopped(StopReason reason, std::string_view text) override {
    tell(callbacks.stopped, static_cast<perch_stop_reason>(reason), bytes_of(text));
  }
};

namespace {

// A mistake of the caller's program.
perch_error mistaken(perch_client* client) {
  if (client != nullptr) client->last_detail = 0;
  return PERCH_INVALID;
}

}  // namespace

perch_error perch_open(const perch_options* options, const perch_callbacks* callbacks, perch_client** client,
                       int64_t* detail) noexcept {
  if (detail != nullptr) *detail = 0;
  if (client == nullptr) return PERCH_INVALID;
  *client = nullptr;
  if (options == nullptr || options->size < kOptionsSizeMin || options->profile == nullptr)
    return PERCH_INVALID;
  if (callbacks != nullptr && callbacks->size < kCallbacksSizeMin) return PERCH_INVALID;
  const perch_options given = taken(*options);
  ClientOptions asked;
  asked.profile_path = given.profile;
  asked.server = or_empty(given.server);
  asked.token = or_empty(given.token);
  if (given.agent != nullptr) asked.agent = given.agent;
  asked.connect = given.never_connect == 0;
  auto made = std::make_unique<perch_client>();
  if (callbacks != nullptr) made->callbacks = taken(*callbacks);
  auto opened = Client::open(asked, *made);
  if (!opened.ok()) {
    if (detail != nullptr) *detail = opened.error().detail;
    return static_cast<perch_error>(opened.error().code);
  }
  made->client = std::move(*opened);
  *client = made.release();
  return PERCH_OK;
}

perch_error perch_close(perch_client* client) noexcept {
  if (client == nullptr) return PERCH_OK;
  if (client->calling_back) return mistaken(client);
  delete client;
  return PERCH_OK;
}

perch_error perch_send(perch_client* client, const char* to, const char* text, uint64_t* row) noexcept {
  if (text == nullptr) return mistaken(client);
  return perch_send_bytes(client, to, 0, text, std::strlen(text), row);
}

perch_error perch_send_bytes(perch_client* client, const char* to, uint8_t content, const void* body,
                             size_t len, uint64_t* row) noexcept {
  if (client == nullptr || to == nullptr || (body == nullptr && len != 0)) return mistaken(client);
  return client->ended(client->client->send(to, content, Bytes(static_cast<const uint8_t*>(body), len)), row);
}

perch_error perch_mark_read(perch_client* client, const char* peer, size_t* num) noexcept {
  if (client == nullptr || peer == nullptr) return mistaken(client);
  return client->ended(client->client->mark_read(peer), num);
}

perch_error perch_user_of(perch_client* client, const char* peer, uint64_t* user) noexcept {
  if (client == nullptr || peer == nullptr || user == nullptr) return mistaken(client);
  return client->ended(client->client->user_of(peer), user);
}

perch_error perch_handle_of(perch_client* client, uint64_t user, char* handle, size_t size) noexcept {
  if (client == nullptr || handle == nullptr) return mistaken(client);
  const auto found = client->client->handle_of(user);
  if (!found.ok()) return client->failed(found.error());
  const size_t takes = found->size() + 1;
  if (size < takes) return client->failed({Errc::kTooLarge, static_cast<int64_t>(takes)});
  std::memcpy(handle, found->c_str(), takes);
  return client->ended(found);
}

perch_error perch_resolve(perch_client* client, const char* peer) noexcept {
  if (client == nullptr || peer == nullptr || client->calling_back) return mistaken(client);
  client->client->resolve(peer);
  return PERCH_OK;
}

perch_error perch_status(perch_client* client, uint64_t row, perch_row* status) noexcept {
  if (client == nullptr || status == nullptr || status->size < kRowSizeMin) return mistaken(client);
  const auto found = client->client->status(row);
  if (found.ok()) give(row_of(*found), *status);
  return client->ended(found);
}

perch_error perch_history(perch_client* client, const char* peer, size_t limit,
                          void (*each)(void* context, const perch_message* line), void* context) noexcept {
  if (client == nullptr || peer == nullptr || each == nullptr) return mistaken(client);
  const auto user = client->client->user_of(peer);
  if (!user.ok()) return client->failed(user.error());
  const auto lines = client->client->history(peer, limit);
  if (!lines.ok()) return client->failed(lines.error());
  for (const HistoryLine& line : *lines) {
    const perch_message message = message_of(line, *user, client->client->identity());
    client->call(each, context, &message);
  }
  return client->ended(lines);
}

perch_error perch_unseen(perch_client* client, size_t limit,
                         void (*each)(void* context, const perch_message* message), void* context) noexcept {
  if (client == nullptr || each == nullptr) return mistaken(client);
  const auto arrivals = client->client->unseen(limit);
  if (!arrivals.ok()) return client->failed(arrivals.error());
  for (const Arrival& arrival : *arrivals) {
    perch_message message = message_of(arrival.message, client->client->identity().user);
    message.arrival = arrival.arrival;
    client->call(each, context, &message);
  }
  return client->ended(arrivals);
}

perch_error perch_set_seen(perch_client* client, uint64_t arrival) noexcept {
  if (client == nullptr) return PERCH_INVALID;
  return client->ended(client->client->set_seen(arrival));
}

perch_error perch_whoami(const perch_client* client, perch_identity* identity) noexcept {
  if (client == nullptr || identity == nullptr || identity->size < kIdentitySizeMin) return PERCH_INVALID;
  const Identity& me = client->client->identity();
  perch_identity found{};
  found.user = me.user;
  found.origin = me.origin;
  found.device = me.device;
  give(found, *identity);
  return PERCH_OK;
}

perch_error perch_poll(perch_client* client, uint64_t timeout_ms, int also_fd, int* readable) noexcept {
  if (client == nullptr || client->calling_back) return mistaken(client);
  const bool ready = client->client->poll(timeout_ms, also_fd);
  if (readable != nullptr) *readable = ready ? 1 : 0;
  return PERCH_OK;
}

perch_error perch_run(perch_client* client) noexcept {
  if (client == nullptr || client->calling_back) return mistaken(client);
  client->client->run();
  return PERCH_OK;
}

void perch_stop(perch_client* client) noexcept {
  if (client != nullptr) client->client->stop();
}

perch_error perch_set_token(perch_client* client, const char* token) noexcept {
  if (client == nullptr || token == nullptr) return mistaken(client);
  return client->ended(client->client->set_token(token));
}

int perch_connects(const perch_client* client) noexcept {
  return client != nullptr && client->client->connects();
}

int perch_online(const perch_client* client) noexcept {
  return client != nullptr && client->client->online();
}

perch_stop_reason perch_stopped(const perch_client* client) noexcept {
  if (client == nullptr) return PERCH_STOP_NONE;
  return static_cast<perch_stop_reason>(client->client->stop_reason());
}

int64_t perch_last_detail(const perch_client* client) noexcept {
  return client == nullptr ? 0 : client->last_detail;
}

const char* perch_error_name(perch_error error) noexcept {
  return error == PERCH_OK ? "ok" : perch::name_of(static_cast<Errc>(error));
}

const char* perch_stop_reason_name(perch_stop_reason reason) noexcept {
  return perch::client::name_of(static_cast<StopReason>(reason));
}

const char* perch_version() noexcept { return PERCH_VERSION; }
