// Smaller maps from larger ones, without weights.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

void subsample(const Map& map, const float* plane, int stride, const Map& outMap, float* out) {
  for (int y = 0; y < outMap.height; ++y) {
    const float* from = plane + map.at(0, y * stride, 0);
    float* to = out + outMap.at(0, y, 0);
    for (int x = 0; x < outMap.width; ++x) {
      for (int part = 0; part < kLanes; part += kWidth) {
        store(to + x * kLanes + part, load(from + x * stride * kLanes + part));
      }
    }
  }
}

void averagePool(const Map& map, const float* plane, const Map& outMap, float* out) {
  const float scale = 1.0f / (static_cast<float>(map.height) * static_cast<float>(map.width));
  for (int part = 0; part < kLanes; part += kWidth) {
    Vector total{};
    for (int y = 0; y < map.height; ++y) {
      const float* row = plane + map.at(0, y, 0) + part;
      Vector sum{};
      for (int x = 0; x < map.width; ++x) sum += load(row + x * kLanes);
      total += sum;
    }
    store(out + outMap.at(0, 0, 0) + part, total * broadcast(scale));
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
