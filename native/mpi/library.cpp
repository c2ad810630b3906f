#include "mpi/library.hpp"

#include <dlfcn.h>

#include <stdexcept>

#include "support/text.hpp"

namespace deepzero {

void MpiLibrary::Close::operator()(void* handle) const { dlclose(handle); }

// Global, because Open MPI's plugins take its symbols from the process.
MpiLibrary::MpiLibrary(const std::string& path) : path_(path), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL)) {
  if (handle_) return;
  const char* const why = dlerror();
  throw std::runtime_error(why != nullptr ? inOneLine(why) : path + ": cannot be loaded");
}

bool MpiLibrary::has(const char* symbol) const { return dlsym(handle_.get(), symbol) != nullptr; }

void* MpiLibrary::find(const char* symbol) const {
  if (void* const found = dlsym(handle_.get(), symbol)) return found;
  throw std::runtime_error(path_ + ": expected an MPI library, found no " + symbol + " in it");
}

}  // namespace deepzero
