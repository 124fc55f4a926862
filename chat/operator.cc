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

Json json_of(UserId id, const Result<store::UserRow>& row) {
  if (!row) return {{"user", id}, {"error", name_of(row.error().code)}};
  return {{"user", id}, {"handle", row->handle}, {"devices", row->devices.size()}};
}

}  // namespace

Operator::Operator(Node node, Clock& clock, MetricsPage& metrics, Log& log)
    : node_(std::move(node)),
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
  const size_t space = request.find(' ');
  const std::string_view verb = request.substr(0, space);
  const std::string_view rest = space == request.npos ? std::string_view() : request.substr(space + 1);
  if (request == "health") return fmt::format("{}\n", node_.health());
  if (request == "metrics") return node_.metrics();
  if (request == "drain") {
    node_.drain();
    return "draining\n";
  }
  if (verb == "log-level") return log_level(asker, rest);
  if (verb != "users" && verb != "user" && request != "backup") return "";
  if (mesh_ == nullptr) return refuse(asker, "the server is still starting; ask again when health says ok");
  if (request == "backup") return back_up(asker);
  return verb == "users" ? users(asker, rest) : user(asker, rest);
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

Result<UserId> Operator::find(std::string_view who) {
  if (const std::optional<uint64_t> id = number_of(who)) return *id;
  return reader_->handle(who);
}

Operator::Reply Operator::user(Control::Asker asker, std::string_view who) {
  const Result<UserId> id = find(who);
  if (!id && id.error().code == Errc::kNotFound) return refuse(asker, fmt::format("no user {}", who));
  if (!id) return refuse(asker, fmt::format("this handle cannot be read: {}", name_of(id.error().code)));
  auto question = std::make_unique<Question>();
  question->user = *id;
  mesh_->post(home_of(*id, num_cores_), Hop::make(kHopQuestion, QuestionHop{question.get()}));
  const Question* const key = question.get();
  asked_.emplace(key, Asked{asker, std::move(question)});
  return std::nullopt;
}

void Operator::on_hop(const Hop& hop) {
  if (hop.kind == kHopCutMade) return begin_backup();
  PERCH_CHECK(hop.kind == kHopAnswer);
  const auto found = asked_.find(hop.as<QuestionHop>().question);
  PERCH_CHECK(found != asked_.end());
  const Asked asked = std::move(found->second);
  asked_.erase(found);
  const Question& question = *asked.question;
  if (question.found) return control_.reply(asked.asker, line_of(json_of(question)));
  const Errc why = question.found.error().code;
  control_.reply_error(asked.asker, why == Errc::kNotFound
                                        ? fmt::format("no user {}", question.user)
                                        : fmt::format("user {} cannot be read: {}; put a backup back",
                                                      question.user, name_of(why)));
}

}  // namespace perch::chat
