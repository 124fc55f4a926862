// A bridge: each line of the standard input goes to TO as a message. When the input has ended and every line has its
// result, so does the bridge; what is queued when it is killed goes out when it runs again.
//   journalctl -f -u web | PERCH_TOKEN=… ./bridge PROFILE HOST:PORT TO
#include <perch/perch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bridge {
  perch_client* client;
  const char* to;
  uint64_t first, last;  // rows of this run that may have no result yet; 0: none
  int lost;
};

static void on_stopped(void* context, perch_stop_reason reason, perch_bytes text) {
  (void)context;
  fprintf(stderr, "bridge: %s (%.*s)\n", perch_stop_reason_name(reason), (int)text.len,
          (const char*)text.data);
}

static int queue(struct bridge* bridge, const char* line, size_t len) {
  if (len == 0) return 1;
  const perch_error error = perch_send_bytes(bridge->client, bridge->to, 0, line, len, &bridge->last);
  if (error != PERCH_OK) fprintf(stderr, "bridge: not queued: %s\n", perch_error_name(error));
  if (bridge->first == 0) bridge->first = bridge->last;
  return error == PERCH_OK;
}

// Rows get their results one by one; what was rejected or has expired is lost, and so is, for all the bridge can
// say, a row whose state cannot be read.
static int waits(struct bridge* bridge) {
  while (bridge->first != 0 && bridge->first <= bridge->last) {
    perch_row row = {.size = sizeof(row)};
    const perch_error error = perch_status(bridge->client, bridge->first, &row);
    if (error == PERCH_BUSY || (error == PERCH_OK && row.open)) return 1;
    if (error != PERCH_OK) fprintf(stderr, "bridge: no state of a line: %s\n", perch_error_name(error));
    if (error != PERCH_OK || row.mark == PERCH_REJECTED || row.mark == PERCH_EXPIRED) bridge->lost = 1;
    bridge->first++;
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  struct bridge bridge = {.to = argv[3]};
  const perch_options options = {
      .size = sizeof(options), .profile = argv[1], .server = argv[2], .token = getenv("PERCH_TOKEN")};
  const perch_callbacks on = {.size = sizeof(on), .context = &bridge, .stopped = on_stopped};
  const perch_error error = perch_open(&options, &on, &bridge.client, NULL);
  if (error != PERCH_OK) {
    fprintf(stderr, "bridge: %s: %s\n", argv[1], perch_error_name(error));
    return 1;
  }
  static char input[65536];  // a line that is longer goes in pieces
  size_t len = 0;
  int ended = 0, refused = 0;
  while (perch_stopped(bridge.client) == PERCH_STOP_NONE && !refused && (!ended || waits(&bridge))) {
    int readable = 0;
    perch_poll(bridge.client, 1000, ended ? -1 : STDIN_FILENO, &readable);
    if (!readable) continue;
    const ssize_t got = read(STDIN_FILENO, input + len, sizeof(input) - len);
    ended = got <= 0;
    len += ended ? 0 : (size_t)got;
    char *begin = input, *end;
    while ((end = memchr(begin, '\n', len)) != NULL) {
      refused |= !queue(&bridge, begin, (size_t)(end - begin));
      len -= (size_t)(end + 1 - begin);
      begin = end + 1;
    }
    if (ended || len == sizeof(input)) {
      refused |= !queue(&bridge, begin, len);
      len = 0;
    }
    memmove(input, begin, len);
  }
  const int stopped = perch_stopped(bridge.client) != PERCH_STOP_NONE;
  perch_close(bridge.client);
  return stopped || refused || bridge.lost;
}
