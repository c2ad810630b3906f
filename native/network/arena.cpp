#include "network/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace deepzero {

static constexpr std::size_t kHugePage = std::size_t{2} << 20, kCacheLine = 64;

static thread_local MemoryCount* currentCount = nullptr;

MemoryCount::MemoryCount() : before_(currentCount) { currentCount = this; }
MemoryCount::~MemoryCount() { currentCount = before_; }
MemoryCount* MemoryCount::current() { return currentCount; }

std::size_t checkedTimes(std::size_t size, std::size_t count) {
  if (count > 0 && size > SIZE_MAX / count) throw std::bad_alloc();
  return size * count;
}

template <typename Scalar>
Aligned<Scalar>::Aligned(std::size_t count) : size_(count) {
  // calloc leaves the zeroing of large buffers to the system, page by page as threads first touch them.
  if (count > SIZE_MAX / (2 * sizeof(Scalar))) throw std::bad_alloc();
  const std::size_t bytes = roundedToLanes(count) * sizeof(Scalar);
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kCacheLine;
  if (MemoryCount* counting = MemoryCount::current()) {
    counting->add(bytes + alignment);
    return;
  }
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

template class Aligned<float>;
template class Aligned<double>;
template class ArenaOf<float>;
template class ArenaOf<double>;

}  // namespace deepzero
