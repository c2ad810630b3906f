// The kernels' contract, and the table that holds one implementation of each for every instruction set.
//
// A kernel works on one image block, is single-threaded, allocates nothing, never throws and never reads or writes
// outside the maps it is given. It overwrites the pixels of its output and leaves the border alone. An output never
// overlaps an input, except that an activation without pool on equal maps may write to its input or residual.
#pragma once

#include <cstddef>

#include "kernels/shapes.hpp"

namespace deepzero {

// Moments of one channel's change, lane by lane: Σ change is added to `sum`, Σ (2·base + change)·change to `square`.
struct PlaneMoments {
  const float* base;
  const float* change;
  double sum[kLanes], square[kLanes];
};

// What a convolution does with the sums over its taps.
struct Epilogue {
  const float* bias = nullptr;  // by output channel; null for none
  bool add = false;             // the sums are added to what the output holds
  // By output channel, null for none: the sums are changes, and their moments over the first `lanes` images are added
  // here. The base planes lie in maps equal to the output; the entries' `change` is not read.
  PlaneMoments* moments = nullptr;
  int lanes = kLanes;

  // The epilogue of the output channels from `channel` on.
  Epilogue from(int channel) const {
    return {bias == nullptr ? nullptr : bias + channel, add, moments == nullptr ? nullptr : moments + channel, lanes};
  }
};

template <typename Scalar>
struct AffineOf {
  Scalar mean = 0, scale = 1, shift = 0;
};
using Affine = AffineOf<float>;

// An affine map z = y·scale + shift before and after a change: Δz = y·scaleChange + Δy·newScale + shiftChange.
struct AffineChange {
  float scale = 1, shift = 0;
  float scaleChange = 0, newScale = 1, shiftChange = 0;
};

// One channel of an activation's change. `residualChange` lies in a map equal to the activation's residual, `out` in
// one equal to its output, all others in maps equal to its input. A change that is zero is null.
struct PlaneChange {
  const float* base;
  const float* change;
  // z + residual, before nonlinearity and pool; null without a residual, or with neither nonlinearity nor pool.
  const float* sum;
  const float* residualChange;
  const AffineChange* affine;
  float* out;
};

// A convolution of some channels of its input; the others are zero and not read.
struct PartialConvolution {
  ConvolutionShape shape;
  const float* in;
  const int* channels;  // increasing
  int count;
  const float* packedWeights;
  const float* bias;  // null for none

  // Floats of scratch for the rows of output that a fused kernel computes at a time: as few as the first-level cache
  // holds, but at least one row of a pool's windows.
  std::size_t scratch(int poolKernel) const {
    return static_cast<std::size_t>(kChannelTile) * (kFusedPixels + poolKernel * shape.out.width) * kLanes;
  }
};

// The kernels of activations of one type, float or double.
template <typename Scalar>
struct ValueKernels {
#define VALUE_KERNEL(result, name, parameters) result(*name) parameters;
#include "kernels/list.hpp"
};

// The kernels of one instruction set. The table's own value kernels are those of float.
struct Kernels : ValueKernels<float> {
  const char* isa;

  // The unperturbed pass that changes start from is computed with these.
  ValueKernels<double> float64;

#define KERNEL(result, name, parameters) result(*name) parameters;
#include "kernels/list.hpp"
};

// The instruction sets this build has and this processor and operating system can run, best first; never empty.
// Returns their number and points `names` at them.
int supportedIsas(const char* const** names);

// The table for an instruction set by name, or null if it is unknown or cannot run here.
const Kernels* findKernels(const char* isa);

}  // namespace deepzero
