#include "client/client.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "client/drop_written.h"
#include "client/protocol/device.h"
#include "client/sqlite_store.h"

namespace perch::client {
namespace {

constexpr uint64_t kConnectMsMax = 10'000;          // per address
constexpr uint64_t kLookMs = 100;                   // how often other processes' rows are looked for
constexpr UserId kUserMax = (UserId{1} << 63) - 1;  // PROTOCOL.md, 3
constexpr size_t kReadBytes = 256 * 1024;           // one receive, one commit

// "host:port" or "[v6]:port".
bool split_address(std::string_view address, std::string& host, std::string& port) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == address.size()) return false;
  host = address.substr(0, colon);
  port = address.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  uint16_t number = 0;
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), number);
  return parsed.ec == std::errc() && parsed.ptr == port.data() + port.size() && number != 0;
}

uint64_t now_ms() { return system_clock().mono_ms(); }

}  // namespace

Result<std::unique_ptr<Client>> Client::open(const ClientOptions& options, DeviceEvents& events) {
  std::unique_ptr<Client> client(new Client);
  client->random_ = system_random();
  auto store = SqliteStore::open(options.profile_path, *client->random_, options.connect);
  if (!store.ok()) return store.error();
  client->store_ = std::move(store).value();
  SqliteStore& profile = *client->store_;
  const auto known_server = profile.setting("server"), known_token = profile.setting("token");
  if (!known_server.ok()) return known_server.error();
  if (!known_token.ok()) return known_token.error();
  const std::string server = options.server.empty() ? *known_server : options.server;
  const std::string token = options.token.empty() ? *known_token : options.token;
  const bool valid = split_address(server, client->host_, client->port_);
  if (!valid && (options.connect || !server.empty())) return Error{Errc::kInvalid};
  if (server != *known_server || token != *known_token) {
    profile.begin();
    profile.set_setting("server", server);
    profile.set_setting("token", token);
    if (auto committed = profile.commit(); !committed.ok()) return committed.error();
  }
  client->events_ = &events;
  client->wants_to_connect_ = options.connect;
  if (auto loaded = client->load_seen(); !loaded.ok()) return loaded.error();
  client->wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (client->wake_fd_ < 0) return Error{Errc::kSystem, errno};
  client->device_ = std::make_unique<Device>(profile, system_clock(), *client->random_, events,
                                             Device::Options{.token = token, .agent = options.agent});
  return client;
}

Client::Client() = default;

Client::~Client() {
  if (fd_ >= 0 && !connecting_) {
    device_->leave();
    write();  // a last CONFIRM too, as far as it goes
  }
  if (fd_ >= 0) ::close(fd_);
  if (addresses_ != nullptr) freeaddrinfo(addresses_);
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

// --- messages ----------------------------------------------------------------------------------------------

Client::Target Client::target_of(std::string_view to) {
  Target target;
  if (!to.empty() && to.front() == '@') to.remove_prefix(1);
  const auto parsed = std::from_chars(to.data(), to.data() + to.size(), target.user);
  const bool number = parsed.ec != std::errc::invalid_argument && parsed.ptr == to.data() + to.size();
  if (number && parsed.ec == std::errc() && target.user <= kUserMax) return target;
  target.user = 0;
  if (!number) target.handle = to;  // a number over the limit names nobody: no handle is all digits
  return target;
}

Result<UserId> Client::user_of(std::string_view peer) {
  const Target target = target_of(peer);
  return target.user != 0 ? Result(target.user) : store_->user_of(target.handle);
}

Result<std::string> Client::handle_of(UserId user) { return store_->handle_of(user); }

void Client::resolve(std::string_view peer) {
  if (!connects()) return;
  const auto user = user_of(peer);
  if (!user.ok() || *user == 0) device_->resolve(target_of(peer).handle);
}

Result<RowId> Client::post(const Target& target, uint8_t content, Bytes body) {
  if (connects()) return device_->send(target.user, target.handle, content, body);
  // Ids are the owner's to give.
  if (target.user == 0 && (target.handle.empty() || target.handle.size() > codec::kHandleBytesMax)) {
    return Error{Errc::kInvalid};
  }
  const uint32_t bytes_max = Device::Options().body_bytes_max;
  if (body.size() > bytes_max) return Error{Errc::kTooLarge, bytes_max};
  NewRow row;
  row.to = target.user;
  row.handle = target.handle;
  row.content = content;
  row.body.assign(body.begin(), body.end());
  row.time_ms = system_clock().wall_ms();
  store_->begin();
  const RowId id = store_->add_row(row);
  if (auto committed = store_->commit(); !committed.ok()) return committed.error();
  return id;
}

Result<size_t> Client::mark_read(std::string_view peer) {
  const auto found = user_of(peer);
  if (!found.ok()) return found.error();
  const UserId user = *found;
  if (user == 0) return size_t{0};
  if (connects()) return device_->mark_read(user);
  const auto marks = store_->unread(user);
  if (!marks.ok()) return marks.error();
  if (marks->empty()) return size_t{0};
  store_->begin();
  for (const ReadMark& mark : *marks) {
    NewRow row;
    row.kind = RowKind::kRead;
    row.to = user;
    row.read = mark;
    row.time_ms = system_clock().wall_ms();
    store_->add_row(row);
    store_->mark_inbox_read(user, mark);
  }
  if (auto committed = store_->commit(); !committed.ok()) return committed.error();
  return marks->size();
}

Result<RowStatus> Client::status(RowId row) { return store_->status(row); }

Result<std::vector<HistoryLine>> Client::history(std::string_view peer, size_t limit) {
  const auto user = user_of(peer);
  if (!user.ok()) return user.error();
  if (auto done = forget_ended(); !done.ok()) return done.error();
  return store_->history(*user, target_of(peer).handle, limit);
}

Result<std::vector<HistoryLine>> Client::history_around(std::string_view peer, Number number, size_t before,
                                                        size_t after) {
  if (auto done = forget_ended(); !done.ok()) return done.error();
  const auto user = user_of(peer);
  if (!user.ok()) return user.error();
  return store_->history_around(*user, number, before, after);
}

Result<std::vector<Conversation>> Client::conversations() {
  if (auto done = forget_ended(); !done.ok()) return done.error();
  return store_->conversations();
}

Result<std::vector<Found>> Client::search(std::string_view text, std::string_view peer, size_t limit) {
  if (auto done = forget_ended(); !done.ok()) return done.error();
  if (peer.empty()) return store_->search(text, 0, limit);
  const Result<UserId> user = user_of(peer);
  if (!user.ok()) return user.error();
  if (*user == 0) return std::vector<Found>();
  return store_->search(text, *user, limit);
}

Result<std::vector<Arrival>> Client::unseen(size_t limit) { return store_->arrivals(seen_, limit); }

Result<void> Client::set_seen(uint64_t arrival) {
  store_->begin();
  store_->set_setting("seen", std::to_string(arrival));
  if (auto committed = store_->commit(); !committed.ok()) return committed.error();
  seen_ = arrival;
  return {};
}

Result<void> Client::set_token(std::string_view token) {
  store_->begin();
  store_->set_setting("token", token);
  if (auto committed = store_->commit(); !committed.ok()) return committed.error();
  device_->set_token(token);
  return {};
}

Result<void> Client::load_seen() {
  const auto seen = store_->setting("seen");
  if (!seen.ok()) return seen.error();
  std::from_chars(seen->data(), seen->data() + seen->size(), seen_);
  return {};
}

const Identity& Client::identity() const { return store_->identity(); }

// --- the loop ----------------------------------------------------------------------------------------------

bool Client::poll(uint64_t timeout_ms, int also_fd) {
  const uint64_t now = now_ms();
  const uint64_t until = timeout_ms > UINT64_MAX - now ? UINT64_MAX : now + timeout_ms;
  prepare();
  const Ready ready = wait(std::min(until, next_wake_ms()), also_fd);
  serve(ready.connection);
  tell_changes();
  return ready.also;
}

// What is due before anything is waited for.
void Client::prepare() {
  const uint64_t now = now_ms();
  if (now >= looked_at_ms_ + kLookMs) look_around(now);
  if (connecting_ && device_->state() == Device::State::kStopped) disconnect();
  if (!connects()) return;
  if (wants_session() && now >= device_->connect_at_ms()) connect();
  if (fd_ >= 0 && !connecting_) write();
}

bool Client::wants_session() const { return fd_ < 0 && device_->state() == Device::State::kOffline; }

uint64_t Client::next_wake_ms() const {
  if (device_->wants_close()) return 0;
  uint64_t next = looked_at_ms_ + kLookMs;
  if (!connects()) return next;
  next = std::min(next, device_->next_timer_ms());
  if (wants_session()) next = std::min(next, device_->connect_at_ms());
  if (connecting_) next = std::min(next, connect_by_ms_);
  return next;
}

Client::Ready Client::wait(uint64_t until, int also_fd) {
  const bool wants_write = connecting_ || device_->output().size() > written_;
  pollfd fds[3] = {{wake_fd_, POLLIN, 0},
                   {also_fd, POLLIN, 0},
                   {fd_, static_cast<short>(POLLIN | (wants_write ? POLLOUT : 0)), 0}};
  const uint64_t now = now_ms();
  const uint64_t wait_ms = until <= now ? 0 : until - now;
  ::poll(fds, 3, static_cast<int>(std::min<uint64_t>(wait_ms, 60'000)));
  if ((fds[0].revents & POLLIN) != 0) {
    uint64_t count = 0;
    stopped_ = ::read(wake_fd_, &count, sizeof(count)) == sizeof(count) || stopped_;
  }
  return {.connection = fds[2].revents,
          .also = (fds[1].revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) != 0};
}

void Client::serve(short events) {
  if (connecting_ && events != 0) {
    finish_connect();
  } else if (connecting_ && now_ms() >= connect_by_ms_) {
    connect_next();
  } else if (!connecting_ && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    read();
  }
  device_->on_timer();  // after reading: a process that was stopped has its answers waiting (DELIVERY.md H27)
  if (fd_ >= 0 && !connecting_) write();
  if (fd_ >= 0 && device_->wants_close()) disconnect();
}

void Client::run() {
  while (!stopped_ && stop_reason() == StopReason::kNone) poll(60'000);
  stopped_ = false;
}

void Client::stop() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof(one));
}

bool Client::connects() const { return store_->owner(); }

bool Client::online() const { return device_->state() == Device::State::kOnline; }

StopReason Client::stop_reason() const { return device_->stop_reason(); }

const DeviceCounters& Client::counters() const { return device_->counters(); }

void Client::look_around(uint64_t now) {
  looked_at_ms_ = now;
  (void)
      forget_ended();  // where the disk refuses that now, it is tried again; nobody is told of it until then
  if (!connects() && wants_to_connect_) take_over();
  const uint64_t version = store_->data_version();
  if (version == data_version_) return;
  data_version_ = version;
  if (!connects()) return store_->reload_identity();
  device_->poke();
}

void Client::take_over() {
  const auto owned = store_->try_own(*random_);
  if (!owned.ok() || !*owned) return;  // a disk that refuses now is tried again
  // The other process may have stored newer ones. Where they cannot be read, what was known has to do: a
  // message is shown twice rather than never, and an old token is refused.
  (void)load_seen();
  if (const auto token = store_->setting("token"); token.ok()) device_->set_token(*token);
  device_->poke();
}

void Client::connect() {
  if (addresses_ != nullptr) freeaddrinfo(addresses_);
  addresses_ = address_ = nullptr;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  if (getaddrinfo(host_.c_str(), port_.c_str(), &hints, &addresses_) != 0) {
    // Without a network AI_ADDRCONFIG hides even the loopback.
    hints.ai_flags = AI_NUMERICHOST;
    if (getaddrinfo(host_.c_str(), port_.c_str(), &hints, &addresses_) != 0) {
      addresses_ = nullptr;
      return device_->on_disconnected();
    }
  }
  connect_next();
}

void Client::connect_next() {
  while (true) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    connecting_ = false;
    address_ = address_ == nullptr ? addresses_ : address_->ai_next;
    if (address_ == nullptr) return device_->on_disconnected();
    fd_ = socket(address_->ai_family, address_->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                 address_->ai_protocol);
    if (fd_ < 0) continue;
    connecting_ = true;
    connect_by_ms_ = now_ms() + kConnectMsMax;
    if (::connect(fd_, address_->ai_addr, address_->ai_addrlen) == 0) return finish_connect();
    if (errno == EINPROGRESS || errno == EINTR) return;
  }
}

void Client::finish_connect() {
  int error = 0;
  socklen_t len = sizeof(error);
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) return connect_next();
  connecting_ = false;
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  written_ = 0;
  device_->on_connected();
}

void Client::disconnect() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  connecting_ = false;
  written_ = 0;
  device_->on_disconnected();
}

void Client::read() {
  input_.resize(kReadBytes);
  const ssize_t len = recv(fd_, input_.data(), input_.size(), 0);
  if (len > 0) {
    device_->on_bytes(MutableBytes(input_.data(), static_cast<size_t>(len)));
  } else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
    disconnect();
  }
}

void Client::write() {
  std::vector<uint8_t>& output = device_->output();
  while (written_ < output.size()) {
    const ssize_t len = ::send(fd_, output.data() + written_, output.size() - written_, MSG_NOSIGNAL);
    if (len < 0 && errno == EINTR) continue;
    if (len < 0) break;  // full, or broken: then reading says so
    written_ += static_cast<size_t>(len);
  }
  drop_written(output, written_);
}

}  // namespace perch::client
