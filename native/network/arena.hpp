// The buffers in which a pass stores the values of a network.
#pragma once

#include <cstddef>
#include <vector>

#include "network/plan/plan.hpp"
#include "support/aligned.hpp"

namespace deepzero {

// The buffers of a layout, for a number of image blocks.
template <typename Scalar>
class ArenaOf {
 public:
  ArenaOf(const Layout& layout, int blocks);
  // In memory that the caller owns and may share: layout.size() · blocks numbers on a 64-byte boundary.
  ArenaOf(const Layout& layout, int blocks, Scalar* memory);

  Scalar* at(int value, int block) {
    const int slot = layout_->slotOf[value];
    return starts_[slot] + static_cast<std::size_t>(block) * layout_->slots[slot].size;
  }
  const Scalar* at(int value, int block) const { return const_cast<ArenaOf*>(this)->at(value, block); }

  // Zeroes the borders. Needed where other buffers share the memory and may have written there.
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
