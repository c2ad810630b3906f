// Cache-line aligned memory for activations and weights, and a way to count it without allocating it.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/kernels.hpp"

namespace deepzero {

inline std::size_t roundedToLanes(std::size_t floats) { return (floats + kLanes - 1) / kLanes * kLanes; }

// size · count. Throws std::bad_alloc if that overflows.
std::size_t checkedTimes(std::size_t size, std::size_t count);

// While one exists, every Aligned that its thread constructs adds its size to the count and allocates nothing. So the
// constructors that allocate a computation's memory also tell how much that is; what they construct cannot compute.
class MemoryCount {
 public:
  MemoryCount();
  ~MemoryCount();
  MemoryCount(const MemoryCount&) = delete;
  MemoryCount& operator=(const MemoryCount&) = delete;

  std::size_t bytes() const { return bytes_; }

  // The innermost one of this thread, or null.
  static MemoryCount* current();
  void add(std::size_t bytes) { bytes_ += bytes; }

 private:
  MemoryCount* before_;
  std::size_t bytes_ = 0;
};

// Adds a vector to the count, if there is one. Vectors are small, so they are allocated all the same.
template <typename T>
void countVector(const std::vector<T>& vector) {
  if (MemoryCount* count = MemoryCount::current()) count->add(vector.capacity() * sizeof(T));
}

// Bytes that this thread has allocated in Aligned buffers, less those that it has freed.
std::ptrdiff_t alignedBytes();

// Zeroed numbers on a 64-byte boundary.
template <typename Scalar>
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(std::size_t count);

  Scalar* data() { return data_; }
  const Scalar* data() const { return data_; }
  std::size_t size() const { return size_; }
  Scalar& operator[](std::size_t i) { return data_[i]; }
  const Scalar& operator[](std::size_t i) const { return data_[i]; }

 private:
  struct Free {
    std::size_t bytes = 0;
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> memory_;
  Scalar* data_ = nullptr;
  std::size_t size_ = 0;
};

using AlignedFloats = Aligned<float>;

}  // namespace deepzero
