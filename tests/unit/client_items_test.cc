// What client.h promises of edits, deletions, reactions, answers, timers and profiles.
#include "client/item.h"
#include "tests/unit/client_fixture.h"

namespace perch::client {
namespace {

class ClientItemsTest : public ClientTest {
 protected:
  struct Changes : Events {
    void on_changed(UserId peer) override { changed.push_back(peer); }
    std::vector<UserId> changed;
  };

  void SetUp() override {
    auto client =
        Client::open({.profile_path = folder_ + "/me", .server = server_.address(), .token = "t"}, told_);
    ASSERT_TRUE(client.ok());
    client_ = std::move(client).value();
    token_of_login(*client_);
    welcome(*client_);
  }
  // The next message that the server hears: "to: text", or "to: kind text"; it is accepted.
  std::string heard() {
    const auto is_message = [](const codec::FrameBytes& frame) {
      return codec::trusted(frame)->payload_type() == wire::Payload::Message;
    };
    turn(*client_, [&] {
      std::erase_if(server_.heard(), [&](const codec::FrameBytes& frame) { return !is_message(frame); });
      return !server_.heard().empty();
    });
    const codec::FrameBytes bytes = take(*client_, wire::Payload::Message);
    if (bytes.empty()) return "nothing";
    const wire::Frame* frame = codec::trusted(bytes);
    const auto* message = frame->payload_as_Message();
    server_.say(codec::outcome(frame->route()->origin(), frame->route()->seq(), 1024 * frame->route()->seq(),
                               1, wire::Tick::Accepted));
    const std::string to = std::to_string(frame->route()->to()) + ": ";
    const Bytes body(message->body()->data(), message->body()->size());
    if (message->content() == kContentText) return to + std::string(body.begin(), body.end());
    if (message->content() != kContentItem) return to + "(bytes)";
    const auto item = decode_item(body);
    if (!item.ok()) return to + "(unreadable)";
    const char* const kinds[] = {"text", "edit", "delete", "reaction", "timer", "profile"};
    std::string out = to + kinds[static_cast<size_t>(item->kind)] + " " + item->text + item->about;
    if (item->target.seq != 0) out += " of " + std::to_string(item->target.seq);
    if (item->timer_s != 0) out += " for " + std::to_string(item->timer_s);
    return out;
  }
  MessageId bob_says(Seq seq, Number number, uint8_t content, Bytes body) {
    const MessageId id = {kBob, 1, 0x77, seq};
    codec::RouteFields route{.to = kMe, .origin = id.origin, .seq = seq};
    codec::FrameBytes frame = codec::message(route, content, body);
    codec::stamp(frame, {.from = kBob, .device = 1, .number = number, .time_ms = 1});
    server_.say(frame);
    turn(*client_, [&] { return client_->message(id).ok() || content == kContentItem; });
    return id;
  }
  MessageId bob_says(Seq seq, Number number, std::string_view text) {
    return bob_says(seq, number, kContentText,
                    Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  }
  MessageId id_of(RowId row) {
    const auto status = client_->status(row);
    EXPECT_TRUE(status.ok());
    return {kMe, 1, status->origin, status->seq};
  }

  Changes told_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClientItemsTest, EachGoesToWhoeverTheMessageWasFor) {
  const MessageId mine = id_of(*client_->send("7", "hello"));
  const MessageId bobs = bob_says(1, 1500, "hi");
  EXPECT_EQ(heard(), "7: hello");
  ASSERT_TRUE(client_->edit(mine, "hello!").ok());
  EXPECT_EQ(heard(), "7: edit hello! of 1");
  ASSERT_TRUE(client_->react(bobs, "+").ok());
  EXPECT_EQ(heard(), "7: reaction + of 1");
  ASSERT_TRUE(client_->reply(bobs, "hi yourself").ok());
  EXPECT_EQ(heard(), "7: text hi yourself of 1");
  ASSERT_TRUE(client_->remove(mine).ok());
  EXPECT_EQ(heard(), "7: delete  of 1");
  const auto lines = *client_->history("7", 9);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].shown, Shown::kDeleted);
  EXPECT_EQ(lines[1].reactions.size(), 1u);
  EXPECT_EQ(lines[2].answers->text, "hi");
}

TEST_F(ClientItemsTest, WhatMeansNothingIsNotQueued) {
  const MessageId mine = id_of(*client_->send("7", "hello"));
  const MessageId bobs = bob_says(1, 5000, "hi");
  const MessageId nobodys = {kBob, 1, 0x77, 9};
  EXPECT_EQ(client_->edit(bobs, "x").error().code, Errc::kInvalid) << "of somebody else";
  EXPECT_EQ(client_->remove(bobs).error().code, Errc::kInvalid);
  EXPECT_EQ(client_->edit(mine, "").error().code, Errc::kInvalid);
  EXPECT_EQ(client_->edit(mine, "\xff").error().code, Errc::kInvalid);
  EXPECT_EQ(client_->edit(mine, std::string(kItemTextBytesMax + 1, 'x')).error(),
            (Error{Errc::kTooLarge, kItemTextBytesMax}));
  EXPECT_EQ(client_->react(bobs, std::string(65, 'x')).error(), (Error{Errc::kTooLarge, kEmojiBytesMax}));
  EXPECT_EQ(client_->react(nobodys, "+").error().code, Errc::kNotFound);
  EXPECT_EQ(client_->reply(nobodys, "x").error().code, Errc::kNotFound);
  EXPECT_EQ(client_->edit(RowId{99}, "x").error().code, Errc::kNotFound);
  EXPECT_EQ(client_->remove(RowId{99}).error().code, Errc::kNotFound);
  EXPECT_EQ(client_->set_timer("7", kTimerSecondsMax + 1).error().code, Errc::kTooLarge);
  ASSERT_TRUE(client_->remove(mine).ok());
  EXPECT_EQ(client_->edit(mine, "x").error().code, Errc::kNotFound);
  EXPECT_EQ(client_->react(mine, "x").error().code, Errc::kNotFound);
  EXPECT_EQ(client_->remove(mine).error().code, Errc::kNotFound);
  EXPECT_EQ(heard(), "7: hello");
  EXPECT_EQ(heard(), "7: delete  of 1");
}

TEST_F(ClientItemsTest, ARowThatWaitsForItsHandleIsChangedOrTakenBack) {
  const RowId first = *client_->send("carol", "one"), second = *client_->send("carol", "two");
  EXPECT_EQ(client_->edit(first, "uno").value(), first);
  EXPECT_EQ(client_->remove(second).value(), 0u);
  EXPECT_EQ(client_->status(second).error().code, Errc::kNotFound);
  const auto lines = *client_->history("carol", 9);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].text, "uno");
  EXPECT_FALSE(lines[0].edited) << "nobody has seen another";
  const RowId named = *client_->send("7", "three");
  ASSERT_TRUE(client_->edit(named, "four").ok());
  EXPECT_NE(client_->edit(named, "five").value(), named);
}

TEST_F(ClientItemsTest, TextsCarryTheTimerOfTheConversation) {
  EXPECT_EQ(client_->timer("7").value(), 0u);
  ASSERT_TRUE(client_->set_timer("7", 60).ok());
  EXPECT_EQ(client_->timer("7").value(), 60u);
  ASSERT_TRUE(client_->send("7", "for a minute").ok());
  ASSERT_TRUE(client_->send("8", "for good").ok());
  ASSERT_TRUE(client_->set_timer("7", 0).ok());
  ASSERT_TRUE(client_->send("7", "for good").ok());
  for (const char* expected :
       {"7: timer  for 60", "7: text for a minute for 60", "8: for good", "7: timer ", "7: for good"})
    EXPECT_EQ(heard(), expected);
}

TEST_F(ClientItemsTest, AProfileGoesToWhomOneWritesTo) {
  ASSERT_TRUE(client_->send("7", "hello").ok());
  EXPECT_EQ(client_->set_profile({.name = std::string(65, 'x'), .about = {}}).error(),
            (Error{Errc::kTooLarge, kNameBytesMax}));
  EXPECT_EQ(client_->profile("5")->name, "");
  const RowId last = *client_->set_profile({.name = "Ada", .about = " counts"});
  EXPECT_EQ(client_->status(last)->to, kBob);
  EXPECT_EQ(client_->profile("5")->name, "Ada");
  for (const char* expected : {"7: hello", "5: profile Ada counts", "7: profile Ada counts"})
    EXPECT_EQ(heard(), expected);
  ASSERT_TRUE(client_->send("7", "again").ok());
  ASSERT_TRUE(client_->send("8", "hello").ok());
  ASSERT_TRUE(client_->send("8", uint8_t{7}, {}).ok());
  ASSERT_TRUE(client_->send("5", "to myself").ok());
  for (const char* expected : {"7: again", "8: profile Ada counts", "8: hello", "8: (bytes)", "5: to myself"})
    EXPECT_EQ(heard(), expected);
  EXPECT_EQ(client_->profile("7")->name, "");
  bob_says(1, 9'000'000, kContentItem, *encode_item({.kind = ItemKind::kProfile, .text = "Bob"}));
  turn(*client_, [&] { return client_->profile("7")->name == "Bob"; });
}

TEST_F(ClientItemsTest, ChangesAreToldFromTheLoop) {
  const MessageId bobs = bob_says(1, 5000, "hi");
  ASSERT_TRUE(client_->react(bobs, "+").ok());
  EXPECT_TRUE(told_.changed.empty());
  client_->poll(0);
  EXPECT_EQ(told_.changed, std::vector<UserId>{kBob});
  EXPECT_EQ(heard(), "7: reaction + of 1");
  turn(*client_, [&] { return told_.changed.size() == 2; });  // it has its place in the order
  bob_says(2, 6000, kContentItem, *encode_item({.kind = ItemKind::kDelete, .target = bobs}));
  turn(*client_, [&] { return told_.changed.size() == 3; });
  EXPECT_EQ(client_->message(bobs)->line.shown, Shown::kDeleted);
}

TEST(ClientProfileTest, NeedsALogin) {
  TempFolder folder;
  Events events;
  auto client = Client::open({.profile_path = folder.path() + "/me", .connect = false}, events);
  ASSERT_TRUE(client.ok());
  EXPECT_EQ((*client)->set_profile({.name = "Ada", .about = {}}).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace perch::client
