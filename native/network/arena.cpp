#include "network/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace deepzero {

static constexpr std::size_t kHugePage = std::size_t{2} << 20;

AlignedFloats::AlignedFloats(std::size_t count) : size_(count) {
  // calloc leaves the zeroing of large buffers to the system, page by page as threads first touch them.
  constexpr std::size_t kAlignment = kLanes * sizeof(float);
  if (count > SIZE_MAX / (2 * sizeof(float))) throw std::bad_alloc();
  const std::size_t bytes = roundedToLanes(count) * sizeof(float);
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* memory = std::calloc(bytes + alignment, 1);
  if (memory == nullptr) throw std::bad_alloc();
  memory_.reset(memory);
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  data_ = reinterpret_cast<float*>((address + alignment - 1) / alignment * alignment);
  // Queries run through many planes at once; each small page would cost them a walk of the page table.
  if (bytes >= kHugePage) madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
}

void AlignedFloats::Free::operator()(void* memory) const { std::free(memory); }

Arena::Arena(const Layout& layout, int blocks) : layout_(&layout) {
  for (const Map& map : layout.slots) memory_.emplace_back(map.size() * blocks);
}

std::size_t Arena::bytes() const {
  std::size_t floats = 0;
  for (const AlignedFloats& buffer : memory_) floats += buffer.size();
  return floats * sizeof(float);
}

}  // namespace deepzero
