// export: everything that a running server holds of a user, as JSON lines.
//
// It is read out of a backup that is made for it, so the server knows nothing of exports, and what is printed
// is of one moment.
#include <algorithm>
#include <utility>
#include <vector>

#include "ctl/json.h"
#include "ctl/text.h"
#include "store/backup_reader.h"
#include "store/journal_index.h"

namespace perch::ctl {
namespace {

std::string hex_of(Bytes bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string base64_of(Bytes bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t num = std::min<size_t>(3, bytes.size() - at);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < num ? bytes[at + i] : 0);
    for (size_t i = 0; i < 4; ++i) text += i <= num ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

Json json_of(const MessageId& id) {
  return {{"user", id.user}, {"device", id.device}, {"origin", id.origin}, {"seq", id.seq}};
}

// A message that is being put together of its parts.
struct Message {
  bool is_wanted = false;
  JournalPos pos = 0;  // 0: it is a row of the tables
  uint32_t num_parts_left = 0;
  MessageId id;
  UserId to = 0;
  Number number = 0;
  uint64_t taken_ms = 0;
  std::vector<store::Waiting> waiting;
  std::vector<uint8_t> frame;
};

class Export {
 public:
  explicit Export(UserId user) : user_(user), index_(1) {}

  // ERRORS: kClosed: the output is not taken, and that has been said.
  Result<void> take(bool journal, store::Table table, Bytes key, Bytes value) {
    if (!journal) {
      if (!std::exchange(is_journal_told_, true))
        if (auto told = tell_journal(); !told) return told;
      return table == store::kTablesMetaTable ? Result<void>() : row(key, value);
    }
    switch (table) {
      case store::kJournalTable:
        return record(key, value);
      case store::kUsersTable:
        return store::unpack_user_key(key) == user_ ? user(*store::unpack_user(key, value)) : Result<void>();
      case store::kHandlesTable:
      case store::kJournalMetaTable:
        return {};
    }
    // What else is kept by user; the key's first 8 bytes say whose it is.
    if (key.size() < 8 || store::unpack_user_key(key.first(8)) != user_) return {};
    return say({{"kind", "entry"},
                {"table", store::kJournalTableNames[table]},
                {"key_hex", hex_of(key)},
                {"value_hex", hex_of(value)}});
  }

 private:
  static Result<void> say(const Json& json) {
    return print_json(json) == kDone ? Result<void>() : Error{Errc::kClosed};
  }

  Result<void> user(const store::UserRow& row) {
    Json devices = Json::array();
    for (const store::DeviceRow& device : row.devices)
      devices.push_back({{"device", device.number},
                         {"name", device.name},
                         {"seen_served_ms", device.seen_ms},
                         {"origin", device.origin},
                         {"overflowed", device.overflowed},
                         {"missed", device.missed}});
    return say({{"kind", "user"},
                {"user", row.id},
                {"handle", row.handle},
                {"next_device", row.next_device},
                {"devices", devices}});
  }

  Result<void> record(Bytes key, Bytes value) {
    const store::JournalKey at = *store::unpack_journal_key(key);
    if (at.chunk > 0) {
      add_part(*store::unpack_chunk(key, value));
      return {};
    }
    Bytes part;
    const store::Record record = *store::unpack_record(key, value, &part);
    index_.apply(at.pos, record);
    if (record.kind == store::RecordKind::kResult && (record.id.user == user_ || record.to == user_))
      return say({{"kind", "result"},
                  {"id", json_of(record.id)},
                  {"to", record.to},
                  {"number", record.number},
                  {"delivered", record.delivered}});
    if (record.kind != store::RecordKind::kAccept) return {};
    Message message;
    message.pos = at.pos;
    message.num_parts_left = record.num_chunks - 1u;
    message.id = record.id;
    message.to = record.to;
    message.number = record.number;
    message.taken_ms = record.taken_ms;
    message.waiting.assign(record.waiting.begin(), record.waiting.begin() + record.num_waiting);
    begin(std::move(message), part);
    return {};
  }

  Result<void> row(Bytes key, Bytes value) {
    const store::RowKey at = *store::unpack_row_key(key);
    if (at.chunk > 0) {
      add_part(*store::unpack_chunk(key, value));
    } else {
      Bytes part;
      const store::Row row = *store::unpack_row(key, value, &part);
      Message message;
      message.num_parts_left = row.num_chunks - 1u;
      message.id = row.id;
      message.to = row.to;
      message.number = at.number;
      message.taken_ms = row.taken_ms;
      message.waiting = {row.waiting};
      message.waiting[0].user = at.user;
      begin(std::move(message), part);
    }
    if (messages_.empty() || messages_.back().num_parts_left > 0) return {};
    auto told = say_message(messages_.back());
    messages_.clear();
    return told;
  }

  void begin(Message message, Bytes part) {
    message.is_wanted = message.id.user == user_ || message.to == user_;
    for (const store::Waiting& waiting : message.waiting) message.is_wanted |= waiting.user == user_;
    wants_parts_ = message.is_wanted;
    if (!message.is_wanted) return;
    messages_.push_back(std::move(message));
    messages_.back().frame.assign(part.begin(), part.end());
  }

  void add_part(Bytes part) {
    if (!wants_parts_) return;
    Message& message = messages_.back();
    --message.num_parts_left;
    message.frame.insert(message.frame.end(), part.begin(), part.end());
  }

  // Once the whole journal has been read it is known who still waits for what.
  Result<void> tell_journal() {
    for (Message& message : std::exchange(messages_, {})) {
      for (store::Waiting& waiting : message.waiting) {
        const store::Held* held = index_.find(message.pos, waiting.user);
        if (held == nullptr)
          waiting.num = 0;
        else
          waiting = held->waiting;
      }
      if (auto told = say_message(message); !told) return told;
    }
    for (const auto& [key, pending] : index_.receipts()) {
      if (key.user != user_ && key.peer != user_) continue;
      auto told = say({{"kind", "receipt"},
                       {"to", key.user},
                       {"to_device", key.to_device},
                       {"peer", key.peer},
                       {"device", key.device},
                       {"origin", key.origin},
                       {"first", key.first},
                       {"up_to", pending.up_to}});
      if (!told) return told;
    }
    for (const auto& [id, pending] : index_.expired()) {
      if (id.user != user_ && pending.to != user_) continue;
      if (auto told = say({{"kind", "expired"}, {"id", json_of(id)}, {"to", pending.to}}); !told) return told;
    }
    return {};
  }

  Result<void> say_message(const Message& message) const {
    Json waits = Json::array();
    for (const store::Waiting& waiting : message.waiting) {
      if (waiting.num == 0) continue;
      Json devices = Json::array();
      for (uint8_t i = 0; i < waiting.num; ++i) devices.push_back(waiting.devices[i]);
      waits.push_back({{"user", waiting.user}, {"devices", devices}});
    }
    return say({{"kind", "message"},
                {"id", json_of(message.id)},
                {"to", message.to},
                {"number", message.number},
                {"taken_served_ms", message.taken_ms},
                {"waits_for", waits},
                {"frame_base64", base64_of(message.frame)}});
  }

  const UserId user_;
  store::JournalIndex index_;
  std::vector<Message> messages_;
  bool wants_parts_ = false;  // of the message last begun
  bool is_journal_told_ = false;
};

}  // namespace

int run_export(const Flags& flags) {
  if (!is_word(flags.user)) return complain(kUsage, "USER: a user id or a handle");
  const std::optional<std::string> known = ask(flags, "user " + flags.user);
  const std::optional<Json> user = known ? parse_answer(*known) : std::nullopt;
  if (!user) return kNotDone;
  std::optional<LongAnswer> answer = LongAnswer::ask(flags, "backup");
  if (!answer) return kNotDone;
  Export out(number_at(*user, "user"));
  store::BackupReader reader([&](MutableBytes buffer) { return answer->read(buffer); },
                             [&](bool journal, store::Table table, Bytes key, Bytes value) {
                               return out.take(journal, table, key, value);
                             });
  if (reader.read()) return kDone;
  return reader.problem().empty() ? kNotDone : complain(kNotDone, "not all of it came: " + reader.problem());
}

}  // namespace perch::ctl
