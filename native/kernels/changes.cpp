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

void changeMoments(const Map& map, const float* plane, const float* change, float mean, int lanes, double sums[2]) {
  // Float sums are short, so that they lose no digits; a double sum takes them over.
  constexpr int kRun = 32;
  const Vector m = broadcast(mean);
  double first[kLanes] = {}, second[kLanes] = {};
  for (int y = 0; y < map.height;) {
    Vector sum[kLanes / kWidth] = {}, square[kLanes / kWidth] = {};
    int pixels = 0;
    for (; y < map.height && pixels < kRun; ++y, pixels += map.width) {
      const float* base = plane + map.at(0, y, 0);
      const float* delta = change + map.at(0, y, 0);
      for (int x = 0; x < map.width; ++x) {
        for (int i = 0; i < kLanes / kWidth; ++i) {
          const Vector d = load(delta + x * kLanes + i * kWidth), b = load(base + x * kLanes + i * kWidth) - m;
          sum[i] += d;
          square[i] += (b + b + d) * d;
        }
      }
    }
    float lane[2][kLanes];
    for (int i = 0; i < kLanes / kWidth; ++i) {
      store(lane[0] + i * kWidth, sum[i]);
      store(lane[1] + i * kWidth, square[i]);
    }
    for (int l = 0; l < kLanes; ++l) {
      first[l] += static_cast<double>(lane[0][l]);
      second[l] += static_cast<double>(lane[1][l]);
    }
  }
  sums[0] = sums[1] = 0;
  for (int l = 0; l < lanes; ++l) {
    sums[0] += first[l];
    sums[1] += second[l];
  }
}

// max(base + change, 0) − max(base, 0): the change itself where both are positive. NaN passes.
static inline Vector reluChange(Vector base, Vector change) {
  const Vector zero{};
  const Vector positive = base > zero ? base : zero, negative = base > zero ? zero : base;
  return atLeast(-positive, change + negative);
}

template <bool HasChange, bool Relu, bool WantsBase>
static inline void normalizeRows(const Map& map, const float* plane, const float* change, const AffineChange& affine,
                                 const Map& outMap, float* out, float* outBase) {
  const Vector mean = broadcast(affine.mean), scale = broadcast(affine.scale), shift = broadcast(affine.shift);
  const Vector scaleChange = broadcast(affine.scaleChange), newScale = broadcast(affine.newScale);
  const Vector shiftChange = broadcast(affine.shiftChange);
  const std::ptrdiff_t length = std::ptrdiff_t{map.width} * kLanes;
  for (int y = 0; y < map.height; ++y) {
    const std::ptrdiff_t from = map.at(0, y, 0), to = outMap.at(0, y, 0);
    for (std::ptrdiff_t i = 0; i < length; i += kWidth) {
      const Vector centered = load(plane + from + i) - mean;
      Vector result = centered * scaleChange + shiftChange;
      if (HasChange) result += load(change + from + i) * newScale;
      if (Relu || WantsBase) {
        const Vector base = centered * scale + shift;
        if (Relu) result = reluChange(base, result);
        if (WantsBase) store(outBase + to + i, Relu ? atLeast(Vector{}, base) : base);
      }
      store(out + to + i, result);
    }
  }
}

template <bool HasChange, bool Relu>
static inline void normalizeRowsFor(const Map& map, const float* plane, const float* change, const AffineChange& affine,
                                    const Map& outMap, float* out, float* outBase) {
  if (outBase == nullptr)
    return normalizeRows<HasChange, Relu, false>(map, plane, change, affine, outMap, out, outBase);
  normalizeRows<HasChange, Relu, true>(map, plane, change, affine, outMap, out, outBase);
}

void normalizeChange(const Map& map, const float* plane, const float* change, const AffineChange& affine, float floor,
                     const Map& outMap, float* out, float* outBase) {
  const bool relu = floor == 0;
  if (change != nullptr && relu) return normalizeRowsFor<true, true>(map, plane, change, affine, outMap, out, outBase);
  if (change != nullptr) return normalizeRowsFor<true, false>(map, plane, change, affine, outMap, out, outBase);
  if (relu) return normalizeRowsFor<false, true>(map, plane, change, affine, outMap, out, outBase);
  normalizeRowsFor<false, false>(map, plane, change, affine, outMap, out, outBase);
}

void addChange(const Map& aMap, const float* a, const float* aChange, const Map& bMap, const float* b,
               const float* bChange, float floor, const Map& outMap, float* out) {
  const std::ptrdiff_t length = std::ptrdiff_t{outMap.width} * kLanes;
  for (int y = 0; y < outMap.height; ++y) {
    const std::ptrdiff_t ia = aMap.at(0, y, 0), ib = bMap.at(0, y, 0), to = outMap.at(0, y, 0);
    for (std::ptrdiff_t i = 0; i < length; i += kWidth) {
      Vector change{};
      if (aChange != nullptr) change += load(aChange + ia + i);
      if (bChange != nullptr) change += load(bChange + ib + i);
      if (floor == 0) change = reluChange(load(a + ia + i) + load(b + ib + i), change);
      store(out + to + i, change);
    }
  }
}

void clampChange(const Map& map, const float* plane, const float* change, float floor, const Map& outMap, float* out) {
  const std::ptrdiff_t length = std::ptrdiff_t{map.width} * kLanes;
  for (int y = 0; y < map.height; ++y) {
    const std::ptrdiff_t from = map.at(0, y, 0), to = outMap.at(0, y, 0);
    for (std::ptrdiff_t i = 0; i < length; i += kWidth) {
      const Vector delta = load(change + from + i);
      store(out + to + i, floor == 0 ? reluChange(load(plane + from + i), delta) : delta);
    }
  }
}

void maxPoolChange(const Map& map, const float* plane, const float* change, int kernel, int stride, const Map& outMap,
                   float* out) {
  for (int y = 0; y < outMap.height; ++y) {
    for (int x = 0; x < outMap.width; ++x) {
      const std::ptrdiff_t window = map.at(0, y * stride, x * stride);
      for (int part = 0; part < kLanes; part += kWidth) {
        Vector largest = load(plane + window + part);
        for (int row = 0; row < kernel; ++row) {
          for (int column = 0; column < kernel; ++column) {
            const Vector value = load(plane + window + row * map.rowStride() + column * kLanes + part);
            largest = value > largest ? value : largest;
          }
        }
        // Distances from the base's maximum are exact where it matters: zero at the maximum itself.
        Vector result = broadcast(-__builtin_huge_valf());
        for (int row = 0; row < kernel; ++row) {
          for (int column = 0; column < kernel; ++column) {
            const std::ptrdiff_t at = window + row * map.rowStride() + column * kLanes + part;
            const Vector value = load(change + at) + (load(plane + at) - largest);
            result = atLeast(result, value);
          }
        }
        store(out + outMap.at(0, y, x) + part, result);
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
