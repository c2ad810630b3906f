#include "network/arena.hpp"

#include <algorithm>
#include <utility>

namespace deepzero {

template <typename Scalar>
ArenaOf<Scalar>::ArenaOf(const Layout& layout, int blocks, Scalar* memory) : layout_(&layout), blocks_(blocks) {
  for (const Layout::Slot& slot : layout.slots) {
    starts_.push_back(memory);
    if (memory != nullptr) memory += slot.size * blocks;
  }
}

template <typename Scalar>
ArenaOf<Scalar>::ArenaOf(const Layout& layout, int blocks)
    : ArenaOf(layout, blocks, Aligned<Scalar>(checkedTimes(layout.size(), blocks))) {}

template <typename Scalar>
ArenaOf<Scalar>::ArenaOf(const Layout& layout, int blocks, Aligned<Scalar> memory)
    : ArenaOf(layout, blocks, memory.data()) {
  memory_ = std::move(memory);
}

template <typename Scalar>
void ArenaOf<Scalar>::clearBorders() {
  for (std::size_t s = 0; s < layout_->slots.size(); ++s) {
    const Layout::Slot& slot = layout_->slots[s];
    if (slot.map.border == 0) continue;
    const std::ptrdiff_t row = slot.map.rowStride(), side = std::ptrdiff_t{slot.map.border} * kLanes;
    const std::size_t size = slot.map.planeStride();
    for (std::size_t plane = 0; plane < slot.size / size * blocks_; ++plane) {
      Scalar *const start = starts_[s] + plane * size, *const end = start + size;
      // The end of each row and the start of the next are one piece.
      std::fill_n(start, slot.map.border * row - side, Scalar{0});
      for (Scalar* at = start + slot.map.border * row - side; at < end - slot.map.border * row; at += row) {
        std::fill_n(at, 2 * side, Scalar{0});
      }
      std::fill(end - slot.map.border * row + side, end, Scalar{0});
    }
  }
}

template class ArenaOf<float>;
template class ArenaOf<double>;

}  // namespace deepzero
