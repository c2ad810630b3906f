// Plain data as numbers that travel.
#pragma once

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace deepzero {

// Ranks run the same program, so a type has the same bytes everywhere.
class MessageWriter {
 public:
  template <typename T>
  void put(const T& value) {
    put(&value, 1);
  }
  template <typename T>
  void put(const T* values, std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    const std::size_t start = numbers_.size(), bytes = count * sizeof(T);
    numbers_.resize(start + (bytes + sizeof(double) - 1) / sizeof(double));
    if (bytes > 0) std::memcpy(numbers_.data() + start, values, bytes);
  }
  const std::vector<double>& numbers() const { return numbers_; }
  // Leaves nothing behind.
  std::vector<double> take() { return std::move(numbers_); }

 private:
  std::vector<double> numbers_;
};

class MessageReader {
 public:
  // The numbers must outlive what is taken of them.
  explicit MessageReader(const std::vector<double>& numbers) : numbers_(numbers) {}

  template <typename T>
  T take() {
    T value;
    std::memcpy(static_cast<void*>(&value), takeArray<std::byte>(sizeof value), sizeof value);
    return value;
  }
  // An array in the message itself.
  template <typename T>
  const T* takeArray(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignof(double));
    const std::size_t length = (count * sizeof(T) + sizeof(double) - 1) / sizeof(double);
    if (length > numbers_.size() - at_) throw std::runtime_error("a message of another rank ends too early");
    const double* const found = numbers_.data() + at_;
    at_ += length;
    return reinterpret_cast<const T*>(found);
  }
  // The bytes of all that was taken so far, by which to recognise it.
  std::string taken() const { return {reinterpret_cast<const char*>(numbers_.data()), at_ * sizeof(double)}; }

 private:
  const std::vector<double>& numbers_;
  std::size_t at_ = 0;
};

}  // namespace deepzero
