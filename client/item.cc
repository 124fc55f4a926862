// Items as FlatBuffers. What the verifier leaves open (UTF-8, limits, ids that name nobody) is checked by one
// function for both directions, so that nobody sends what others call unreadable.
#include "client/item.h"

#include <string_view>

#include "client/utf8.h"
#include "content_generated.h"

namespace perch::client {
namespace {

constexpr uint32_t kDepthMax = 4;
constexpr uint32_t kTablesMax = 16;  // there are two; a newer kind may have more

constexpr uint64_t kWordMax = uint64_t{1} << 63;  // ids and seqs are below

struct Words {
  std::string_view text;
  size_t bytes_min, bytes_max;
};

Result<void> check(const Words& words) {
  if (words.text.size() > words.bytes_max)
    return Error{Errc::kTooLarge, static_cast<int64_t>(words.bytes_max)};
  if (words.text.size() < words.bytes_min) return Error{Errc::kInvalid};
  if (!is_utf8(words.text) || words.text.find('\0') != std::string_view::npos) return Error{Errc::kInvalid};
  return {};
}

bool names_a_message(const MessageId& id) {
  return id.user != 0 && id.user < kWordMax && id.device != 0 && id.origin != 0 && id.seq != 0 &&
         id.seq < kWordMax;
}

Result<void> check_item(const Item& item) {
  if (item.timer_s > kTimerSecondsMax) return Error{Errc::kTooLarge, kTimerSecondsMax};
  if (auto about = check({item.about, 0, kAboutBytesMax}); !about.ok()) return about;
  switch (item.kind) {
    case ItemKind::kText:
      if (item.target != MessageId() && !names_a_message(item.target)) return Error{Errc::kInvalid};
      return check({item.text, 1, kItemTextBytesMax});
    case ItemKind::kEdit:
      if (!names_a_message(item.target)) return Error{Errc::kInvalid};
      return check({item.text, 1, kItemTextBytesMax});
    case ItemKind::kDelete:
      if (!names_a_message(item.target)) return Error{Errc::kInvalid};
      return {};
    case ItemKind::kReaction:
      if (!names_a_message(item.target)) return Error{Errc::kInvalid};
      return check({item.text, 0, kEmojiBytesMax});
    case ItemKind::kTimer:
      return {};
    case ItemKind::kProfile:
      return check({item.text, 0, kNameBytesMax});
    case ItemKind::kUnknown:
    case ItemKind::kSilent:
      break;
  }
  return Error{Errc::kInvalid};
}

std::string text_of(const flatbuffers::String* text) { return text == nullptr ? std::string() : text->str(); }

MessageId id_of(const content::Target* target) {
  if (target == nullptr) return {};
  return {target->user(), target->device(), target->origin(), target->seq()};
}

Item read(const content::Item& root) {
  Item out;
  switch (root.kind_type()) {
    case content::Kind::Text: {
      const auto& text = *root.kind_as_Text();
      out.text = text_of(text.text());
      out.target = id_of(text.reply_to());
      out.timer_s = text.timer_s();
      return out;
    }
    case content::Kind::Edit:
      out.kind = ItemKind::kEdit;
      out.text = text_of(root.kind_as_Edit()->text());
      out.target = id_of(root.kind_as_Edit()->target());
      return out;
    case content::Kind::Delete:
      out.kind = ItemKind::kDelete;
      out.target = id_of(root.kind_as_Delete()->target());
      return out;
    case content::Kind::Reaction:
      out.kind = ItemKind::kReaction;
      out.text = text_of(root.kind_as_Reaction()->emoji());
      out.target = id_of(root.kind_as_Reaction()->target());
      return out;
    case content::Kind::Timer:
      out.kind = ItemKind::kTimer;
      out.timer_s = root.kind_as_Timer()->timer_s();
      return out;
    case content::Kind::Profile:
      out.kind = ItemKind::kProfile;
      out.text = text_of(root.kind_as_Profile()->name());
      out.about = text_of(root.kind_as_Profile()->about());
      return out;
    case content::Kind::NONE:
      break;
  }
  out.kind = root.silent() ? ItemKind::kSilent : ItemKind::kUnknown;
  return out;
}

}  // namespace

Result<std::vector<uint8_t>> encode_item(const Item& item) {
  if (auto checked = check_item(item); !checked.ok()) return checked.error();
  flatbuffers::FlatBufferBuilder builder(item.text.size() + item.about.size() + 128);
  const content::Target target(item.target.user, item.target.origin, item.target.seq, item.target.device);
  content::Kind kind = content::Kind::NONE;
  flatbuffers::Offset<void> table;
  switch (item.kind) {
    case ItemKind::kText: {
      const auto* reply_to = item.target.seq == 0 ? nullptr : &target;
      kind = content::Kind::Text;
      table = content::CreateText(builder, builder.CreateString(item.text), reply_to, item.timer_s).Union();
      break;
    }
    case ItemKind::kEdit:
      kind = content::Kind::Edit;
      table = content::CreateEdit(builder, &target, builder.CreateString(item.text)).Union();
      break;
    case ItemKind::kDelete:
      kind = content::Kind::Delete;
      table = content::CreateDelete(builder, &target).Union();
      break;
    case ItemKind::kReaction:
      kind = content::Kind::Reaction;
      table = content::CreateReaction(builder, &target, builder.CreateString(item.text)).Union();
      break;
    case ItemKind::kTimer:
      kind = content::Kind::Timer;
      table = content::CreateTimer(builder, item.timer_s).Union();
      break;
    case ItemKind::kProfile: {
      const auto name = builder.CreateString(item.text);
      kind = content::Kind::Profile;
      table = content::CreateProfile(builder, name, builder.CreateString(item.about)).Union();
      break;
    }
    case ItemKind::kUnknown:
    case ItemKind::kSilent:
      return Error{Errc::kInvalid};  // check_item() has said so
  }
  content::FinishItemBuffer(builder, content::CreateItem(builder, kind, table));
  return std::vector<uint8_t>(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
}

Result<Item> decode_item(Bytes body) {
  // A copy: fields of 8 bytes are read in place, and the body lies anywhere in its frame.
  const std::vector<uint8_t> aligned(body.begin(), body.end());
  flatbuffers::Verifier verifier(aligned.data(), aligned.size(), kDepthMax, kTablesMax);
  if (!content::VerifyItemBuffer(verifier)) return Error{Errc::kInvalid};
  const content::Item& root = *content::GetItem(aligned.data());
  if (root.kind_type() == content::Kind::NONE) return Error{Errc::kInvalid};
  const content::Text* text = root.kind_as_Text();
  if (text != nullptr && text->reply_to() != nullptr && !names_a_message(id_of(text->reply_to())))
    return Error{Errc::kInvalid};  // all of it zero is not the same as none
  Item item = read(root);
  if (item.kind == ItemKind::kUnknown || item.kind == ItemKind::kSilent) return item;
  if (!check_item(item).ok()) return Error{Errc::kInvalid};
  return item;
}

}  // namespace perch::client
