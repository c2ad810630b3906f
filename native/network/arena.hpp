// Cache-line aligned memory for activations and weights.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "network/plan.hpp"

namespace deepzero {

inline std::size_t roundedToLanes(std::size_t floats) { return (floats + kLanes - 1) / kLanes * kLanes; }

// Zeroed floats on a 64-byte boundary.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(std::size_t count);

  float* data() { return data_; }
  const float* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> memory_;
  float* data_ = nullptr;
  std::size_t size_ = 0;
};

// The buffers of a layout for a number of image blocks.
class Arena {
 public:
  Arena() = default;
  Arena(const Layout& layout, int blocks);

  float* at(int value, int block) {
    const int slot = layout_->slotOf[value];
    return memory_[slot].data() + static_cast<std::size_t>(block) * layout_->slots[slot].size();
  }
  const float* at(int value, int block) const { return const_cast<Arena*>(this)->at(value, block); }
  std::size_t bytes() const;

 private:
  const Layout* layout_ = nullptr;
  std::vector<AlignedFloats> memory_;
};

}  // namespace deepzero
