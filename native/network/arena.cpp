#include "network/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace deepzero {

static constexpr std::size_t kHugePage = std::size_t{2} << 20;

static thread_local MemoryCount* currentCount = nullptr;

MemoryCount::MemoryCount() : before_(currentCount) { currentCount = this; }
MemoryCount::~MemoryCount() { currentCount = before_; }
MemoryCount* MemoryCount::current() { return currentCount; }

template <typename Scalar>
Aligned<Scalar>::Aligned(std::size_t count) : size_(count) {
  // calloc leaves the zeroing of large buffers to the system, page by page as threads first touch them.
  constexpr std::size_t kAlignment = 64;
  if (count > SIZE_MAX / (2 * sizeof(Scalar))) throw std::bad_alloc();
  const std::size_t bytes = roundedToLanes(count) * sizeof(Scalar);
  if (MemoryCount* counting = MemoryCount::current()) {
    counting->add(bytes + kAlignment);
    return;
  }
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* memory = std::calloc(bytes + alignment, 1);
  if (memory == nullptr) throw std::bad_alloc();
  memory_.reset(memory);
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  data_ = reinterpret_cast<Scalar*>((address + alignment - 1) / alignment * alignment);
  // Queries run through many planes at once; each small page would cost them a walk of the page table.
  if (bytes >= kHugePage) madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
}

template <typename Scalar>
void Aligned<Scalar>::Free::operator()(void* memory) const {
  std::free(memory);
}

template <typename Scalar>
ArenaOf<Scalar>::ArenaOf(const Layout& layout, int blocks) : layout_(&layout) {
  for (const std::size_t size : layout.slots) memory_.emplace_back(size * blocks);
}

template class Aligned<float>;
template class Aligned<double>;
template class ArenaOf<float>;
template class ArenaOf<double>;

}  // namespace deepzero
