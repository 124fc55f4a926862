// A commit of a profile is on the disk before anybody is told (DELIVERY.md H33). No kill shows that: what
// SQLite has not flushed is lost with the machine alone. So its own file system says when the log is flushed.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "client/sqlite_store.h"
#include "tests/unit/temp_folder.h"

namespace perch::client {
namespace {

size_t num_flushes = 0;
sqlite3_vfs* system_files = nullptr;
sqlite3_vfs counting_files;
const sqlite3_io_methods* log_methods = nullptr;
sqlite3_io_methods counting_methods;

int flush(sqlite3_file* file, int flags) {
  ++num_flushes;
  return log_methods->xSync(file, flags);
}

// The write-ahead log, where SQLite commits.
int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  const int code = system_files->xOpen(system_files, name, file, flags, out_flags);
  if (code != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0) return code;
  log_methods = file->pMethods;
  counting_methods = *log_methods;
  counting_methods.xSync = flush;
  file->pMethods = &counting_methods;
  return code;
}

TEST(SqliteFlushTest, EveryCommitIsFlushed) {
  system_files = sqlite3_vfs_find(nullptr);
  ASSERT_NE(system_files, nullptr);
  counting_files = *system_files;
  counting_files.zName = "counting";
  counting_files.xOpen = open_file;
  ASSERT_EQ(sqlite3_vfs_register(&counting_files, 1), SQLITE_OK);

  const TempFolder folder;
  const std::unique_ptr<Random> random = seeded_random(1);
  auto store = SqliteStore::open(folder.path() + "/me", *random, true);
  ASSERT_TRUE(store.ok());
  for (int i = 0; i < 5; ++i) {
    const size_t before = num_flushes;
    (*store)->begin();
    NewRow row;
    row.to = 7;
    (*store)->add_row(row);
    ASSERT_TRUE((*store)->commit().ok());
    EXPECT_GT(num_flushes, before) << "commit " << i;
  }
}

}  // namespace
}  // namespace perch::client
