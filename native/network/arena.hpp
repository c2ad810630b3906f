// Cache-line aligned memory for activations and weights.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "network/plan.hpp"

namespace deepzero {

inline std::size_t roundedToLanes(std::size_t floats) { return (floats + kLanes - 1) / kLanes * kLanes; }

// Zeroed numbers on a 64-byte boundary.
template <typename Scalar>
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(std::size_t count);

  Scalar* data() { return data_; }
  const Scalar* data() const { return data_; }
  std::size_t size() const { return size_; }

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
  ArenaOf() = default;
  ArenaOf(const Layout& layout, int blocks);

  Scalar* at(int value, int block) {
    const int slot = layout_->slotOf[value];
    return memory_[slot].data() + static_cast<std::size_t>(block) * layout_->slots[slot];
  }
  const Scalar* at(int value, int block) const { return const_cast<ArenaOf*>(this)->at(value, block); }
  std::size_t bytes() const;

 private:
  const Layout* layout_ = nullptr;
  std::vector<Aligned<Scalar>> memory_;
};

using Arena = ArenaOf<float>;

}  // namespace deepzero
