#include "network/arena.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace deepzero {

AlignedFloats::AlignedFloats(std::size_t count) : size_(count) {
  const std::size_t bytes = std::max<std::size_t>(roundedToLanes(count), kLanes) * sizeof(float);
  void* memory = std::aligned_alloc(kLanes * sizeof(float), bytes);
  if (memory == nullptr) throw std::bad_alloc();
  data_.reset(static_cast<float*>(memory));
  std::fill_n(data_.get(), bytes / sizeof(float), 0.0f);
}

void AlignedFloats::Free::operator()(float* memory) const { std::free(memory); }

Arena::Arena(const Layout& layout, int blocks) : layout_(&layout) {
  for (const Map& map : layout.slots) memory_.emplace_back(map.size() * blocks);
}

std::size_t Arena::bytes() const {
  std::size_t floats = 0;
  for (const AlignedFloats& buffer : memory_) floats += buffer.size();
  return floats * sizeof(float);
}

}  // namespace deepzero
