// A bot that answers everybody: PERCH_TOKEN=… ./bot HOST:PORT
#include <perch/client.h>

#include <cstdlib>

struct Echo : perch::client::DeviceEvents {
  std::unique_ptr<perch::client::Client> client;
  void on_message(const perch::client::InboxMessage& message, perch::client::Insert insert) override {
    if (insert == perch::client::Insert::kRenumbered)
      return;  // known already: it has another place in the order
    if (message.id.user == client->identity().user)
      return;  // a copy of what another of the bot's devices sent
    const auto row = client->send(std::to_string(message.peer), "I am a bot.");
    if (!row) client->stop();  // the disk refuses; a row that was returned is in the outbox, committed
  }
};

int main(int argc, char** argv) {
  const char* token = std::getenv("PERCH_TOKEN");  // a JWT that your backend minted
  if (argc != 2 || token == nullptr) return 2;
  Echo echo;
  auto opened = perch::client::Client::open({.profile_path = "bot", .server = argv[1], .token = token}, echo);
  if (!opened) return 1;
  echo.client = std::move(*opened);
  echo.client->run();  // connects, reconnects, sends what waited; until stop()
}
