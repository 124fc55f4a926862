// OpenSSL, libcurl and Perch in one process: each is used after the others were. tests/e2e/install_test.py compiles it
// and runs it.  three_libraries PROFILE HOST:PORT TOKEN URL CA-FILE
#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <perch/perch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                       \
  do {                                                                                         \
    if (!(condition)) {                                                                        \
      fprintf(stderr, "three_libraries.c:%d: this does not hold: %s\n", __LINE__, #condition); \
      exit(1);                                                                                 \
    }                                                                                          \
  } while (0)

static void digest(void) {
  static const unsigned char kOfAbc[4] = {0xba, 0x78, 0x16, 0xbf};  // FIPS 180-2, SHA-256 of "abc"
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int len = 0;
  CHECK(EVP_Digest("abc", 3, out, &len, EVP_sha256(), NULL) == 1);
  CHECK(len == 32 && memcmp(out, kOfAbc, sizeof(kOfAbc)) == 0);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  CHECK(context != NULL);
  SSL_CTX_free(context);
}

static size_t on_bytes(char* bytes, size_t size, size_t num, void* to) {
  CHECK(strlen(to) + size * num < 64);
  strncat(to, bytes, size * num);
  return size * num;
}

// Over TLS, so that libcurl uses OpenSSL.
static void get(const char* url, const char* ca_file) {
  char body[64] = "";
  CURL* curl = curl_easy_init();
  CHECK(curl != NULL);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) fprintf(stderr, "%s: %s\n", url, curl_easy_strerror(code));
  CHECK(code == CURLE_OK && strcmp(body, "over TLS") == 0);
  curl_easy_cleanup(curl);
}

// A note to oneself, until the server has it.
static void send_note(perch_client* client) {
  perch_row row = {.size = sizeof(row)};
  perch_identity me = {.size = sizeof(me)};
  while (!perch_online(client) && perch_stopped(client) == PERCH_STOP_NONE)
    perch_poll(client, 1000, -1, NULL);
  CHECK(perch_whoami(client, &me) == PERCH_OK && me.user != 0);
  char to[32];
  snprintf(to, sizeof(to), "%llu", (unsigned long long)me.user);
  uint64_t number = 0;
  CHECK(perch_send(client, to, "a note", &number) == PERCH_OK);
  do {
    perch_poll(client, 1000, -1, NULL);
    CHECK(perch_status(client, number, &row) == PERCH_OK && perch_stopped(client) == PERCH_STOP_NONE);
  } while (row.open);
  CHECK(row.mark == PERCH_ACCEPTED || row.mark == PERCH_DELIVERED);
}

int main(int argc, char** argv) {
  CHECK(argc == 6);
  CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
  const perch_options options = {
      .size = sizeof(options), .profile = argv[1], .server = argv[2], .token = argv[3]};
  perch_client* client = NULL;
  CHECK(perch_open(&options, NULL, &client, NULL) == PERCH_OK);
  for (int round = 0; round < 2; round++) {
    digest();
    send_note(client);
    get(argv[4], argv[5]);
  }
  CHECK(perch_close(client) == PERCH_OK);
  curl_global_cleanup();
  printf("%s, %s\n", OpenSSL_version(OPENSSL_VERSION), curl_version());
  return 0;
}
