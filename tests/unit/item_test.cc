#include "client/item.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "core/random.h"

namespace perch::client {
namespace {

const MessageId kTarget = {7, 2, 0x8000000000000001, 5};

const std::vector<Item> kItems = {
    {.text = "hello"},
    {.text = "caf\xc3\xa9\n\t\xf0\x9f\x91\x8d", .target = kTarget, .timer_s = 60},
    {.text = std::string(kItemTextBytesMax, 'x'), .target = kTarget, .timer_s = kTimerSecondsMax},
    {.kind = ItemKind::kEdit, .text = "better", .target = kTarget},
    {.kind = ItemKind::kDelete, .target = kTarget},
    {.kind = ItemKind::kReaction, .text = "\xf0\x9f\x91\x8d", .target = kTarget},
    {.kind = ItemKind::kReaction, .target = kTarget},
    {.kind = ItemKind::kTimer, .timer_s = 3600},
    {.kind = ItemKind::kTimer},
    {.kind = ItemKind::kProfile, .text = "Ada", .about = "counts"},
    {.kind = ItemKind::kProfile},
};

std::vector<uint8_t> encoded(const Item& item) {
  auto out = encode_item(item);
  EXPECT_TRUE(out.ok());
  return out.ok() ? std::move(out).value() : std::vector<uint8_t>();
}

TEST(ItemTest, ComesBackAsItWas) {
  for (const Item& item : kItems) {
    const auto back = decode_item(encoded(item));
    ASSERT_TRUE(back.ok()) << static_cast<int>(item.kind);
    EXPECT_EQ(*back, item) << static_cast<int>(item.kind);
  }
}

// What a client in another language has to compare with.
TEST(ItemTest, TheBytesThatTheProtocolShowsAreThoseItNames) {
  std::ifstream file(PERCH_SOURCE_DIR "/PROTOCOL.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t section = text.find("## 10. What a message contains");
  ASSERT_NE(section, std::string::npos);
  const size_t begin = text.find("```", section) + 3, end = text.find("```", begin);
  std::istringstream hex(text.substr(begin, end - begin));
  std::vector<uint8_t> body;
  for (unsigned byte; hex >> std::hex >> byte;) body.push_back(static_cast<uint8_t>(byte));
  const Item shown = {
      .kind = ItemKind::kReaction, .text = "\xf0\x9f\x91\x8d", .target = {1, 1, 0xa1b2c3d4e5f60718, 2}};
  EXPECT_EQ(decode_item(body).value(), shown);
}

TEST(ItemTest, TheLargestTextFitsTheUsualLimitOfAMessage) {
  EXPECT_LE(encoded(kItems[2]).size(), 64u * 1024);
}

TEST(ItemTest, IsReadFromAnyAddress) {
  const std::vector<uint8_t> body = encoded(kItems[1]);
  for (size_t shift = 0; shift < 8; ++shift) {
    std::vector<uint8_t> room(shift, 0);
    room.insert(room.end(), body.begin(), body.end());
    const auto back = decode_item(Bytes(room).subspan(shift));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, kItems[1]);
  }
}

TEST(ItemTest, AnAnswerToNoMessageIsUnreadable) {
  std::vector<uint8_t> body = encoded(kItems[1]);
  // Its fields, wherever the struct has them: nothing else in this body is the like of them.
  for (const uint64_t field : {kTarget.user, kTarget.origin, kTarget.seq, uint64_t{kTarget.device}}) {
    uint8_t bytes[8];
    std::memcpy(bytes, &field, sizeof(bytes));
    const auto at = std::search(body.begin(), body.end(), bytes, bytes + sizeof(bytes));
    ASSERT_NE(at, body.end());
    std::fill_n(at, sizeof(bytes), uint8_t{0});
  }
  EXPECT_FALSE(decode_item(body).ok());
}

struct Refused {
  const char* why;
  Item item;
  Errc code = Errc::kInvalid;
};

TEST(ItemTest, RefusesToSendWhatOthersCouldNotRead) {
  const Refused cases[] = {
      {"no text", {}},
      {"a text over its limit", {.text = std::string(kItemTextBytesMax + 1, 'x')}, Errc::kTooLarge},
      {"no UTF-8", {.text = "\xff"}},
      {"a zero byte", {.text = std::string("a\0b", 3)}},
      {"half a target", {.text = "a", .target = {7, 0, 1, 5}}},
      {"a timer over its limit", {.text = "a", .timer_s = kTimerSecondsMax + 1}, Errc::kTooLarge},
      {"an edit of nothing", {.kind = ItemKind::kEdit, .text = "a"}},
      {"an edit into nothing", {.kind = ItemKind::kEdit, .target = kTarget}},
      {"a deletion of nothing", {.kind = ItemKind::kDelete}},
      {"a target of nobody", {.kind = ItemKind::kDelete, .target = {0, 2, 1, 5}}},
      {"a target of a user that cannot be", {.kind = ItemKind::kDelete, .target = {~0ull, 2, 1, 5}}},
      {"a target without an origin", {.kind = ItemKind::kDelete, .target = {7, 2, 0, 5}}},
      {"a target without a seq", {.kind = ItemKind::kDelete, .target = {7, 2, 1, 0}}},
      {"a target whose seq cannot be", {.kind = ItemKind::kDelete, .target = {7, 2, 1, ~0ull}}},
      {"a reaction to nothing", {.kind = ItemKind::kReaction, .text = "a"}},
      {"a reaction that is a text",
       {.kind = ItemKind::kReaction, .text = std::string(kEmojiBytesMax + 1, 'x'), .target = kTarget},
       Errc::kTooLarge},
      {"a long name",
       {.kind = ItemKind::kProfile, .text = std::string(kNameBytesMax + 1, 'x')},
       Errc::kTooLarge},
      {"a long about text",
       {.kind = ItemKind::kProfile, .about = std::string(kAboutBytesMax + 1, 'x')},
       Errc::kTooLarge},
      {"an about text of no UTF-8", {.kind = ItemKind::kProfile, .about = "\xc3"}},
      {"a kind that nobody knows", {.kind = ItemKind::kUnknown, .text = "a"}},
      {"a silent one", {.kind = ItemKind::kSilent, .text = "a"}},
  };
  for (const Refused& each : cases) {
    const auto out = encode_item(each.item);
    ASSERT_FALSE(out.ok()) << each.why;
    EXPECT_EQ(out.error().code, each.code) << each.why;
  }
}

TEST(ItemTest, RefusesBytesThatAreNoItem) {
  EXPECT_FALSE(decode_item({}).ok());
  const std::string text = "just a text";
  EXPECT_FALSE(decode_item(Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size())).ok());
  const std::vector<uint8_t> body = encoded(kItems[1]);
  for (size_t len = 0; len < body.size(); ++len)
    EXPECT_FALSE(decode_item(Bytes(body).first(len)).ok()) << len;
  std::vector<uint8_t> other = body;
  other[4] = 'X';  // of the identifier
  EXPECT_FALSE(decode_item(other).ok());
}

// The place of the only byte that may be changed from `from` to `to` so that decode_item() says so.
template <typename Says>
std::vector<uint8_t> changed(std::vector<uint8_t> body, uint8_t from, uint8_t to, Says says) {
  for (uint8_t& byte : body) {
    if (byte != from) continue;
    byte = to;
    if (says(decode_item(body))) return body;
    byte = from;
  }
  return {};
}

TEST(ItemTest, AKindOfANewerVersionIsNotUnreadable) {
  const std::vector<uint8_t> timer = encoded({.kind = ItemKind::kTimer, .timer_s = 77});
  const auto newer = changed(
      timer, 5, 200, [](const Result<Item>& item) { return item.ok() && item->kind == ItemKind::kUnknown; });
  ASSERT_FALSE(newer.empty());
  EXPECT_EQ(decode_item(newer).value(), Item{.kind = ItemKind::kUnknown});
  // A union without a type is not one.
  EXPECT_FALSE(changed(timer, 5, 0, [](const Result<Item>& item) { return !item.ok(); }).empty());
}

TEST(ItemTest, WhatIsReadIsCheckedAsWhatIsSent) {
  const std::vector<uint8_t> body = encoded({.text = "abcdefgh"});
  const auto broken = changed(body, 'e', 0xff, [](const Result<Item>& item) { return !item.ok(); });
  EXPECT_FALSE(broken.empty());
  EXPECT_FALSE(changed(body, 'e', 0, [](const Result<Item>& item) { return !item.ok(); }).empty());
}

// Any bytes: no crash (the sanitizers look on), and what is taken can be sent again and is the same.
TEST(ItemTest, MutatedBytesAreReadOrRefused) {
  const std::unique_ptr<Random> random = seeded_random(3);
  size_t num_taken = 0, num_refused = 0;
  for (int i = 0; i < 200'000; ++i) {
    const Item& seed = kItems[random->below(kItems.size())];
    if (seed.text.size() > 1000) continue;
    std::vector<uint8_t> body = encoded(seed);
    const uint64_t num_changes = 1 + random->below(4);
    for (uint64_t change = 0; change < num_changes; ++change) {
      uint8_t& byte = body[random->below(body.size())];
      byte = static_cast<uint8_t>(random->below(2) != 0 ? random->below(32) : random->next());
    }
    if (random->below(8) == 0) body.resize(random->below(body.size()));
    const auto item = decode_item(body);
    ++(item.ok() ? num_taken : num_refused);
    if (!item.ok() || item->kind == ItemKind::kUnknown || item->kind == ItemKind::kSilent) continue;
    ASSERT_EQ(decode_item(encoded(*item)).value(), *item);
  }
  EXPECT_GT(num_taken, 1000u);
  EXPECT_GT(num_refused, 1000u);
}

}  // namespace
}  // namespace perch::client
