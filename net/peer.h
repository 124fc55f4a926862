// An address as text, for people: "127.0.0.1:1234", "[::1]:1234".
#pragma once
#include <string>

#include "core/ring.h"

namespace perch::net {

std::string text_of(const PeerAddress& peer);  // empty: of no family that perchd listens on

}  // namespace perch::net
