// Kernels that carry a change from a plane's inputs to its outputs. Contracts: kernels.hpp.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

void weightChange(const ConvolutionShape& shape, const float* plane, int row, int column, float step, float* out) {
  const Vector factor = broadcast(step);
  for (int y = 0; y < shape.out.height; ++y) {
    const float* from = plane + shape.in.at(0, y * shape.stride + row - shape.padding, column - shape.padding);
    float* to = out + shape.out.at(0, y, 0);
    for (int x = 0; x < shape.out.width; ++x) {
      for (int part = 0; part < kLanes; part += kWidth) {
        store(to + x * kLanes + part, factor * load(from + x * shape.stride * kLanes + part));
      }
    }
  }
}

void changeMoments(const Map& map, PlaneMoments* planes, int count, int lanes) {
  // Float sums are short, so that they lose no digits; double sums take them over.
  constexpr std::ptrdiff_t kAhead = 64 * kLanes;
  constexpr int kRun = 64, kChains = 2, kParts = kLanes / kWidth;
  const int pixels = map.height * map.width, run = kRun < map.width ? map.width : kRun / map.width * map.width;
  for (PlaneMoments* plane = planes; plane < planes + count; ++plane) {
    const Vector mean = broadcast(plane->mean);
    for (int first = 0; first < pixels; first += run) {
      Vector sum[kChains][kParts] = {}, square[kChains][kParts] = {};
      const int rows = (pixels - first < run ? pixels - first : run) / map.width;
      for (int y = first / map.width; y < first / map.width + rows; ++y) {
        const float* base = plane->base + map.at(0, y, 0);
        const float* change = plane->change + map.at(0, y, 0);
        const auto add = [&](int x, int chain) {
          for (int i = 0; i < kParts; ++i) {
            const std::ptrdiff_t at = std::ptrdiff_t{x} * kLanes + i * kWidth;
            __builtin_prefetch(base + at + kAhead);
            const Vector d = load(change + at), b = load(base + at) - mean;
            sum[chain][i] += d;
            square[chain][i] += (b + b + d) * d;
          }
        };
        int x = 0;
        for (; x + 1 < map.width; x += 2) {
          add(x, 0);
          add(x + 1, 1);
        }
        if (x < map.width) add(x, 0);
      }
      float laneSum[kLanes], laneSquare[kLanes];
      for (int i = 0; i < kParts; ++i) {
        store(laneSum + i * kWidth, sum[0][i] + sum[1][i]);
        store(laneSquare + i * kWidth, square[0][i] + square[1][i]);
      }
      for (int lane = 0; lane < (lanes < kLanes ? lanes : kLanes); ++lane) {
        plane->sum[lane] += static_cast<double>(laneSum[lane]);
        plane->square[lane] += static_cast<double>(laneSquare[lane]);
      }
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
      const Vector delta = load(change + j * kLanes + part);
      label += load(labels + std::ptrdiff_t{channels[j]} * kLanes + part) * delta;
      most = atLeast(most, delta > -delta ? delta : -delta);
    }
    Vector sum{};
    for (int c = 0, j = 0; c < classes; ++c) {
      const bool changes = j < count && channels[j] == c;
      const Vector delta = changes ? load(change + j++ * kLanes + part) : Vector{};
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
