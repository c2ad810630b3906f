#include "support/system.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace deepzero {

void adviseLargePages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  madvise(data, bytes, MADV_HUGEPAGE);
#endif
}

FileIdentity identityOf(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) return {};
#ifdef __APPLE__
  const timespec& changed = found.st_mtimespec;
#else
  const timespec& changed = found.st_mtim;
#endif
  return {found.st_dev, found.st_ino, found.st_size, changed.tv_sec, changed.tv_nsec};
}

void keepLoaded() {
  Dl_info self{};
  if (dladdr(reinterpret_cast<void*>(&keepLoaded), &self) == 0) return;
  // Its own handle is never closed. It is not loaded again, so a file that was replaced meanwhile does no harm.
  dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace deepzero
