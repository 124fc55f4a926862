// A chat in less than 60 lines: lines in, messages and ticks out; works offline.
//   PERCH_TOKEN=… ./chat PROFILE HOST:PORT PEER
#include <perch/client.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

using namespace perch::client;

struct Chat : DeviceEvents {
  std::unique_ptr<Client> client;
  std::map<RowId, std::string> lines;

  void on_online(const LoginInfo& info) override { std::printf("* online as %s\n", info.handle.c_str()); }
  void on_stopped(StopReason reason, std::string_view) override { std::printf("* %s\n", name_of(reason)); }
  void on_row(const RowStatus& row) override {
    const char* const ticks[] = {"queued", "✓", "✓✓", "✓✓ read", "rejected", "expired"};
    const auto line = lines.find(row.row);
    if (line != lines.end()) std::printf("%s: %s\n", ticks[static_cast<int>(row.mark)], line->second.c_str());
  }
  // Not in on_message(): that tells nothing of what came while this program did not run.
  bool show_unseen() {
    const auto arrivals = client->unseen(100);
    if (!arrivals) return false;
    for (const auto& [arrival, message] : *arrivals) {
      std::string text(message.body.begin(), message.body.end());
      for (char& c : text) {
        if (static_cast<unsigned char>(c) < ' ') c = ' ';  // a peer must not drive the terminal
      }
      const auto who = client->handle_of(message.id.user);
      std::printf("%s: %s\n", who && !who->empty() ? who->c_str() : std::to_string(message.id.user).c_str(),
                  text.c_str());
    }
    std::fflush(stdout);
    return arrivals->empty() || client->set_seen(arrivals->back().arrival).ok();
  }
};

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  Chat chat;
  const char* token = std::getenv("PERCH_TOKEN");
  auto opened = Client::open({.profile_path = argv[1], .server = argv[2], .token = token ? token : ""}, chat);
  if (!opened) return std::fprintf(stderr, "%s: %s\n", argv[1], perch::name_of(opened.error().code)), 1;
  chat.client = std::move(*opened);
  char input[4096];
  while (chat.show_unseen() && chat.client->stop_reason() == StopReason::kNone) {
    if (!chat.client->poll(1000, STDIN_FILENO)) continue;
    const ssize_t len = read(STDIN_FILENO, input, sizeof(input));  // of a terminal: one line
    if (len <= 0) return 0;                                        // what is queued goes out the next time
    const std::string line(input, input[len - 1] == '\n' ? len - 1 : len);
    const auto row = chat.client->send(argv[3], line);
    if (row) chat.lines[*row] = line;
    std::printf("%s: %s\n", row ? "queued" : "not sent", line.c_str());
  }
  return 1;
}
