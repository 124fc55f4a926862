#include <gtest/gtest.h>

#include <set>

#include "client/terminal/text.h"
#include "codec/frame.h"

namespace perch::client {
namespace {

TEST(Text, WhatAPeerWroteCannotDriveTheTerminal) {
  EXPECT_EQ(printable("plain, Grüße, 日本, 🙂\ttab"), "plain, Grüße, 日本, 🙂\ttab");
  EXPECT_EQ(printable("two\nlines"), "two lines");
  EXPECT_EQ(printable("a\u202egpj.exe\u061c\u2066b\u2069\u200f"), "agpj.exeb") << "turns the direction";
  EXPECT_EQ(printable("\x1b[2J\a\r\x7f"), "�[2J���");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "�31m")
      << "CSI as one character";
}

TEST(Text, BrokenUtf8IsReplacedByteByByte) {
  EXPECT_EQ(printable("a\xff\xfe"
                      "b"),
            "a��b");
  EXPECT_EQ(printable("cut \xf0\x9f\x99"), "cut ���");
  EXPECT_EQ(printable("\xc0\xaf"), "��") << "overlong";
  EXPECT_EQ(printable("\xe0\x80\xaf"), "���") << "overlong";
  EXPECT_EQ(printable("\xf0\x80\x80\xaf"), "����") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "���") << "a surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "����") << "above U+10FFFF";
  EXPECT_EQ(printable("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");
}

TEST(Text, OfWhatIsNoTextItIsSaidWhatItIs) {
  const std::vector<uint8_t> body = {'h', 'i', 0x1b};
  EXPECT_EQ(shown(0, body), "hi�");
  EXPECT_EQ(shown(2, body), "[content 2, 3 bytes]");
  EXPECT_EQ(shown(255, {}), "[content 255, 0 bytes]");
  EXPECT_NE(unreadable_text({7, 1, 2, 3}).find("user 7"), std::string::npos);
  EXPECT_EQ(unreadable_text({}).find("user"), std::string::npos);
}

TEST(Text, JsonStringsAreWhole) {
  EXPECT_EQ(json_text("plain 🙂"), "\"plain 🙂\"");
  EXPECT_EQ(json_text("a\"b\\c\nd\x01\x7f"), "\"a\\u0022b\\u005cc\\u000ad\\u0001\\u007f\"");
  EXPECT_EQ(json_text("\u009b2J \u202ex\u061c\u2069"), "\"\\u009b2J \\u202ex\\u061c\\u2069\"")
      << "read on a terminal";
  EXPECT_EQ(json_text("\xff"), "\"\\ufffd\"");
  EXPECT_EQ(json_text(""), "\"\"");
}

TEST(Text, EveryMarkAndReasonHasItsWord) {
  std::set<std::string> marks;
  for (const Mark mark :
       {Mark::kQueued, Mark::kAccepted, Mark::kDelivered, Mark::kRead, Mark::kRejected, Mark::kExpired}) {
    EXPECT_TRUE(marks.insert(mark_text(mark)).second);
  }
  EXPECT_EQ(marks.count("?"), 0u);
  std::set<std::string> reasons;
  for (const wire::RejectReason reason : wire::EnumValuesRejectReason()) {
    const std::string text = reason_text(static_cast<uint8_t>(reason));
    EXPECT_TRUE(reasons.insert(text).second);
    EXPECT_NE(text.substr(0, 6), "reason") << "a number where words belong";
  }
  EXPECT_EQ(reason_text(200), "reason 200") << "of a newer server";
}

TEST(Text, StatesForPrograms) {
  HistoryLine line;
  EXPECT_STREQ(state_text(line), "received");
  line.mine = true;
  EXPECT_STREQ(state_text(line), "accepted") << "a copy of what another device sent";
  line.own_device = true;
  EXPECT_STREQ(state_text(line), "queued");
  line.mark = Mark::kRead;
  EXPECT_STREQ(state_text(line), "read");
}

TEST(Text, ALoginSaysWhatTheUserMustKnow) {
  LoginInfo info;
  info.user = 7;
  info.device = 2;
  EXPECT_EQ(login_text(info), "online as user 7, device 2");
  info.handle = "bob";
  info.overflowed = info.continuity_broken = info.new_incarnation = true;
  info.num_reopened = 3;
  const std::string text = login_text(info);
  for (const char* part : {"(bob)", "were dropped", "may miss messages", "restored, 3 messages"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace perch::client
