// Channel statistics in two passes over a block that the cache still holds: a row is summed in float, rows in double,
// so that neither a large mean nor a large map costs digits.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// Σ over the plane of (x − center)^Power for each lane.
template <int Power, typename Scalar>
static inline void laneSums(const Map& map, const Scalar* plane, Scalar center, double* sums) {
  using Vector = typename Simd<Scalar>::Vector;
  constexpr int kWidth = Simd<Scalar>::kWidth;
  for (int lane = 0; lane < kLanes; ++lane) sums[lane] = 0;
  const Vector c = broadcast(center);
  for (int y = 0; y < map.height; ++y) {
    const Scalar* row = plane + y * map.rowStride();
    Scalar sum[kLanes];
    for (int part = 0; part < kLanes; part += kWidth) {
      // Two chains of additions hide half of their latency.
      Vector even{}, odd{};
      int x = 0;
      for (; x + 1 < map.width; x += 2) {
        const Vector a = load(row + x * kLanes + part) - c, b = load(row + (x + 1) * kLanes + part) - c;
        even += Power == 1 ? a : a * a;
        odd += Power == 1 ? b : b * b;
      }
      if (x < map.width) {
        const Vector a = load(row + x * kLanes + part) - c;
        even += Power == 1 ? a : a * a;
      }
      store(sum + part, even + odd);
    }
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] += static_cast<double>(sum[lane]);
  }
}

static inline double total(const double* sums, int lanes) {
  double result = 0;
  for (int lane = 0; lane < lanes; ++lane) result += sums[lane];
  return result;
}

template <typename Scalar>
void moments(const Map& map, const Scalar* in, int lanes, double* mean, double* squares) {
  const double count = static_cast<double>(lanes) * map.height * map.width;
  double sums[kLanes];
  for (int c = 0; c < map.channels; ++c) {
    const Scalar* plane = in + map.at(c, 0, 0);
    laneSums<1>(map, plane, Scalar{0}, sums);
    mean[c] = total(sums, lanes) / count;
    // The center is the rounded mean; the contribution of its rounding is subtracted.
    const Scalar center = static_cast<Scalar>(mean[c]);
    laneSums<2>(map, plane, center, sums);
    const double offset = mean[c] - static_cast<double>(center);
    squares[c] = total(sums, lanes) - count * offset * offset;
  }
}

template void moments(const Map&, const float*, int, double*, double*);
template void moments(const Map&, const double*, int, double*, double*);

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
