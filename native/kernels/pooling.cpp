#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

void maxPool(const Map& inMap, const float* in, int kernel, int stride, const Map& outMap, float* out) {
  for (int c = 0; c < outMap.channels; ++c) {
    for (int y = 0; y < outMap.height; ++y) {
      for (int x = 0; x < outMap.width; ++x) {
        const float* window = in + inMap.at(c, y * stride, x * stride);
        for (int part = 0; part < kLanes; part += kWidth) {
          Vector largest = load(window + part);
          for (int row = 0; row < kernel; ++row) {
            for (int column = 0; column < kernel; ++column) {
              const Vector value = load(window + row * inMap.rowStride() + column * kLanes + part);
              // A comparison with NaN is false: the running maximum is kept only where it is a NaN itself or truly
              // larger.
              largest = (largest != largest) | (largest > value) ? largest : value;
            }
          }
          store(out + outMap.at(c, y, x) + part, largest);
        }
      }
    }
  }
}

void averagePool(const Map& inMap, const float* in, const Map& outMap, float* out) {
  const float scale = 1.0f / (static_cast<float>(inMap.height) * static_cast<float>(inMap.width));
  for (int c = 0; c < inMap.channels; ++c) {
    for (int part = 0; part < kLanes; part += kWidth) {
      Vector total{};
      for (int y = 0; y < inMap.height; ++y) {
        const float* row = in + inMap.at(c, y, 0) + part;
        Vector sum{};
        for (int x = 0; x < inMap.width; ++x) sum += load(row + x * kLanes);
        total += sum;
      }
      store(out + outMap.at(c, 0, 0) + part, total * broadcast(scale));
    }
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
