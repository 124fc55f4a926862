#include "core/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace perch {

Result<TextFile> read_text_file(const std::string& path, size_t bytes_max) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{Errc::kSystem, errno};
  struct stat status {};
  fstat(fd, &status);
  TextFile file;
  file.others_read = S_ISREG(status.st_mode) && (status.st_mode & S_IROTH) != 0;
  file.text.resize(bytes_max + 1);
  size_t size = 0;
  ssize_t got = 0;
  while (size < file.text.size() && (got = read(fd, file.text.data() + size, file.text.size() - size)) > 0)
    size += static_cast<size_t>(got);
  const int error = errno;
  close(fd);
  if (got < 0) return Error{Errc::kSystem, error};
  if (size > bytes_max) return Error{Errc::kTooLarge, static_cast<int64_t>(bytes_max)};
  file.text.resize(size);
  return file;
}

}  // namespace perch
