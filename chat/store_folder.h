// StoreFolder: a node's folder on disk: its lock, the two LMDB environments in it, the writer over them.
//
// ON: the main thread; recover() and the writer are the store thread's.
// ERRORS: one line each for the operator. Empty: none.
#pragma once
#include <memory>
#include <string>

#include "core/limits.h"
#include "core/random.h"
#include "store/folder_lock.h"
#include "store/writer.h"

namespace perch::chat {

class StoreFolder {
 public:
  StoreFolder() = default;
  ~StoreFolder();  // the lock goes last
  StoreFolder(const StoreFolder&) = delete;
  StoreFolder& operator=(const StoreFolder&) = delete;

  // REQUIRES: the folder is there. One process holds it.
  [[nodiscard]] std::string lock(const std::string& path);
  // `restored`: the store was put back from a copy, and the operator says so. A store that was, and of which
  // nobody says so, is refused.
  [[nodiscard]] std::string open(const Limits& limits, Random& random, bool restored);
  // Hands what waits to the visitor. Empty too if the visitor stopped it. REQUIRES: open(), once.
  [[nodiscard]] std::string recover(store::RecoveryVisitor& visitor);
  store::Writer& writer() { return *writer_; }

 private:
  std::string explain(const char* what, const Error& error) const;
  std::string check_age(bool restored, Random& random);
  std::string save_ceiling(uint64_t ceiling);
  std::string path_;
  store::FolderLock lock_;
  std::unique_ptr<store::Kv> journal_;
  std::unique_ptr<store::Kv> tables_;
  std::unique_ptr<store::Writer> writer_;
};

}  // namespace perch::chat
