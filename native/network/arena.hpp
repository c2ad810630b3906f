// Cache-line aligned memory for activations and weights, and how much of it there would be.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "network/plan.hpp"

namespace deepzero {

inline std::size_t roundedToLanes(std::size_t floats) { return (floats + kLanes - 1) / kLanes * kLanes; }

// So many buffers of a size. Throws std::bad_alloc if no size_t holds that.
std::size_t checkedTimes(std::size_t size, std::size_t count);

// While one exists, aligned memory that its thread asks for is counted and not allocated: so what is made is no good
// for computing, and its size is known before it is there.
class MemoryCount {
 public:
  MemoryCount();
  ~MemoryCount();
  MemoryCount(const MemoryCount&) = delete;
  MemoryCount& operator=(const MemoryCount&) = delete;

  std::size_t bytes() const { return bytes_; }

  // The one that exists on this thread, or null.
  static MemoryCount* current();
  void add(std::size_t bytes) { bytes_ += bytes; }

 private:
  MemoryCount* before_;
  std::size_t bytes_ = 0;
};

// Counts a vector, if anybody counts: it is small, and allocated all the same.
template <typename T>
void countVector(const std::vector<T>& vector) {
  if (MemoryCount* count = MemoryCount::current()) count->add(vector.capacity() * sizeof(T));
}

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
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> memory_;
  Scalar* data_ = nullptr;
  std::size_t size_ = 0;
};

using AlignedFloats = Aligned<float>;

// The buffers of a layout for a number of image blocks.
template <typename Scalar>
class ArenaOf {
 public:
  ArenaOf(const Layout& layout, int blocks);
  // In memory that others use too, layout.size() · blocks numbers on a 64-byte boundary.
  ArenaOf(const Layout& layout, int blocks, Scalar* memory);

  Scalar* at(int value, int block) {
    const int slot = layout_->slotOf[value];
    return starts_[slot] + static_cast<std::size_t>(block) * layout_->slots[slot].size;
  }
  const Scalar* at(int value, int block) const { return const_cast<ArenaOf*>(this)->at(value, block); }

  // Makes the borders zero, which others may have written to.
  void clearBorders();

 private:
  ArenaOf(const Layout& layout, int blocks, Aligned<Scalar> memory);

  const Layout* layout_;
  int blocks_;
  Aligned<Scalar> memory_;
  std::vector<Scalar*> starts_;  // by slot
};

using Arena = ArenaOf<float>;

}  // namespace deepzero
