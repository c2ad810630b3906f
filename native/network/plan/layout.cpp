#include "network/plan/layout.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace deepzero {

SlotAllocator::SlotAllocator(Layout& layout, std::size_t values) : layout_(layout) { layout.slotOf.assign(values, -1); }

void SlotAllocator::take(int value, const Map& map, int from, int until, const Yields& yields) {
  const std::size_t size = map.size();
  int best = -1;
  const auto cost = [&](int slot) {
    const std::size_t has = layout_.slots[slot].size;
    return std::make_pair(has < size ? size - has : 0, has);
  };
  for (int slot = 0; slot < static_cast<int>(layout_.slots.size()); ++slot) {
    const Map& other = layout_.slots[slot].map;
    // Of any number of channels, planes that are alike have their borders in the same places.
    const bool alike = map.height == other.height && map.width == other.width && map.border == other.border;
    const bool fits = map.border == 0 ? other.border == 0 : alike;
    if (!fits || (busyUntil_[slot] >= from && !yields(holder_[slot]))) continue;
    if (best < 0 || cost(slot) < cost(best)) best = slot;
  }
  if (best < 0) {
    own(value, map);
    best = layout_.slotOf[value];
  }
  layout_.slots[best].size = std::max(layout_.slots[best].size, size);
  busyUntil_[best] = until;
  holder_[best] = value;
  layout_.slotOf[value] = best;
}

void SlotAllocator::own(int value, const Map& map) {
  layout_.slotOf[value] = static_cast<int>(layout_.slots.size());
  layout_.slots.push_back({map.size(), map});
  busyUntil_.push_back(std::numeric_limits<int>::max());
  holder_.push_back(value);
}

}  // namespace deepzero
