// What stands between convolutions: normalisation, residual sum, ReLU and max pool in one sweep over a plane, of values
// and of changes.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// Floats that are asked for ahead of their use: four streams of planes are more than the processor foresees.
static constexpr std::ptrdiff_t kAhead = 128 * kLanes;

// The larger; NaN in either passes.
template <typename Vector>
static inline Vector larger(Vector a, Vector b) {
  return (a != a) | (a > b) ? a : b;
}

// Calls `at(offset in the input, in the residual, in the output)` for the first vector of every pixel that is computed
// on its own: of the output, and of the window's first input.
template <typename Scalar, typename Pixel>
static inline void forPixels(const Activation& shape, int stride, Pixel at) {
  // Copies, since a store through a vector may alias what is behind a reference.
  const Map inMap = shape.in, residualMap = shape.residual, outMap = shape.out;
  for (int y = 0; y < outMap.height; ++y) {
    std::ptrdiff_t in = inMap.at(0, y * stride, 0), residual = residualMap.at(0, y * stride, 0);
    std::ptrdiff_t out = outMap.at(0, y, 0);
    for (int x = 0; x < outMap.width; ++x) {
      for (int part = 0; part < kLanes; part += Simd<Scalar>::kWidth) at(in + part, residual + part, out + part);
      in += stride * kLanes;
      residual += stride * kLanes;
      out += kLanes;
    }
  }
}

template <bool Residual, int Kernel, typename Scalar>
static inline void activatePlane(const Activation& shape, const AffineOf<Scalar>& affine, const Scalar* in,
                                 const Scalar* residual, Scalar* out) {
  using Vector = typename Simd<Scalar>::Vector;
  const Vector mean = broadcast(affine.mean), scale = broadcast(affine.scale), shift = broadcast(affine.shift);
  const Vector floor = broadcast(static_cast<Scalar>(shape.floor));
  const std::ptrdiff_t inRow = shape.in.rowStride(), residualRow = shape.residual.rowStride();
  const int kernel = Kernel > 0 ? Kernel : shape.poolKernel;
  const int stride = Kernel > 0 ? Kernel : shape.poolStride;
  forPixels<Scalar>(shape, stride, [&](std::ptrdiff_t i, std::ptrdiff_t r, std::ptrdiff_t o) {
    Vector result{};
    for (int row = 0; row < kernel; ++row) {
      for (int column = 0; column < kernel; ++column) {
        Vector value = (load(in + i + row * inRow + column * kLanes) - mean) * scale + shift;
        if (Residual) value += load(residual + r + row * residualRow + column * kLanes);
        result = row + column == 0 ? value : larger(result, value);
      }
    }
    store(out + o, atLeast(floor, result));
  });
}

template <bool Residual, typename Scalar>
static inline void activatePlaneOf(const Activation& shape, const AffineOf<Scalar>& affine, const Scalar* in,
                                   const Scalar* residual, Scalar* out) {
  if (shape.poolKernel == 1 && shape.poolStride == 1)
    return activatePlane<Residual, 1>(shape, affine, in, residual, out);
  if (shape.poolKernel == 2 && shape.poolStride == 2)
    return activatePlane<Residual, 2>(shape, affine, in, residual, out);
  activatePlane<Residual, 0>(shape, affine, in, residual, out);
}

template <typename Scalar>
void activate(const Activation& shape, const AffineOf<Scalar>* affine, const Scalar* in, const Scalar* residual,
              Scalar* out) {
  for (int c = 0; c < shape.out.channels; ++c) {
    const Scalar* plane = in + c * shape.in.planeStride();
    Scalar* to = out + c * shape.out.planeStride();
    if (residual == nullptr) {
      activatePlaneOf<false>(shape, affine[c], plane, residual, to);
    } else {
      activatePlaneOf<true>(shape, affine[c], plane, residual + c * shape.residual.planeStride(), to);
    }
  }
}

template void activate(const Activation&, const Affine*, const float*, const float*, float*);
template void activate(const Activation&, const AffineOf<double>*, const double*, const double*, double*);

void alignSigns(const Activation& shape, const AffineOf<double>* exactAffine, const double* exactIn,
                const double* exactResidual, const Affine* affine, const float* residual, float* in) {
  for (int c = 0; c < shape.in.channels; ++c) {
    const AffineOf<double>& exact = exactAffine[c];
    const DoubleVector exactMean = broadcast(exact.mean), exactScale = broadcast(exact.scale);
    const DoubleVector exactShift = broadcast(exact.shift);
    const Affine rounded = affine[c];
    const Vector mean = broadcast(rounded.mean), scale = broadcast(rounded.scale), shift = broadcast(rounded.shift);
    for (int y = 0; y < shape.in.height; ++y) {
      const std::ptrdiff_t first = shape.in.at(c, y, 0), firstResidual = shape.residual.at(c, y, 0);
      for (int x = 0; x < shape.in.width; ++x) {
        const std::ptrdiff_t at = first + x * kLanes, other = firstResidual + x * kLanes;
        double wanted[kLanes];
        float got[kLanes];
        for (int part = 0; part < kLanes; part += Simd<double>::kWidth) {
          DoubleVector value = (load(exactIn + at + part) - exactMean) * exactScale + exactShift;
          if (exactResidual != nullptr) value += load(exactResidual + other + part);
          store(wanted + part, value);
        }
        for (int part = 0; part < kLanes; part += kWidth) {
          // The expression of `activate`, so that it is rounded alike.
          Vector value = (load(in + at + part) - mean) * scale + shift;
          if (residual != nullptr) value += load(residual + other + part);
          store(got + part, value);
        }
        int wrong = 0;
        for (int lane = 0; lane < kLanes; ++lane) wrong |= (wanted[lane] > 0) != (got[lane] > 0);
        if (wrong == 0) continue;
        for (int lane = 0; lane < kLanes; ++lane) {
          const float rest = residual == nullptr ? 0.0f : residual[other + lane];
          const float direction = (wanted[lane] > 0) == (rounded.scale > 0) ? 1.0f : -1.0f, start = in[at + lane];
          // From a rounding of the input on; where the scale is so small that the sign never turns, it does not matter.
          float move = 0x1p-25f * (__builtin_fabsf(start) + __builtin_fabsf(rounded.mean));
          for (int step = 0; step < 8 && (wanted[lane] > 0) != (got[lane] > 0); ++step, move *= 2) {
            in[at + lane] = start + direction * move;
            const Vector value = (broadcast(in[at + lane]) - mean) * scale + shift + broadcast(rest);
            got[lane] = value[0];
          }
        }
      }
    }
  }
}

// max(base + change, 0) − max(base, 0): the change itself where both are positive. NaN passes.
static inline Vector reluChange(Vector base, Vector change) {
  const Vector zero{};
  const Vector positive = base > zero ? base : zero, negative = base > zero ? zero : base;
  return atLeast(-positive, change + negative);
}

template <bool Residual, bool Relu, int Kernel>
static inline void activatePlaneChange(const Activation& shape, const PlaneChange& plane) {
  // What does not change is one vector of zeros, read again and again.
  static const float kZeros[kLanes] = {};
  const AffineChange& affine = *plane.affine;
  const Vector mean = broadcast(affine.mean), scale = broadcast(affine.scale), shift = broadcast(affine.shift);
  const Vector scaleChange = broadcast(affine.scaleChange), newScale = broadcast(affine.newScale);
  const Vector shiftChange = broadcast(affine.shiftChange);
  const float *const in = plane.base, *const rest = plane.residual;
  float* const out = plane.out;
  const float* change = plane.change == nullptr ? kZeros : plane.change;
  const float* residualChange = plane.residualChange == nullptr ? kZeros : plane.residualChange;
  const std::ptrdiff_t moves = plane.change == nullptr ? 0 : 1, residualMoves = plane.residualChange == nullptr ? 0 : 1;
  const std::ptrdiff_t inRow = shape.in.rowStride(), residualRow = shape.residual.rowStride();
  const int kernel = Kernel > 0 ? Kernel : shape.poolKernel;
  const int stride = Kernel > 0 ? Kernel : shape.poolStride;
  const auto base = [&](std::ptrdiff_t i, std::ptrdiff_t r) {
    const Vector value = (load(in + i) - mean) * scale + shift;
    return Residual ? value + load(rest + r) : value;
  };
  const auto changed = [&](std::ptrdiff_t i, std::ptrdiff_t r) {
    const Vector value = (load(in + i) - mean) * scaleChange + shiftChange + load(change + moves * i) * newScale;
    return Residual ? value + load(residualChange + residualMoves * r) : value;
  };
  forPixels<float>(shape, stride, [&](std::ptrdiff_t i, std::ptrdiff_t r, std::ptrdiff_t o) {
    __builtin_prefetch(in + i + kAhead);
    __builtin_prefetch(change + moves * (i + kAhead));
    if (Residual) __builtin_prefetch(rest + r + kAhead);
    if (Residual) __builtin_prefetch(residualChange + residualMoves * (r + kAhead));
    if (Kernel == 1) {
      const Vector result = changed(i, r);
      store(out + o, Relu ? reluChange(base(i, r), result) : result);
      return;
    }
    Vector largest = base(i, r);
    for (int row = 0; row < kernel; ++row) {
      for (int column = 0; column < kernel; ++column) {
        const Vector value = base(i + row * inRow + column * kLanes, r + row * residualRow + column * kLanes);
        largest = atLeast(largest, value);
      }
    }
    // Distances from the base's maximum are exact where it matters: zero at the maximum itself.
    Vector result = changed(i, r) + (base(i, r) - largest);
    for (int row = 0; row < kernel; ++row) {
      for (int column = row == 0 ? 1 : 0; column < kernel; ++column) {
        const std::ptrdiff_t ii = i + row * inRow + column * kLanes, rr = r + row * residualRow + column * kLanes;
        result = larger(result, changed(ii, rr) + (base(ii, rr) - largest));
      }
    }
    store(out + o, Relu ? reluChange(largest, result) : result);
  });
}

template <bool Residual, bool Relu>
static inline void activatePlaneChangeOf(const Activation& shape, const PlaneChange& plane) {
  if (shape.poolKernel == 1 && shape.poolStride == 1) return activatePlaneChange<Residual, Relu, 1>(shape, plane);
  if (shape.poolKernel == 2 && shape.poolStride == 2) return activatePlaneChange<Residual, Relu, 2>(shape, plane);
  activatePlaneChange<Residual, Relu, 0>(shape, plane);
}

void activateChange(const Activation& shape, const PlaneChange* planes, int count) {
  const bool relu = shape.floor == 0;
  for (const PlaneChange* plane = planes; plane < planes + count; ++plane) {
    if (plane->residual != nullptr && relu) {
      activatePlaneChangeOf<true, true>(shape, *plane);
    } else if (plane->residual != nullptr) {
      activatePlaneChangeOf<true, false>(shape, *plane);
    } else if (relu) {
      activatePlaneChangeOf<false, true>(shape, *plane);
    } else {
      activatePlaneChangeOf<false, false>(shape, *plane);
    }
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
