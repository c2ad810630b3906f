// Smaller maps from larger ones, without weights.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

template <typename Scalar>
void subsample(const Map& map, const Scalar* plane, int stride, const Map& outMap, Scalar* out) {
  for (int y = 0; y < outMap.height; ++y) {
    const Scalar* from = plane + map.at(0, y * stride, 0);
    Scalar* to = out + outMap.at(0, y, 0);
    for (int x = 0; x < outMap.width; ++x) {
      for (int part = 0; part < kLanes; part += Simd<Scalar>::kWidth) {
        store(to + x * kLanes + part, load(from + x * stride * kLanes + part));
      }
    }
  }
}

template <typename Scalar>
void averagePool(const Map& map, const Scalar* plane, const Map& outMap, Scalar* out) {
  using Vector = typename Simd<Scalar>::Vector;
  const Scalar scale = Scalar{1} / (static_cast<Scalar>(map.height) * static_cast<Scalar>(map.width));
  for (int part = 0; part < kLanes; part += Simd<Scalar>::kWidth) {
    Vector total{};
    for (int y = 0; y < map.height; ++y) {
      const Scalar* row = plane + map.at(0, y, 0) + part;
      Vector sum{};
      for (int x = 0; x < map.width; ++x) sum += load(row + x * kLanes);
      total += sum;
    }
    store(out + outMap.at(0, 0, 0) + part, total * broadcast(scale));
  }
}

template void subsample(const Map&, const float*, int, const Map&, float*);
template void subsample(const Map&, const double*, int, const Map&, double*);
template void averagePool(const Map&, const float*, const Map&, float*);
template void averagePool(const Map&, const double*, const Map&, double*);

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
