#include "support/aligned.hpp"

#include <cstdint>
#include <cstdlib>
#include <new>

#include "support/system.hpp"

namespace deepzero {

static constexpr std::size_t kHugePage = std::size_t{2} << 20, kCacheLine = 64;

static thread_local MemoryCount* currentCount = nullptr;
static thread_local std::ptrdiff_t allocatedHere = 0;

MemoryCount::MemoryCount() : before_(currentCount) { currentCount = this; }
MemoryCount::~MemoryCount() { currentCount = before_; }
MemoryCount* MemoryCount::current() { return currentCount; }

std::size_t checkedTimes(std::size_t size, std::size_t count) {
  if (count > 0 && size > SIZE_MAX / count) throw std::bad_alloc();
  return size * count;
}

std::ptrdiff_t alignedBytes() { return allocatedHere; }

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
  memory_ = {memory, Free{bytes + alignment}};
  allocatedHere += static_cast<std::ptrdiff_t>(bytes + alignment);
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  data_ = reinterpret_cast<Scalar*>((address + alignment - 1) / alignment * alignment);
  // Queries run through many planes at once; each small page would cost them a walk of the page table.
  if (bytes >= kHugePage) adviseLargePages(data_, bytes / kHugePage * kHugePage);
}

template <typename Scalar>
void Aligned<Scalar>::Free::operator()(void* memory) const {
  allocatedHere -= static_cast<std::ptrdiff_t>(bytes);
  std::free(memory);
}

template class Aligned<float>;
template class Aligned<double>;

}  // namespace deepzero
