// ConnectionTable: all connections of one core, at addresses that never change.
//
// Address space for `connections_max` is reserved at once; a page is touched when its first connection is.
// The last slot given back is the first reused: its cache lines are warm.
// ON: one core.
#pragma once
#include <cstddef>
#include <cstdint>

#include "net/connection.h"

namespace perch::net {

class ConnectionTable {
 public:
  explicit ConnectionTable(uint32_t connections_max);  // REQUIRES: > 0
  ~ConnectionTable();                                  // REQUIRES: no timer of a connection is armed
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  // Null: full. The connection is as new, except that index, generation and send_listed stay.
  Connection* take();
  // Its ConnId is stale from here on. REQUIRES: kClosed, no timer armed, nothing in flight or queued.
  void give_back(Connection& connection);
  // Makes the ConnId stale while the slot stays taken.
  void retire(Connection& connection);
  Connection* find(ConnId id);             // null: stale
  Connection& at(uint32_t index);          // REQUIRES: was taken once
  uint32_t size() const { return size_; }  // connections that are taken
  bool full() const { return size_ == connections_max_; }
  // Connections that were ever taken: at(0) … at(num_touched() - 1).
  uint32_t num_touched() const { return num_touched_; }

 private:
  Connection* slots_ = nullptr;
  uint32_t connections_max_;
  uint32_t num_touched_ = 0;
  uint32_t size_ = 0;
  uint32_t first_free_ = UINT32_MAX;
};

}  // namespace perch::net
