#include "client/terminal/screen/key.h"

#include <gtest/gtest.h>

namespace perch::client::screen {
namespace {

using Kind = Key::Kind;
using Keys = std::vector<Key>;

Keys keys_of(std::string_view bytes) { return KeyDecoder().feed(bytes); }

TEST(Key, TextComesByCodePoints) {
  EXPECT_EQ(keys_of("aü漢"), (Keys{{Kind::kText, "a"}, {Kind::kText, "ü"}, {Kind::kText, "漢"}}));
}

TEST(Key, NamesOfKeys) {
  const std::pair<const char*, Kind> examples[] = {
      {"\r", Kind::kEnter},
      {"\n", Kind::kEnter},
      {"\t", Kind::kTab},
      {"\x1b[Z", Kind::kBackTab},
      {"\x7f", Kind::kBackspace},
      {"\b", Kind::kBackspace},
      {"\x1b\x7f", Kind::kWordBackspace},
      {"\x1b\r", Kind::kAltEnter},
      {"\x1b[A", Kind::kUp},
      {"\x1bOA", Kind::kUp},
      {"\x1b[B", Kind::kDown},
      {"\x1b[C", Kind::kRight},
      {"\x1bOD", Kind::kLeft},
      {"\x1b[1;5C", Kind::kWordRight},
      {"\x1b[1;3D", Kind::kWordLeft},
      {"\x1b"
       "b",
       Kind::kWordLeft},
      {"\x1b"
       "f",
       Kind::kWordRight},
      {"\x1b[H", Kind::kHome},
      {"\x1bOF", Kind::kEnd},
      {"\x1b[1~", Kind::kHome},
      {"\x1b[8~", Kind::kEnd},
      {"\x1b[3~", Kind::kDelete},
      {"\x1b[5~", Kind::kPageUp},
      {"\x1b[6~", Kind::kPageDown},
      {"\x1bOP", Kind::kF1},
      {"\x1b[11~", Kind::kF1},
      {"\x1b[[A", Kind::kF1},
      {"\x1bOQ", Kind::kF2},
      {"\x1b[12~", Kind::kF2},
  };
  for (const auto& [bytes, kind] : examples) EXPECT_EQ(keys_of(bytes), (Keys{{kind, ""}})) << bytes + 1;
  EXPECT_EQ(keys_of("\x03\x17"), (Keys{{Kind::kCtrl, "c"}, {Kind::kCtrl, "w"}}));
  EXPECT_EQ(keys_of("\x1b"
                    "3"),
            (Keys{{Kind::kAlt, "3"}}));
}

TEST(Key, WhatComesInPiecesIsPutTogether) {
  const std::string_view bytes = "漢\x1b[1;5C\x1bOPz";
  const Keys whole = keys_of(bytes);
  KeyDecoder decoder;
  Keys pieces;
  for (const char byte : bytes) {
    for (Key& key : decoder.feed(std::string_view(&byte, 1))) pieces.push_back(std::move(key));
  }
  EXPECT_EQ(pieces, whole);
  EXPECT_FALSE(decoder.pending());
}

TEST(Key, EscapeAloneIsKnownWhenNothingFollows) {
  KeyDecoder decoder;
  EXPECT_EQ(decoder.feed("\x1b"), Keys());
  EXPECT_TRUE(decoder.pending());
  EXPECT_EQ(decoder.end(), (Keys{{Kind::kEscape, ""}}));
  EXPECT_FALSE(decoder.pending());
  EXPECT_EQ(decoder.end(), Keys());
  EXPECT_EQ(decoder.feed("\x1b\x03"), (Keys{{Kind::kEscape, ""}, {Kind::kCtrl, "c"}})) << "typed fast";
  EXPECT_EQ(decoder.feed("\x1b\x1bOP"), (Keys{{Kind::kEscape, ""}, {Kind::kF1, ""}}));
  EXPECT_EQ(decoder.feed("\x1b["), Keys());
  EXPECT_EQ(decoder.end(), (Keys{{Kind::kEscape, ""}, {Kind::kText, "["}}));
}

TEST(Key, UnknownSequencesSayNothing) {
  EXPECT_EQ(keys_of("\x1b[99~\x1b[?1;2c\x1b[38;5;1mz"), (Keys{{Kind::kText, "z"}}));
  KeyDecoder decoder;
  decoder.feed("\x1b[");
  for (int i = 0; i < 100; ++i) decoder.feed("1");
  EXPECT_FALSE(decoder.pending()) << "one without an end is none";
}

TEST(Key, APasteIsOneText) {
  EXPECT_EQ(keys_of("\x1b[200~two\nlines \x1b[A\x1b[201~\r"),
            (Keys{{Kind::kPaste, "two\nlines \x1b[A"}, {Kind::kEnter, ""}}));
  KeyDecoder decoder;
  EXPECT_EQ(decoder.feed("\x1b[200~ab\x1b[20"), Keys());
  EXPECT_FALSE(decoder.pending()) << "no Escape key";
  EXPECT_EQ(decoder.feed("1~c"), (Keys{{Kind::kPaste, "ab"}, {Kind::kText, "c"}}));
}

TEST(Key, APasteHasAnEnd) {
  KeyDecoder decoder;
  decoder.feed("\x1b[200~");
  const std::string block(1 << 18, 'x');
  for (int i = 0; i < 6; ++i) EXPECT_EQ(decoder.feed(block), Keys());
  const Keys keys = decoder.feed("\x1b[201~");
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].text.size(), KeyDecoder::kPasteBytesMax);
}

}  // namespace
}  // namespace perch::client::screen
