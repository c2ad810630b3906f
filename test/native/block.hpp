// One image block between guard words, and what a kernel must leave as it was.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "harness.hpp"
#include "kernels/kernels.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace deepzero::test {

// A repeatable sequence of floats in [−1, 1); xorshift64* by Vigna.
class Values {
 public:
  explicit Values(std::uint64_t seed = 1) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  float next() { return static_cast<float>(bits() >> 40) * 0x1p-23f - 1.0f; }
  int below(int bound) { return static_cast<int>((bits() >> 33) % static_cast<std::uint64_t>(bound)); }

 private:
  std::uint64_t bits() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1Du;
  }
  std::uint64_t state_;
};

inline std::vector<float> draw(std::size_t count, Values& values) {
  std::vector<float> result(count);
  for (float& value : result) value = values.next();
  return result;
}

// A quiet NaN with a payload that no arithmetic makes: what is read by mistake shows, and so does what is overwritten.
inline float sentinel() {
  const std::uint32_t bits = 0x7FC0DEADu;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline bool isSentinel(float value) {
  const float expected = sentinel();
  return std::memcmp(&value, &expected, sizeof value) == 0;
}

class Block {
 public:
  // Every float is the sentinel.
  explicit Block(const Map& map)
      : map_(map),
        storage_(static_cast<float*>(::operator new((map.size() + 2 * kGuard) * sizeof(float), kAlignment))) {
    std::fill_n(storage_.get(), map.size() + 2 * kGuard, sentinel());
  }

  // A kernel's input: random pixels in a border of zeros. Under the address sanitizer, reading a guard word stops the
  // test.
  Block(const Map& map, Values& values) : Block(map) {
    std::fill_n(data(), map.size(), 0.0f);
    fill([&](int) { return values.next(); });
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(storage_.get(), kGuard * sizeof(float));
    ASAN_POISON_MEMORY_REGION(data() + map.size(), kGuard * sizeof(float));
#endif
  }

  const Map& map() const { return map_; }
  float* data() { return storage_.get() + kGuard; }
  float& at(int image, int channel, int row, int column) { return data()[map_.at(channel, row, column) + image]; }

  // Sets every pixel of every image to value(image).
  template <typename Function>
  void fill(const Function& value) {
    for (int c = 0; c < map_.channels; ++c) {
      for (int y = 0; y < map_.height; ++y) {
        float* row = data() + map_.at(c, y, 0);
        for (int i = 0; i < map_.width * kLanes; ++i) row[i] = value(i % kLanes);
      }
    }
  }

  // Sets every pixel to that of an equally large block, and leaves the border.
  void copyPixels(Block& other) {
    for (int c = 0; c < map_.channels; ++c) {
      for (int y = 0; y < map_.height; ++y) {
        std::copy_n(&other.at(0, c, y, 0), map_.width * kLanes, &at(0, c, y, 0));
      }
    }
  }

  float* plane(int channel) { return data() + channel * map_.planeStride(); }
  // Fills a plane, border included, with what must not be read.
  void spoil(int channel) { std::fill_n(plane(channel), map_.planeStride(), sentinel()); }

  // NaN and both infinities, each in one image of one pixel per channel.
  void addSpecials(Values& values) {
    const float specials[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity()};
    for (int c = 0; c < map_.channels; ++c) {
      for (const float special : specials) {
        // One draw a statement: the order in which arguments are evaluated differs by compiler.
        const int column = values.below(map_.width), row = values.below(map_.height);
        at(values.below(kLanes), c, row, column) = special;
      }
    }
  }

  // Says so if a guard word or border pixel is no longer the sentinel.
  std::string overrun() {
    for (std::size_t i = 0; i < kGuard; ++i) {
      if (!isSentinel(storage_[i])) return text("guard word ", kGuard - i, " before the output was written");
      if (!isSentinel(data()[map_.size() + i])) return text("guard word ", i + 1, " after the output was written");
    }
    for (int c = 0; c < map_.channels; ++c) {
      for (int y = -map_.border; y < map_.height + map_.border; ++y) {
        for (int x = -map_.border; x < map_.width + map_.border; ++x) {
          const bool inside = y >= 0 && y < map_.height && x >= 0 && x < map_.width;
          for (int n = 0; n < kLanes && !inside; ++n) {
            if (!isSentinel(at(n, c, y, x))) return text("border pixel ", c, ",", y, ",", x, " was written");
          }
        }
      }
    }
    return "";
  }

 private:
  struct Free {
    void operator()(float* storage) const {
#if defined(__SANITIZE_ADDRESS__)
      ASAN_UNPOISON_MEMORY_REGION(storage, 1);
#endif
      ::operator delete(storage, kAlignment);
    }
  };

  static constexpr std::align_val_t kAlignment{64};
  static constexpr std::size_t kGuard = 64;
  Map map_;
  std::unique_ptr<float[], Free> storage_;
};

// What a pixel should be; `tolerance` is on top of rounding the value itself to float.
struct Expected {
  double value = 0;
  double tolerance = 0;
};

// Holds every pixel of every image against expected(image, channel, row, column), then looks for overruns.
template <typename Function>
std::string compare(Block& out, const Function& expected) {
  const Map& map = out.map();
  for (int n = 0; n < kLanes; ++n) {
    for (int c = 0; c < map.channels; ++c) {
      for (int y = 0; y < map.height; ++y) {
        for (int x = 0; x < map.width; ++x) {
          const Expected wanted = expected(n, c, y, x);
          const float got = out.at(n, c, y, x);
          const bool near = std::isfinite(wanted.value) && std::abs(got - wanted.value) <= wanted.tolerance;
          const bool same = std::isnan(wanted.value) ? std::isnan(got) && !isSentinel(got)
                                                     : near || got == static_cast<float>(wanted.value);
          if (!same) {
            return text("image ", n, ", channel ", c, ", pixel ", y, ",", x, ": got ", got, ", expected ", wanted.value,
                        " within ", wanted.tolerance);
          }
        }
      }
    }
  }
  return out.overrun();
}

}  // namespace deepzero::test
