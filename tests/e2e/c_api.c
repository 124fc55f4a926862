// Uses the C interface as a C program would: tests/e2e/install_test.py compiles it as C11 against the installed copy
// and runs it with a server.  c_api FOLDER HOST:PORT TOKEN-OF-ALICE TOKEN-OF-BOB
#include <errno.h>
#include <perch/perch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "c_api.c:%d: this does not hold: %s\n", __LINE__, #condition); \
      exit(1);                                                                       \
    }                                                                                \
  } while (0)

enum { kTurnsMax = 3000, kTurnMs = 10 };  // so many turns for what is waited for

// What the callbacks of one client have told.
struct person {
  char profile[512];
  perch_client* client;
  int online, offline, resolved;
  int messages, lines, arrivals;
  uint64_t resolved_user, last_arrival;
  perch_row row;
  perch_stop_reason stopped;
  const char* answer;  // what message() sends back; null: nothing
  uint64_t answer_row;
  perch_message last;  // its body: below
  char body[64];
};

static void on_online(void* context, const perch_login* login) {
  struct person* me = context;
  CHECK(login->size == sizeof(*login) && login->user != 0 && login->device != 0 && login->handle.len != 0);
  me->online++;
}

static void on_offline(void* context, perch_bytes why) {
  CHECK(why.data != NULL);
  ((struct person*)context)->offline++;
}

static void keep(struct person* me, const perch_message* message) {
  CHECK(message->size == sizeof(*message) && message->body.data != NULL &&
        message->body.len <= sizeof(me->body));
  me->last = *message;
  memcpy(me->body, message->body.data, message->body.len);
}

static void on_message(void* context, const perch_message* message, perch_insert insert) {
  struct person* me = context;
  CHECK(insert == PERCH_NEW);
  keep(me, message);
  me->messages++;
  // What a callback may not call refuses, and changes nothing.
  int readable = 7;
  CHECK(perch_poll(me->client, 0, -1, &readable) == PERCH_INVALID && readable == 7);
  CHECK(perch_run(me->client) == PERCH_INVALID);
  CHECK(perch_resolve(me->client, "bob") == PERCH_INVALID);
  CHECK(perch_close(me->client) == PERCH_INVALID);
  if (me->answer == NULL) return;
  char peer[32];
  snprintf(peer, sizeof(peer), "%llu", (unsigned long long)message->peer);
  CHECK(perch_send(me->client, peer, me->answer, &me->answer_row) == PERCH_OK);
}

static void on_row(void* context, const perch_row* row) { ((struct person*)context)->row = *row; }

static void on_resolved(void* context, perch_bytes handle, uint64_t user) {
  struct person* me = context;
  const char* expected = me->answer != NULL ? "bob" : "alice";
  CHECK(handle.len == strlen(expected) && memcmp(handle.data, expected, handle.len) == 0);
  me->resolved++;
  me->resolved_user = user;
}

static void on_stopped(void* context, perch_stop_reason reason, perch_bytes text) {
  CHECK(text.data != NULL);
  ((struct person*)context)->stopped = reason;
}

static void on_line(void* context, const perch_message* line) {
  struct person* me = context;
  keep(me, line);
  me->lines++;
}

static void on_arrival(void* context, const perch_message* message) {
  struct person* me = context;
  keep(me, message);
  CHECK(message->arrival > me->last_arrival);
  me->last_arrival = message->arrival;
  me->arrivals++;
  CHECK(perch_close(me->client) == PERCH_INVALID);
}

static perch_options options_of(const struct person* me, const char* server, const char* token) {
  return (perch_options){
      .size = sizeof(perch_options), .profile = me->profile, .server = server, .token = token};
}

static void open_as(struct person* me, perch_options options) {
  const perch_callbacks on = {.size = sizeof(on),
                              .context = me,
                              .online = on_online,
                              .offline = on_offline,
                              .message = on_message,
                              .row = on_row,
                              .resolved = on_resolved,
                              .stopped = on_stopped};
  int64_t detail = 7;
  CHECK(perch_open(&options, &on, &me->client, &detail) == PERCH_OK && detail == 0 && me->client != NULL);
}

static void turn(struct person* a, struct person* b) {
  static int turns = 0;
  CHECK(turns++ < kTurnsMax);
  CHECK(perch_poll(a->client, kTurnMs, -1, NULL) == PERCH_OK);
  if (b != NULL) CHECK(perch_poll(b->client, kTurnMs, -1, NULL) == PERCH_OK);
}

static void wrong_arguments(const char* folder) {
  perch_client* client = (perch_client*)&client;
  int64_t detail = 7;
  struct person me = {0};
  snprintf(me.profile, sizeof(me.profile), "%s/wrong", folder);
  perch_options options = options_of(&me, "127.0.0.1:1", "a token");
  CHECK(perch_open(&options, NULL, NULL, NULL) == PERCH_INVALID);
  CHECK(perch_open(NULL, NULL, &client, &detail) == PERCH_INVALID && client == NULL && detail == 0);
  options.size = offsetof(perch_options, never_connect);
  CHECK(perch_open(&options, NULL, &client, NULL) == PERCH_INVALID);
  options = options_of(&me, "no address", "a token");
  CHECK(perch_open(&options, NULL, &client, NULL) == PERCH_INVALID && client == NULL);
  options = options_of(&me, NULL, NULL);
  CHECK(perch_open(&options, NULL, &client, NULL) == PERCH_INVALID);  // connects, and knows no server
  options.profile = NULL;
  CHECK(perch_open(&options, NULL, &client, NULL) == PERCH_INVALID);
  options.profile = "/dev/null/profile";
  CHECK(perch_open(&options, NULL, &client, &detail) == PERCH_SYSTEM && detail == ENOTDIR);
  const perch_callbacks small = {.size = sizeof(size_t)};
  options = options_of(&me, "127.0.0.1:1", "a token");
  CHECK(perch_open(&options, &small, &client, NULL) == PERCH_INVALID);

  uint64_t number = 0;
  CHECK(perch_send(NULL, "bob", "hello", &number) == PERCH_INVALID);
  CHECK(perch_mark_read(NULL, "bob", NULL) == PERCH_INVALID);
  CHECK(perch_user_of(NULL, "bob", &number) == PERCH_INVALID);
  CHECK(perch_resolve(NULL, "bob") == PERCH_INVALID);
  CHECK(perch_set_seen(NULL, 1) == PERCH_INVALID);
  CHECK(perch_set_token(NULL, "t") == PERCH_INVALID);
  CHECK(perch_poll(NULL, 0, -1, NULL) == PERCH_INVALID);
  CHECK(perch_run(NULL) == PERCH_INVALID);
  CHECK(perch_close(NULL) == PERCH_OK);
  perch_stop(NULL);
  CHECK(!perch_online(NULL) && !perch_connects(NULL) && perch_stopped(NULL) == PERCH_STOP_NONE);
  CHECK(perch_last_detail(NULL) == 0);
}

static void offline(struct person* bob, uint64_t* row) {
  perch_options options = options_of(bob, NULL, NULL);
  options.never_connect = 1;
  open_as(bob, options);
  perch_client* client = bob->client;
  CHECK(!perch_connects(client) && !perch_online(client));
  CHECK(perch_send_bytes(client, "alice", 0, "a\0b", 3, row) == PERCH_OK && *row == 1);
  CHECK(perch_send(client, "", "hello", NULL) == PERCH_INVALID);
  CHECK(perch_send(client, NULL, "hello", NULL) == PERCH_INVALID);
  CHECK(perch_send(client, "alice", NULL, NULL) == PERCH_INVALID);
  CHECK(perch_send_bytes(client, "alice", 0, NULL, 1, NULL) == PERCH_INVALID);
  static char large[64 * 1024 + 1];
  CHECK(perch_send_bytes(client, "alice", 0, large, sizeof(large), NULL) == PERCH_TOO_LARGE);
  CHECK(perch_last_detail(client) == 64 * 1024);

  // A program that knows more fields than the library: what lies beyond stays as it is.
  struct {
    perch_row row;
    uint64_t later;
  } status = {.row = {.size = sizeof(status)}, .later = 7};
  CHECK(perch_status(client, *row, &status.row) == PERCH_OK && perch_last_detail(client) == 0);
  CHECK(status.row.size == sizeof(status) && status.later == 7);
  CHECK(status.row.row == *row && status.row.open && status.row.mark == PERCH_QUEUED && status.row.seq == 0);
  CHECK(perch_status(client, 2, &status.row) == PERCH_NOT_FOUND);
  CHECK(perch_status(client, *row, NULL) == PERCH_INVALID);
  status.row.size = sizeof(size_t);
  CHECK(perch_status(client, *row, &status.row) == PERCH_INVALID);

  CHECK(perch_history(client, "alice", 10, on_line, bob) == PERCH_OK && bob->lines == 1);
  CHECK(bob->last.row == *row && bob->last.mine && bob->last.user == 0 && bob->last.body.len == 3);
  CHECK(perch_history(client, "alice", 10, NULL, NULL) == PERCH_INVALID);
  CHECK(perch_unseen(client, 10, NULL, NULL) == PERCH_INVALID);
  size_t num = 7;
  CHECK(perch_mark_read(client, "alice", &num) == PERCH_OK && num == 0);  // nobody knows who that is
  CHECK(perch_close(client) == PERCH_OK);
}

static void talk(struct person* alice, struct person* bob, uint64_t row) {
  while (alice->messages == 0) turn(alice, bob);
  CHECK(alice->last.body.len == 3 && memcmp(alice->body, "a\0b", 3) == 0);
  CHECK(!alice->last.mine && alice->last.content == 0 && alice->last.peer == alice->last.user);
  while (bob->messages == 0) turn(alice, bob);
  CHECK(bob->last.body.len == 5 && memcmp(bob->body, "hello", 5) == 0);
  perch_row status = {.size = sizeof(status)};
  do {
    turn(alice, bob);
    CHECK(perch_status(bob->client, row, &status) == PERCH_OK);
  } while (status.mark != PERCH_DELIVERED);
  CHECK(!status.open && status.number != 0 && status.to == bob->last.user);

  size_t num = 0;
  CHECK(perch_mark_read(alice->client, "bob", &num) == PERCH_OK &&
        num == 0);  // the handle was never resolved
  CHECK(perch_resolve(alice->client, "bob") == PERCH_OK);
  while (alice->resolved == 0) turn(alice, bob);
  CHECK(bob->resolved == 1 &&
        bob->resolved_user == bob->last.user);  // what he sent to a handle asked by itself
  uint64_t user = 0;
  CHECK(perch_user_of(alice->client, "@bob", &user) == PERCH_OK && user == alice->resolved_user && user != 0);
  char handle[65] = "x";
  CHECK(perch_handle_of(alice->client, user, handle, 3) == PERCH_TOO_LARGE);
  CHECK(perch_last_detail(alice->client) == 4 && handle[0] == 'x');
  CHECK(perch_handle_of(alice->client, user, handle, sizeof(handle)) == PERCH_OK &&
        strcmp(handle, "bob") == 0);
  CHECK(perch_handle_of(alice->client, 1, handle, sizeof(handle)) == PERCH_OK && handle[0] == '\0');
  CHECK(perch_mark_read(alice->client, "bob", &num) == PERCH_OK && num == 1);
  while (bob->row.mark != PERCH_READ) turn(alice, bob);
  CHECK(bob->row.size == sizeof(perch_row) && bob->row.row == row && bob->row.kind == 0);

  CHECK(perch_unseen(alice->client, 10, on_arrival, alice) == PERCH_OK && alice->arrivals == 1);
  CHECK(perch_set_seen(alice->client, alice->last_arrival) == PERCH_OK);
  CHECK(perch_unseen(alice->client, 10, on_arrival, alice) == PERCH_OK && alice->arrivals == 1);
  CHECK(perch_history(alice->client, "bob", 10, on_line, alice) == PERCH_OK && alice->lines == 2);
  CHECK(alice->last.row == alice->answer_row && alice->last.mine && alice->last.mark >= PERCH_ACCEPTED);
  CHECK(perch_history(alice->client, "bob", 1, on_line, alice) == PERCH_OK && alice->lines == 3);

  perch_identity me = {.size = sizeof(me)};
  CHECK(perch_whoami(alice->client, &me) == PERCH_OK && me.user == bob->last.user && me.device == 1);
  CHECK(alice->last.user == me.user && alice->last.origin == me.origin);
  me.size = 0;
  CHECK(perch_whoami(alice->client, &me) == PERCH_INVALID);
}

static void* stop(void* client) {
  perch_stop(client);
  return NULL;
}

static void stop_from_elsewhere(struct person* alice) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, stop, alice->client) == 0);
  CHECK(perch_run(alice->client) == PERCH_OK);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(perch_stopped(alice->client) == PERCH_STOP_NONE);
}

static void no_server(struct person* nobody) {
  open_as(nobody, options_of(nobody, "127.0.0.1:1", "a token"));
  CHECK(perch_connects(nobody->client));
  while (nobody->offline == 0) turn(nobody, NULL);
  CHECK(!perch_online(nobody->client));
  uint64_t row = 0;
  CHECK(perch_send(nobody->client, "1", "kept", &row) == PERCH_OK && row == 1);
  CHECK(perch_close(nobody->client) == PERCH_OK);
}

static void wrong_token(struct person* alice, const char* server, const char* token) {
  open_as(alice, options_of(alice, server, "no token"));
  CHECK(perch_run(alice->client) == PERCH_OK);  // until it has stopped by itself
  CHECK(alice->stopped == PERCH_STOP_TOKEN && perch_stopped(alice->client) == PERCH_STOP_TOKEN);
  CHECK(perch_set_token(alice->client, NULL) == PERCH_INVALID);
  CHECK(perch_set_token(alice->client, token) == PERCH_OK && perch_stopped(alice->client) == PERCH_STOP_NONE);
  alice->online = 0;
  while (alice->online == 0) turn(alice, NULL);
  CHECK(perch_online(alice->client));
}

int main(int argc, char** argv) {
  CHECK(argc == 5);
  const char *folder = argv[1], *server = argv[2];
  struct person alice = {.answer = "hello"}, bob = {0}, nobody = {0};
  snprintf(alice.profile, sizeof(alice.profile), "%s/alice", folder);
  snprintf(bob.profile, sizeof(bob.profile), "%s/bob", folder);
  snprintf(nobody.profile, sizeof(nobody.profile), "%s/nobody", folder);
  uint64_t row = 0;

  CHECK(strcmp(perch_error_name(PERCH_OK), "ok") == 0 && strcmp(perch_error_name(PERCH_FULL), "full") == 0);
  CHECK(strlen(perch_stop_reason_name(PERCH_STOP_TOKEN)) > 0 &&
        strlen(perch_error_name((perch_error)99)) > 0);
  wrong_arguments(folder);
  offline(&bob, &row);
  wrong_token(&alice, server, argv[3]);
  open_as(&bob, options_of(&bob, server, argv[4]));
  talk(&alice, &bob, row);
  stop_from_elsewhere(&alice);
  CHECK(perch_close(alice.client) == PERCH_OK && perch_close(bob.client) == PERCH_OK);
  no_server(&nobody);
  printf("perch %s\n", perch_version());
  return 0;
}
