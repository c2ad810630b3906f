// The change of an activation, some rows at a time.
#pragma once

#include "kernels/nonlinearities.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// Prefetch distance in floats: several streams of planes are more than the hardware prefetcher follows.
static constexpr std::ptrdiff_t kAhead = 128 * kLanes;

// The number of rows of a width that are computed at a time.
static inline int rowsAtOnce(int width) { return width < kFusedPixels ? kFusedPixels / width : 1; }

// Where rows of a change are: strides of 0 make all of it one vector. `Prefetch` if they lie
// in a whole map, whose later rows may be asked for.
template <bool Prefetch>
struct ChangeRows {
  const float* first;
  std::ptrdiff_t row, pixel;
};

// Not inlined, since its loop needs the registers.
template <bool Sum, bool Residual, int Kernel, typename F, bool Prefetch>
__attribute__((noinline)) static void activateRowsAs(const Activation& activation, const F f, const PlaneChange& plane,
                                                     ChangeRows<Prefetch> change, int first, int rows) {
  // Copies, since a store through a vector may alias what is behind a reference.
  const Activation shape = activation;
  const AffineChange affine = *plane.affine;
  const Vector scale = broadcast(affine.scale), shift = broadcast(affine.shift);
  const Vector scaleChange = broadcast(affine.scaleChange), newScale = broadcast(affine.newScale);
  const Vector shiftChange = broadcast(affine.shiftChange);
  const std::ptrdiff_t inRow = shape.in.rowStride(), residualRow = shape.residual.rowStride();
  const int kernel = Kernel > 0 ? Kernel : shape.poolKernel, stride = Kernel > 0 ? Kernel : shape.poolStride;
  for (int y = 0; y < rows; ++y) {
    const std::ptrdiff_t at = shape.in.at(0, (first + y) * stride, 0);
    const float *in = plane.base + at, *sum = Sum ? plane.sum + at : nullptr;
    const float* residual = Residual ? plane.residualChange + shape.residual.at(0, (first + y) * stride, 0) : nullptr;
    const float* moved = change.first + y * stride * change.row;
    float* out = plane.out + shape.out.at(0, first + y, 0);
    for (int x = 0; x < shape.out.width; ++x) {
      constexpr int kWindow = Kernel > 0 ? Kernel : 1;
      for (int row = 0; row < kWindow; ++row) {
        for (int column = 0; column < kWindow; ++column) {
          const std::ptrdiff_t i = row * inRow + column * kLanes + kAhead;
          __builtin_prefetch(in + i);
          if (Prefetch) __builtin_prefetch(moved + row * change.row + column * change.pixel + kAhead);
          if (Sum) __builtin_prefetch(sum + i);
          if (Residual) __builtin_prefetch(residual + row * residualRow + column * kLanes + kAhead);
        }
      }
      for (int part = 0; part < kLanes; part += kWidth) {
        const auto base = [&](int row, int column) {
          const std::ptrdiff_t i = row * inRow + column * kLanes + part;
          return Sum ? load(sum + i) : load(in + i) * scale + shift;
        };
        const auto changed = [&](int row, int column) {
          Vector value = load(moved + row * change.row + column * change.pixel + part) * newScale + shiftChange;
          value += load(in + row * inRow + column * kLanes + part) * scaleChange;
          return Residual ? value + load(residual + row * residualRow + column * kLanes + part) : value;
        };
        if (Kernel == 1) {
          const Vector result = changed(0, 0);
          store(out + part, f.change(base(0, 0), result));
          continue;
        }
        Vector largest = base(0, 0);
        for (int i = 1; i < kernel * kernel; ++i) largest = atLeast(largest, base(i / kernel, i % kernel));
        // Distances from the base's maximum are exact where it matters: zero at the maximum itself. A NaN that the
        // maximum loses is in the sum.
        Vector result = changed(0, 0) + (base(0, 0) - largest), all = result;
        for (int i = 1; i < kernel * kernel; ++i) {
          const int row = i / kernel, column = i % kernel;
          const Vector candidate = changed(row, column) + (base(row, column) - largest);
          result = atLeast(result, candidate);
          all += candidate;
        }
        result = f.change(largest, result);
        store(out + part, all == all ? result : all);
      }
      in += stride * kLanes;
      if (Sum) sum += stride * kLanes;
      if (Residual) residual += stride * kLanes;
      moved += stride * change.pixel;
      out += kLanes;
    }
  }
}

template <bool Sum, bool Residual, typename F, bool Prefetch>
static inline void activateRowsOf(const Activation& shape, const F& f, const PlaneChange& plane,
                                  ChangeRows<Prefetch> change, int first, int rows) {
  if (shape.poolKernel == 1 && shape.poolStride == 1) {
    activateRowsAs<Sum, Residual, 1>(shape, f, plane, change, first, rows);
  } else if (shape.poolKernel == 2 && shape.poolStride == 2) {
    activateRowsAs<Sum, Residual, 2>(shape, f, plane, change, first, rows);
  } else {
    activateRowsAs<Sum, Residual, 0>(shape, f, plane, change, first, rows);
  }
}

// Rows [first, first + rows) of an activation's output; `change` starts where the first of them reads.
template <bool Prefetch>
static inline void activateRows(const Activation& shape, const PlaneChange& plane, ChangeRows<Prefetch> change,
                                int first, int rows) {
  withNonlinearity<float>(shape, [&](const auto& f) {
    if (plane.sum == nullptr && plane.residualChange == nullptr) {
      activateRowsOf<false, false>(shape, f, plane, change, first, rows);
    } else if (plane.sum == nullptr) {
      activateRowsOf<false, true>(shape, f, plane, change, first, rows);
    } else if (plane.residualChange == nullptr) {
      activateRowsOf<true, false>(shape, f, plane, change, first, rows);
    } else {
      activateRowsOf<true, true>(shape, f, plane, change, first, rows);
    }
  });
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
