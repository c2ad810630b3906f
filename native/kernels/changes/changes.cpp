// Kernels that carry a change from a plane's inputs to its outputs. Contracts: list.hpp.
#include "kernels/changes/change_rows.hpp"
#include "kernels/moment_sums.hpp"
#include "kernels/table.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

static inline void measurePlane(const Map& map, PlaneMoments& plane, int lanes) {
  const int atOnce = rowsAtOnce(map.width);
  for (int part = 0; part < kLanes; part += kWidth) {
    for (int first = 0; first < map.height; first += atOnce) {
      // Two chains of additions hide half of their latency.
      MomentSums even, odd;
      for (int y = first; y < map.height && y < first + atOnce; ++y) {
        const float* base = plane.base + map.at(0, y, 0) + part;
        const float* change = plane.change + map.at(0, y, 0) + part;
        int x = 0;
        for (; x + 1 < map.width; x += 2) {
          __builtin_prefetch(base + x * kLanes + kAhead);
          __builtin_prefetch(base + (x + 1) * kLanes + kAhead);
          even.add(load(base + x * kLanes), load(change + x * kLanes));
          odd.add(load(base + (x + 1) * kLanes), load(change + (x + 1) * kLanes));
        }
        if (x < map.width) even.add(load(base + x * kLanes), load(change + x * kLanes));
      }
      even.sum += odd.sum;
      even.square += odd.square;
      even.addTo(plane, part, lanes);
    }
  }
}

void changeMoments(const Map& map, PlaneMoments* planes, int count, int lanes) {
  // A copy, since a store may alias what is behind a reference.
  const Map copy = map;
  for (PlaneMoments* plane = planes; plane < planes + count; ++plane) measurePlane(copy, *plane, lanes);
}

void activateChange(const Activation& shape, const PlaneChange* planes, int count) {
  // What does not change is one vector of zeros, read again and again.
  static const float kZeros[kLanes] = {};
  for (const PlaneChange* plane = planes; plane < planes + count; ++plane) {
    if (plane->change == nullptr) {
      activateRows(shape, *plane, ChangeRows<false>{kZeros, 0, 0}, 0, shape.out.height);
    } else {
      const ChangeRows<true> rows{plane->change + shape.in.at(0, 0, 0), shape.in.rowStride(), kLanes};
      activateRows(shape, *plane, rows, 0, shape.out.height);
    }
  }
}

// eˣ − 1 for |x| <= 1, by its series: the first neglected term is below 3e-8 relative.
static inline Vector expm1(Vector x) {
  Vector sum = broadcast(1.0f / 3628800);
  sum = sum * x + broadcast(1.0f / 362880);
  sum = sum * x + broadcast(1.0f / 40320);
  sum = sum * x + broadcast(1.0f / 5040);
  sum = sum * x + broadcast(1.0f / 720);
  sum = sum * x + broadcast(1.0f / 120);
  sum = sum * x + broadcast(1.0f / 24);
  sum = sum * x + broadcast(1.0f / 6);
  sum = sum * x + broadcast(0.5f);
  return x + x * x * sum;
}

// log(1 + u) = 2·atanh(s), s = u/(2 + u), for 1/e <= 1 + u <= e, where s² < 0.214.
static inline Vector log1p(Vector u) {
  const Vector s = u / (broadcast(2.0f) + u), square = s * s;
  Vector sum = broadcast(1.0f / 21);
  for (int odd = 19; odd >= 3; odd -= 2) sum = sum * square + broadcast(1.0f / static_cast<float>(odd));
  return (s + s) * (broadcast(1.0f) + square * sum);
}

double crossEntropyChange(const float* probabilities, const float* labels, int classes, const float* change,
                          const int* channels, int count, int lanes, float* largest) {
  float result[kLanes], extent[kLanes];
  for (int part = 0; part < kLanes; part += kWidth) {
    Vector label{}, most{};
    for (int j = 0; j < count; ++j) {
      const Vector delta = load(change + std::ptrdiff_t{channels[j]} * kLanes + part);
      label += load(labels + std::ptrdiff_t{channels[j]} * kLanes + part) * delta;
      most = atLeast(most, delta > -delta ? delta : -delta);
    }
    Vector sum{};
    for (int c = 0, j = 0; c < classes; ++c) {
      const bool changes = j < count && channels[j] == c;
      const Vector delta = changes ? load(change + std::ptrdiff_t{c} * kLanes + part) : Vector{};
      j += changes;
      sum += load(probabilities + std::ptrdiff_t{c} * kLanes + part) * expm1(delta - label);
    }
    store(result + part, log1p(sum));
    store(extent + part, most);
  }
  double total = 0;
  *largest = 0;
  for (int lane = 0; lane < lanes; ++lane) {
    total += static_cast<double>(result[lane]);
    if (extent[lane] > *largest) *largest = extent[lane];
  }
  return total;
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
