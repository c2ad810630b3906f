// Kernels that treat every pixel alike: each is a row operation, repeated over the rows of all planes.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

void normalize(const Map& inMap, const float* in, const float* mean, const float* scale, const float* shift,
               float floor, const Map& outMap, float* out) {
  const std::ptrdiff_t length = std::ptrdiff_t{outMap.width} * kLanes;
  const Vector lowest = broadcast(floor);
  for (int c = 0; c < outMap.channels; ++c) {
    const Vector m = broadcast(mean[c]), s = broadcast(scale[c]), t = broadcast(shift[c]);
    for (int y = 0; y < outMap.height; ++y) {
      const float* from = in + inMap.at(c, y, 0);
      float* to = out + outMap.at(c, y, 0);
      for (std::ptrdiff_t i = 0; i < length; i += kWidth) {
        store(to + i, atLeast(lowest, (load(from + i) - m) * s + t));
      }
    }
  }
}

void clamp(const Map& inMap, const float* in, float floor, const Map& outMap, float* out) {
  const std::ptrdiff_t length = std::ptrdiff_t{outMap.width} * kLanes;
  const Vector lowest = broadcast(floor);
  for (int c = 0; c < outMap.channels; ++c) {
    for (int y = 0; y < outMap.height; ++y) {
      const float* from = in + inMap.at(c, y, 0);
      float* to = out + outMap.at(c, y, 0);
      for (std::ptrdiff_t i = 0; i < length; i += kWidth) store(to + i, atLeast(lowest, load(from + i)));
    }
  }
}

void add(const Map& aMap, const float* a, const Map& bMap, const float* b, float floor, const Map& outMap, float* out) {
  const std::ptrdiff_t length = std::ptrdiff_t{outMap.width} * kLanes;
  const Vector lowest = broadcast(floor);
  for (int c = 0; c < outMap.channels; ++c) {
    for (int y = 0; y < outMap.height; ++y) {
      const float* first = a + aMap.at(c, y, 0);
      const float* second = b + bMap.at(c, y, 0);
      float* to = out + outMap.at(c, y, 0);
      for (std::ptrdiff_t i = 0; i < length; i += kWidth) {
        store(to + i, atLeast(lowest, load(first + i) + load(second + i)));
      }
    }
  }
}

void subsample(const Map& inMap, const float* in, int stride, const Map& outMap, float* out) {
  const int before = (outMap.channels - inMap.channels) / 2;
  for (int c = 0; c < outMap.channels; ++c) {
    const bool padded = c < before || c >= before + inMap.channels;
    for (int y = 0; y < outMap.height; ++y) {
      float* to = out + outMap.at(c, y, 0);
      for (int x = 0; x < outMap.width; ++x) {
        for (int part = 0; part < kLanes; part += kWidth) {
          const Vector value = padded ? Vector{} : load(in + inMap.at(c - before, y * stride, x * stride) + part);
          store(to + x * kLanes + part, value);
        }
      }
    }
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
