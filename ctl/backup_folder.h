// A backup as it lies on a disk: DIR/store, the stream of store/backup_writer.h, and DIR/manifest.json, what
// is in it and when it was made. It is made as DIR.partial and gets its name when all of it is on the disk.
//
// ERRORS: said on the standard error; then the answer is false, or nothing.
#pragma once
#include <cstdio>
#include <optional>
#include <string>

#include "ctl/command.h"
#include "store/backup_reader.h"

namespace perch::ctl {

inline constexpr std::string_view kStoreFile = "store", kManifestFile = "manifest.json";

struct Manifest {
  uint64_t made_ms = 0;  // wall clock
  store::BackupSummary summary;
};

// What is told of a backup, and what its manifest says.
std::string manifest_text(const Manifest& manifest);
// The time as people and programs read it: 2026-03-01T12:00:00Z.
std::string time_text(uint64_t wall_ms);

std::string path_in(const std::string& folder, std::string_view name);

// Reads DIR/store from its first byte to its last; `visit` as of BackupReader. An error of `visit` has no
// words here: whoever gave it says why.
std::optional<store::BackupSummary> read_store(const std::string& dir, store::BackupReader::Visit visit = {});
// The same, and it is what the manifest says.
std::optional<Manifest> read_backup(const std::string& dir, store::BackupReader::Visit visit = {});

// Both files of a backup that is not whole, and its folder, are gone.
bool remove_backup(const std::string& dir);
// Whole, flushed, and under no other name.
bool write_file(const std::string& path, std::string_view text);
// Says why a system call on `path` failed, by errno. Always false.
bool complain_of(const std::string& path);

}  // namespace perch::ctl
