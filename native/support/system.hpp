// Where operating systems differ; no other file of the core asks which one it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>

namespace deepzero {

// Asks for large pages; where the system takes no advice (macOS), does nothing.
void adviseLargePages(void* data, std::size_t bytes);

// Distinguishes a file from another one of the same path; zeros where there is none.
using FileIdentity = std::tuple<std::uint64_t, std::uint64_t, std::int64_t, std::int64_t, std::int64_t>;
FileIdentity identityOf(const std::string& path);

// Keeps the shared object that holds this function in memory until the process ends, also if its loader closes it.
void keepLoaded();

}  // namespace deepzero
