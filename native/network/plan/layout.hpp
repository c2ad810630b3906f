// A layout: which values of a network share a buffer.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "kernels/kernels.hpp"

namespace deepzero {

// Values whose lifetimes do not overlap share a slot. A value with a border shares it only with values of equal planes,
// so that the zero border, written once, stays zero.
struct Layout {
  struct Slot {
    std::size_t size = 0;  // floats of one block
    Map map;               // its first value's; if that has a border, all its values have equal planes
  };
  std::vector<Slot> slots;
  std::vector<int> slotOf;  // by value, −1 for values that the layout does not hold

  // Floats of one block of all slots.
  std::size_t size() const {
    std::size_t sum = 0;
    for (const Slot& slot : slots) sum += slot.size;
    return sum;
  }
};

// Assigns values to a layout's slots.
class SlotAllocator {
 public:
  // `values` is the number of values of the network.
  SlotAllocator(Layout& layout, std::size_t values);

  // Whether a value in a slot that is still in use may be overwritten.
  using Yields = std::function<bool(int heldValue)>;

  // Assigns a slot to a value of this map that lives from step `from` to step `until`: among the slots that are free or
  // whose value `yields`, the one that has to grow least, and the smallest of those; or a new slot.
  void take(int value, const Map& map, int from, int until, const Yields& yields);

  // Assigns a slot that no other value takes.
  void own(int value, const Map& map);

 private:
  Layout& layout_;
  std::vector<int> busyUntil_, holder_;  // by slot: a step, and the value that the slot holds
};

}  // namespace deepzero
