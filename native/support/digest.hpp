// A number that tells contents apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace deepzero {

// FNV-1a of bytes.
class Digest {
 public:
  template <typename T>
  void add(const T* values, std::size_t count) {
    unsigned char bytes[sizeof(T)];
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(bytes, values + i, sizeof(T));
      for (const unsigned char byte : bytes) value_ = (value_ ^ byte) * 0x100000001b3;
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace deepzero
