#include "ctl/command.h"

#include <fmt/format.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/control_client.h"

namespace perch::ctl {
namespace {

std::string explain(const Flags& flags, const Error& error) {
  switch (error.code) {
    case Errc::kNotFound:
      return fmt::format("--data {}: no server runs there", flags.data_dir);
    case Errc::kDenied:
      return fmt::format("--data {}: the socket belongs to the server's user; become that user, or root",
                         flags.data_dir);
    case Errc::kTooLarge:
      return fmt::format("--data {}: longer than {} bytes; name the folder by a shorter way", flags.data_dir,
                         error.detail);
    default:
      if (error.detail == EAGAIN)
        return fmt::format("--data {}: its server does not answer; look at its log, or try again",
                           flags.data_dir);
      return fmt::format("--data {}: cannot ask its server: {}", flags.data_dir,
                         std::strerror(static_cast<int>(error.detail)));
  }
}

int complain_ended(const Flags& flags) {
  return complain(kNotDone, fmt::format("--data {}: its server ended before it answered", flags.data_dir));
}

// Of an answer that is a refusal: without the word that says so.
int complain_refused(std::string_view answer) {
  answer.remove_prefix(kControlError.size());
  return complain(kNotDone, answer.substr(0, answer.find('\n')));
}

}  // namespace

std::optional<std::string> ask(const Flags& flags, std::string_view request) {
  Result<std::string> answer = ask_control(flags.data_dir, request);
  if (!answer) {
    complain(kNotDone, explain(flags, answer.error()));
    return std::nullopt;
  }
  if (answer->empty()) {  // it ended before it had answered
    complain_ended(flags);
    return std::nullopt;
  }
  if (answer->starts_with(kControlError)) {
    complain_refused(*answer);
    return std::nullopt;
  }
  return *std::move(answer);
}

std::optional<LongAnswer> LongAnswer::ask(const Flags& flags, std::string_view request) {
  Result<ControlQuestion> question = ControlQuestion::ask(flags.data_dir, request);
  if (!question) {
    complain(kNotDone, explain(flags, question.error()));
    return std::nullopt;
  }
  LongAnswer answer(flags, std::move(*question));
  std::string start;
  while (start.size() < kControlError.size() || start.starts_with(kControlError)) {
    std::array<uint8_t, 4096> part;
    const Result<size_t> got = answer.read(part);
    if (!got) return std::nullopt;
    if (*got == 0) {
      start.starts_with(kControlError) ? complain_refused(start) : complain_ended(flags);
      return std::nullopt;
    }
    start.append(part.begin(), part.begin() + static_cast<ptrdiff_t>(*got));
  }
  answer.start_ = std::move(start);
  return answer;
}

Result<size_t> LongAnswer::read(MutableBytes buffer) {
  if (!start_.empty()) {
    const size_t size = start_.copy(reinterpret_cast<char*>(buffer.data()), buffer.size());
    start_.erase(0, size);
    return size;
  }
  Result<size_t> got = question_.read(buffer);
  if (!got) complain(kNotDone, explain(*flags_, got.error()));
  return got;
}

std::optional<Readings> ask_readings(const Flags& flags) {
  const std::optional<std::string> text = ask(flags, "metrics");
  if (!text) return std::nullopt;
  Result<Readings> readings = Readings::parse(*text);
  if (readings) return *std::move(readings);
  complain(kNotDone,
           fmt::format("line {} of the server's metrics is no sample; perchctl and perchd should be "
                       "of one version",
                       readings.error().detail));
  return std::nullopt;
}

int complain(int status, std::string_view text) {
  std::fflush(stdout);
  std::fprintf(stderr, "perchctl: %.*s\n", static_cast<int>(text.size()), text.data());
  return status;
}

int print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (std::fflush(stdout) == 0) return kDone;
  return complain(kNotDone, fmt::format("the output is not taken: {}", std::strerror(errno)));
}

void sleep_s(double seconds) {
  const auto whole = static_cast<time_t>(seconds);
  timespec left{whole, static_cast<long>((seconds - static_cast<double>(whole)) * 1e9)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

}  // namespace perch::ctl
