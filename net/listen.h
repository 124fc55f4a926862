// Opens listening sockets. Knows addresses, not connections.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace perch::net {

// `address_port`: "192.0.2.1:5222" or "[2001:db8::1]:5222"; port 0: any free one. `reuse_port`: several
// sockets on one address share its connections, one socket per core. OWNER: the caller closes the descriptor.
// It listens, blocking (io_uring waits in accept then), with TCP_NODELAY, keepalive and a user timeout that
// accepted sockets inherit; an IPv6 one takes IPv6 alone.
// ERRORS: kInvalid: not such an address; kSystem (detail: errno).
Result<int> open_listener(std::string_view address_port, bool reuse_port);

// Makes of a listening TCP socket that somebody else has opened what open_listener() gives, and says its
// address. Its accepting is of all who have it, as dup(2) gives it.
// ERRORS: kInvalid: it is not that; kSystem (detail: errno).
Result<std::string> adopt_listener(int fd);

// Is it such an address, whether or not it can be bound?
bool is_address(std::string_view address_port);

// The port a socket is bound to. ERRORS: kSystem (detail: errno).
Result<uint16_t> local_port(int fd);

}  // namespace perch::net
