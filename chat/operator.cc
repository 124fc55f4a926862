#include "chat/operator.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "core/log.h"

namespace perch::chat {
namespace {

using Json = nlohmann::ordered_json;

// A handle or a device's name is text of a token; what is no UTF-8 after all is replaced.
std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

Json json_of(const Waits& waits) {
  return {{"messages", waits.num},
          {"bytes", waits.bytes},
          {"oldest_seconds", waits.oldest_ms / 1000},
          {"on_disk", waits.num_written},
          {"sent_unconfirmed", waits.num_sent}};
}

Json json_of(const Question& question) {
  Json devices = Json::array();
  for (const DeviceState& device : question.devices) {
    Json session;
    if (device.is_online) session = {{"expires_ms", device.expires_ms}};
    devices.push_back({{"device", device.number},
                       {"name", device.name},
                       {"online", device.is_online},
                       {"session", session},
                       {"unseen_seconds", device.unseen_ms / 1000},
                       {"has_gap", device.has_gap},
                       {"open_rows", device.num_open_rows},
                       {"waiting", json_of(device.waits)}});
  }
  return {{"user", question.user},
          {"handle", question.handle},
          {"devices", std::move(devices)},
          {"waiting", json_of(question.waits)}};
}

std::string answer_to(const Question& question) {
  switch (question.kind) {
    case Question::Kind::kLook:
      return line_of(json_of(question));
    case Question::Kind::kBlocks:
    case Question::Kind::kBlock:
    case Question::Kind::kUnblock:
      return line_of({{"user", question.user}, {"blocks", question.blocks}});
    case Question::Kind::kDisconnect:
      return line_of({{"user", question.user}, {"sessions_ended", question.num_ended}});
    case Question::Kind::kRevoke:
      return line_of({{"user", question.user},
                      {"revoked_before_ms", question.before_ms},
                      {"sessions_ended", question.num_ended}});
  }
  PERCH_CHECK(!"a question of no known kind");
}

std::optional<Question::Kind> kind_of(std::string_view verb) {
  if (verb == "user") return Question::Kind::kLook;
  if (verb == "blocks") return Question::Kind::kBlocks;
  if (verb == "block") return Question::Kind::kBlock;
  if (verb == "unblock") return Question::Kind::kUnblock;
  if (verb == "disconnect") return Question::Kind::kDisconnect;
  if (verb == "revoke") return Question::Kind::kRevoke;
  return std::nullopt;
}

// The first word, and what is behind the blank after it.
std::pair<std::string_view, std::string_view> cut(std::string_view text) {
  const size_t blank = text.find(' ');
  if (blank == text.npos) return {text, {}};
  return {text.substr(0, blank), text.substr(blank + 1)};
}

Json json_of(UserId id, const Result<store::UserRow>& row) {
  if (!row) return {{"user", id}, {"error", name_of(row.error().code)}};
  return {{"user", id}, {"handle", row->handle}, {"devices", row->devices.size()}};
}

}  // namespace

Operator::Operator(Node node, Clock& clock, MetricsPage& metrics, Log& log)
    : node_(std::move(node)),
      clock_(clock),
      log_(log),
      control_(clock, metrics,
               [this](Control::Asker asker, std::string_view request) { return answer(asker, request); }) {}
Operator::~Operator() = default;

void Operator::begin(MeshEndpoint& mesh, uint16_t num_cores, std::unique_ptr<store::Reader> reader) {
  mesh_ = &mesh;
  num_cores_ = num_cores;
  reader_ = std::move(reader);
}

void Operator::serve(int timeout_ms) {
  control_.serve(timeout_ms);
  if (mesh_ == nullptr) return;
  mesh_->drain([this](const Hop& hop) { on_hop(hop); });
  look_after_backup();
  reader_->release();
  mesh_->publish();
}

Operator::Reply Operator::answer(Control::Asker asker, std::string_view request) {
  const auto [verb, rest] = cut(request);
  if (request == "health") return fmt::format("{}\n", node_.health());
  if (request == "metrics") return node_.metrics();
  if (request == "drain") {
    node_.drain();
    return "draining\n";
  }
  if (verb == "log-level") return log_level(asker, rest);
  if (verb != "users" && verb != "revoked" && request != "backup" && !kind_of(verb)) return "";
  if (mesh_ == nullptr) return refuse(asker, "the server is still starting; ask again when health says ok");
  if (request == "backup") return back_up(asker);
  if (verb == "users") return users(asker, rest);
  if (verb == "revoked") return revoked(asker, rest);
  return about_user(asker, verb, rest);
}

Operator::Reply Operator::refuse(Control::Asker asker, std::string_view why) {
  control_.reply_error(asker, why);
  return std::nullopt;
}

Operator::Reply Operator::log_level(Control::Asker asker, std::string_view level) {
  if (!level.empty() && !log_level_of(level))
    return refuse(asker, fmt::format("{} is no level; give {}", level, kLogLevelNames));
  if (!level.empty()) node_.set_log_level(level);
  return fmt::format("{}\n", node_.log_level());
}

Operator::Reply Operator::users(Control::Asker asker, std::string_view from) {
  const std::optional<uint64_t> first = number_of(from);
  if (!first) return refuse(asker, "users wants the id to begin with");
  std::string lines;
  size_t num = 0;
  const Result<void> read = reader_->users(*first, [&](UserId id, const Result<store::UserRow>& row) {
    const bool is_over = num++ == kUsersPerAnswer;
    lines += line_of(is_over ? Json{{"next", id}} : json_of(id, row));
    return !is_over;
  });
  if (!read) return refuse(asker, fmt::format("the registry cannot be read: {}", name_of(read.error().code)));
  return lines.empty() ? "\n" : lines;
}

Operator::Reply Operator::revoked(Control::Asker asker, std::string_view from) {
  const std::optional<uint64_t> first = number_of(from);
  if (!first) return refuse(asker, "revoked wants the id to begin with");
  std::string lines;
  size_t num = 0;
  const Result<void> read = reader_->revocations(*first, [&](UserId id, uint64_t before_ms) {
    const bool is_over = num++ == kUsersPerAnswer;
    lines += line_of(is_over ? Json{{"next", id}} : Json{{"user", id}, {"revoked_before_ms", before_ms}});
    return !is_over;
  });
  if (!read)
    return refuse(asker, fmt::format("the revocations cannot be read: {}", name_of(read.error().code)));
  return lines.empty() ? "\n" : lines;
}

// Nothing: `asker` has been told.
std::optional<UserId> Operator::find(Control::Asker asker, std::string_view who) {
  if (const std::optional<uint64_t> id = number_of(who)) return *id;
  const Result<UserId> id = reader_->handle(who);
  if (id) return *id;
  refuse(asker, id.error().code == Errc::kNotFound
                    ? fmt::format("no user {}", who)
                    : fmt::format("this handle cannot be read: {}", name_of(id.error().code)));
  return std::nullopt;
}

Operator::Reply Operator::about_user(Control::Asker asker, std::string_view verb, std::string_view words) {
  const auto [who, rest] = cut(words);
  const std::optional<UserId> user = find(asker, who);
  if (!user) return std::nullopt;
  auto question = std::make_unique<Question>();
  question->kind = *kind_of(verb);
  question->user = *user;
  if (question->kind == Question::Kind::kBlock || question->kind == Question::Kind::kUnblock) {
    const std::optional<UserId> whom = find(asker, rest);
    if (!whom) return std::nullopt;
    if (*whom == 0 || *whom == *user) return refuse(asker, "nobody blocks himself");
    question->whom = *whom;
  } else if (question->kind == Question::Kind::kDisconnect && !rest.empty()) {
    const std::optional<uint64_t> device = number_of(rest);
    if (!device || *device == 0 || *device > UINT16_MAX)
      return refuse(asker, "a device is named by its number");
    question->device = static_cast<DeviceNo>(*device);
  } else if (question->kind == Question::Kind::kRevoke) {
    // Tokens say in whole seconds when they were issued: those of the present one too.
    question->before_ms = (clock_.wall_ms() / 1000 + 1) * 1000;
  }
  mesh_->post(home_of(*user, num_cores_), Hop::make(kHopQuestion, QuestionHop{question.get()}));
  const Question* const key = question.get();
  asked_.emplace(key, Asked{asker, std::move(question)});
  return std::nullopt;
}

std::string Operator::why_not(const Question& question, const Error& error) const {
  switch (error.code) {
    case Errc::kNotFound:
      return error.detail == 0 ? fmt::format("no user {}", question.user)
                               : fmt::format("user {} has no device {}", question.user, error.detail);
    case Errc::kTooLarge:
      return fmt::format("user {} blocks {} users, and no more are allowed", question.user, error.detail);
    case Errc::kBusy:
      return "changes of this user are under way; ask again";
    case Errc::kFull:
      return "the disk has no room for it";
    default:
      return fmt::format("user {} cannot be read: {}; put a backup back", question.user, name_of(error.code));
  }
}

void Operator::on_hop(const Hop& hop) {
  if (hop.kind == kHopCutMade) return begin_backup();
  PERCH_CHECK(hop.kind == kHopAnswer);
  const auto found = asked_.find(hop.as<QuestionHop>().question);
  PERCH_CHECK(found != asked_.end());
  const Asked asked = std::move(found->second);
  asked_.erase(found);
  const Question& question = *asked.question;
  if (question.found) return control_.reply(asked.asker, answer_to(question));
  control_.reply_error(asked.asker, why_not(question, question.found.error()));
}

}  // namespace perch::chat
