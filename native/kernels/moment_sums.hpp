// Sums for the moments of a change.
#pragma once

#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// Float sums over a row or some tens of pixels: few enough to lose no digits before they are added to double sums.
struct MomentSums {
  Vector sum{}, square{};

  void add(Vector base, Vector change) {
    sum += change;
    square += (broadcast(2.0f) * base + change) * change;
  }
  // Adds the lanes below `lanes` to the plane's sums; the first lane of these vectors is `part`.
  void addTo(PlaneMoments& plane, int part, int lanes) const {
    float laneSum[kWidth], laneSquare[kWidth];
    store(laneSum, sum);
    store(laneSquare, square);
    for (int lane = 0; lane < kWidth && part + lane < lanes; ++lane) {
      plane.sum[part + lane] += static_cast<double>(laneSum[lane]);
      plane.square[part + lane] += static_cast<double>(laneSquare[lane]);
    }
  }
};

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
