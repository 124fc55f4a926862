#include "net/connection_table.h"

#include <gtest/gtest.h>

#include "net/operation.h"

namespace perch::net {
namespace {

Connection& taken(ConnectionTable& table) {
  Connection* connection = table.take();
  EXPECT_NE(connection, nullptr);
  connection->state = ConnectionState::kOpen;
  return *connection;
}

void give_back(ConnectionTable& table, Connection& connection) {
  connection.state = ConnectionState::kClosed;
  table.give_back(connection);
}

TEST(ConnectionTable, TakesUntilFullAndReusesTheLastGivenBack) {
  ConnectionTable table(3);
  Connection& a = taken(table);
  Connection& b = taken(table);
  Connection& c = taken(table);
  EXPECT_TRUE(table.full());
  EXPECT_EQ(table.take(), nullptr);
  EXPECT_EQ(table.num_touched(), 3u);
  give_back(table, a);
  give_back(table, c);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(&taken(table), &c);
  EXPECT_EQ(&taken(table), &a);
  EXPECT_TRUE(table.full());
  EXPECT_EQ(&table.at(b.index), &b);
}

TEST(ConnectionTable, APageIsTouchedWhenItsFirstConnectionIs) {
  ConnectionTable table(UINT32_MAX / 2);  // 200 GB of address space
  EXPECT_EQ(table.num_touched(), 0u);
  EXPECT_EQ(table.find({0, 0}), nullptr);
  const Connection& first = taken(table);
  EXPECT_EQ(table.num_touched(), 1u);
  EXPECT_EQ(table.find(first.id()), &first);
  EXPECT_EQ(table.find({1, 0}), nullptr);
  EXPECT_EQ(table.find(ConnId{}), nullptr);
}

TEST(ConnectionTable, AReusedSlotIsAsNew) {
  ConnectionTable table(1);
  Connection& used = taken(table);
  const ConnId old = used.id();
  used.logged_in = used.awaits_room = used.moved = used.surplus = true;
  used.send_listed = true;
  used.socket = 7;
  used.heard_ms = used.frame_ms = used.progress_ms = 9;
  used.move_cookie = 11;
  give_back(table, used);
  EXPECT_EQ(table.find(old), nullptr);
  const Connection& again = taken(table);
  EXPECT_EQ(&again, &used);
  EXPECT_EQ(again.index, old.index);
  EXPECT_EQ(again.generation, old.generation + 1);
  EXPECT_TRUE(again.send_listed) << "still on the list of the turn";
  EXPECT_FALSE(again.logged_in || again.awaits_room || again.moved || again.surplus);
  EXPECT_EQ(again.socket, kNoSocket);
  EXPECT_EQ(again.heard_ms + again.frame_ms + again.progress_ms + again.move_cookie, 0u);
}

TEST(ConnectionTable, ARetiredIdIsStaleWhileTheSlotStaysTaken) {
  ConnectionTable table(2);
  Connection& connection = taken(table);
  const ConnId old = connection.id();
  table.retire(connection);
  EXPECT_EQ(table.find(old), nullptr);
  EXPECT_EQ(table.find(connection.id()), &connection);
  EXPECT_EQ(table.size(), 1u);
  connection.moved = true;
  EXPECT_EQ(table.find(connection.id()), nullptr) << "it lives elsewhere";
}

TEST(ConnectionTableDeathTest, OnlyAClosedConnectionIsGivenBack) {
  ConnectionTable table(1);
  Connection& connection = taken(table);
  EXPECT_DEATH(table.give_back(connection), "must be true");
  connection.state = ConnectionState::kClosed;
  connection.read = ReadOperation::kPoll;
  EXPECT_DEATH(table.give_back(connection), "must be true");
  EXPECT_DEATH(table.at(1), "must be true");
}

TEST(ConnectionTable, GenerationsWrap) {
  ConnectionTable table(1);
  Connection* c = table.take();
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(table.take(), nullptr);
  c->generation = kGenerationMask;
  const ConnId last = c->id();
  c->state = ConnectionState::kClosed;
  table.give_back(*c);
  EXPECT_EQ(table.find(last), nullptr);
  c = table.take();
  c->state = ConnectionState::kOpen;
  EXPECT_EQ(c->id(), (ConnId{0, 0}));
  EXPECT_EQ(table.find(last), nullptr);
  EXPECT_EQ(table.find(c->id()), c);
}

}  // namespace
}  // namespace perch::net
