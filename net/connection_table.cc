#include "net/connection_table.h"

#include <sys/mman.h>

#include <new>

#include "core/check.h"
#include "net/operation.h"

namespace perch::net {

ConnectionTable::ConnectionTable(uint32_t connections_max) : connections_max_(connections_max) {
  PERCH_CHECK(connections_max > 0);
  void* memory = mmap(nullptr, size_t{connections_max} * sizeof(Connection), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  PERCH_CHECK(memory != MAP_FAILED);
  slots_ = static_cast<Connection*>(memory);
}

ConnectionTable::~ConnectionTable() {
  for (uint32_t i = 0; i < num_touched_; ++i) slots_[i].~Connection();
  munmap(slots_, size_t{connections_max_} * sizeof(Connection));
}

Connection* ConnectionTable::take() {
  if (full()) return nullptr;
  Connection* connection;
  if (first_free_ != UINT32_MAX) {
    connection = &slots_[first_free_];
    first_free_ = connection->next_free;
    const uint32_t index = connection->index;
    const uint32_t generation = connection->generation;
    const bool send_listed = connection->send_listed;
    connection->~Connection();
    new (connection) Connection;
    connection->index = index;
    connection->generation = generation;
    connection->send_listed = send_listed;
  } else {
    connection = new (&slots_[num_touched_]) Connection;
    connection->index = num_touched_++;
  }
  ++size_;
  return connection;
}

void ConnectionTable::give_back(Connection& connection) {
  PERCH_CHECK(connection.state == ConnectionState::kClosed && !connection.armed());
  PERCH_CHECK(!connection.in_flight() && connection.queue.empty());
  retire(connection);
  connection.framer = codec::Framer();  // an unfinished frame's memory goes now, not at reuse
  connection.state = ConnectionState::kFree;
  connection.next_free = first_free_;
  first_free_ = connection.index;
  --size_;
}

void ConnectionTable::retire(Connection& connection) {
  connection.generation = (connection.generation + 1) & kGenerationMask;
}

Connection* ConnectionTable::find(ConnId id) {
  if (id.index >= num_touched_) return nullptr;
  Connection& connection = slots_[id.index];
  if (connection.generation != id.generation || connection.state == ConnectionState::kFree) return nullptr;
  if (connection.moved) return nullptr;
  return &connection;
}

Connection& ConnectionTable::at(uint32_t index) {
  PERCH_CHECK(index < num_touched_);
  return slots_[index];
}

}  // namespace perch::net
