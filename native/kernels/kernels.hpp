// The kernels' contract: the layout they work on, and the table that holds one implementation of each
// for every instruction set.
//
// A kernel works on one image block, is single-threaded, allocates nothing, never throws and never reads
// or writes outside the maps it is given. It overwrites the pixels of its output and leaves the border alone.
// An output never overlaps an input, but where an activation without pool has equal maps: there they may be the same.
#pragma once

#include <cstddef>
#include <cstdint>

namespace deepzero {

// Images side by side in the innermost dimension: one cache line of float32.
inline constexpr int kLanes = 16;

// One image block of activations, `[channel][row][column][lane]`, with a border of zero pixels around every
// plane, as wide as the convolutions that read it need: they then have no edges to treat.
struct Map {
  int channels = 0;
  int height = 0;
  int width = 0;
  int border = 0;

  // All strides are in floats.
  std::ptrdiff_t rowStride() const { return std::ptrdiff_t{width + 2 * border} * kLanes; }
  std::ptrdiff_t planeStride() const { return (height + 2 * border) * rowStride(); }
  std::size_t size() const { return static_cast<std::size_t>(channels * planeStride()); }
  // Where pixel (row, column) of a channel starts; rows and columns may reach into the border.
  std::ptrdiff_t at(int channel, int row, int column) const {
    return channel * planeStride() + (row + border) * rowStride() + std::ptrdiff_t{column + border} * kLanes;
  }
  bool operator==(const Map& other) const {
    return channels == other.channels && height == other.height && width == other.width && border == other.border;
  }
};

// Output channels that one convolution tile computes; packed weights are grouped by it.
inline constexpr int kChannelTile = 4;

// 4×4 tiles of output that the Winograd kernel takes at a time, as long as there are so many.
inline constexpr int kWinogradTiles = 2;

// Output pixels of a channel that are made at a time where they are read.
inline constexpr int kFusedPixels = 64;

struct ConvolutionShape {
  Map in;   // in.border >= padding
  Map out;  // out.height = (in.height + 2·padding − kernelHeight) / stride + 1, likewise the width
  int kernelHeight = 1;
  int kernelWidth = 1;
  int stride = 1;
  int padding = 0;

  std::size_t packedSize() const {
    const std::size_t tiles = (out.channels + kChannelTile - 1) / kChannelTile;
    return tiles * kChannelTile * in.channels * kernelHeight * kernelWidth;
  }
  // Position in the packed weights, [output tile][input][row][column][output in tile], of the weight that is
  // at flat OIHW index `index`; the last tile is filled up with zeros.
  std::size_t packedIndex(std::size_t index) const {
    const std::size_t taps = static_cast<std::size_t>(in.channels) * kernelHeight * kernelWidth;
    const std::size_t channel = index / taps;
    return (channel / kChannelTile * taps + index % taps) * kChannelTile + channel % kChannelTile;
  }

  // The convolution that makes the input's gradient of the output's: inputs and outputs change places, and every kernel
  // is rotated by 180°. In what it reads, a map of zeros else, the output's pixels lie a stride apart, from
  // (transposedRow(), transposedColumn()) on; those that lie outside have read nothing but padding. Gradients have no
  // border.
  ConvolutionShape transposed() const {
    ConvolutionShape result = *this;
    const int border = transposedBorder();
    result.in = {out.channels, in.height + kernelHeight - 1 - 2 * border, in.width + kernelWidth - 1 - 2 * border,
                 border};
    result.out = {in.channels, in.height, in.width, 0};
    result.stride = 1;
    result.padding = border;
    return result;
  }
  int transposedRow() const { return kernelHeight - 1 - padding - transposedBorder(); }
  int transposedColumn() const { return kernelWidth - 1 - padding - transposedBorder(); }
  int transposedBorder() const {
    const int least = (kernelHeight < kernelWidth ? kernelHeight : kernelWidth) - 1 - padding;
    return least > 0 ? least : 0;
  }

  // Whether the Winograd kernel can run it: 3×3, stride 1, padding 1, whole tiles of 4×4.
  bool supportsWinograd() const {
    return kernelHeight == 3 && kernelWidth == 3 && stride == 1 && padding == 1 && out.height % 4 == 0 &&
           out.width % 4 == 0;
  }
  // Floats of transformed weights, [output tile][36 frequencies][input][output in tile].
  std::size_t winogradSize() const { return packedSize() / 9 * 36; }
  // Where the weight of two channels at a frequency is.
  std::size_t winogradIndex(int output, int input, int frequency) const {
    const std::size_t product = static_cast<std::size_t>(output / kChannelTile) * 36 + frequency;
    return (product * in.channels + input) * kChannelTile + output % kChannelTile;
  }
  // Floats of the kernel's scratch: the frequencies of all inputs, each with a cache line to spare, and of the products
  // of one channel tile.
  std::size_t winogradScratch() const {
    return (static_cast<std::size_t>(in.channels + kChannelTile) * kWinogradTiles + 1) * 36 * kLanes;
  }
};

// One channel whose moments change: Σ change and Σ (2·base + change)·change are added to the sums of each lane.
struct PlaneMoments {
  const float* base;
  const float* change;
  double sum[kLanes], square[kLanes];
};

// What becomes of a convolution's sums.
struct Epilogue {
  const float* bias = nullptr;  // by output channel; null for none
  bool add = false;             // the sums are added to what the output holds
  // By output channel, null for none: the sums are changes, whose moments are added here for the first `lanes` images.
  // Their base planes lie in maps equal to the output; what they name as change is not read.
  PlaneMoments* moments = nullptr;
  int lanes = kLanes;

  // Of the output channels from this one on.
  Epilogue from(int channel) const {
    return {bias == nullptr ? nullptr : bias + channel, add, moments == nullptr ? nullptr : moments + channel, lanes};
  }
};

// What stands between convolutions, for every channel: out = pool(max(floor, (in − mean)·scale + shift + residual)).
// Each part can be absent: a batch norm by the identity, a residual by a null pointer.
struct Activation {
  Map in, residual, out;
  float floor = 0;     // 0 for a ReLU, −∞ for none
  int poolKernel = 1;  // windows of the max pool, without padding
  int poolStride = 1;
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

// One channel of an activation's change. All but the residual's change and the output lie in maps equal to the
// activation's input; changes that are zero are null.
struct PlaneChange {
  const float* base;
  const float* change;
  // z and the residual, before floor and pool; null if that is z, or if there is neither floor nor pool.
  const float* sum;
  const float* residualChange;
  const AffineChange* affine;
  float* out;
};

// A convolution of some channels of its input: the others, which are not read, are zero.
struct PartialConvolution {
  ConvolutionShape shape;
  const float* in;
  const int* channels;  // increasing
  int count;
  const float* packedWeights;
  const float* bias;  // null for none

  // Floats of scratch for rows of the output that are taken at a time: a few that a first-level cache holds, but at
  // least what one row of a pool's windows needs.
  std::size_t scratch(int poolKernel) const {
    return static_cast<std::size_t>(kChannelTile) * (kFusedPixels + poolKernel * shape.out.width) * kLanes;
  }
};

// The kernels of a forward pass and of back-propagation, on activations of float or double. Weights are float in both.
template <typename Scalar>
struct ValueKernels {
  // out = weights ∗ in + bias. A linear layer is the case of 1×1 maps and a 1×1 kernel. `bias` may be null.
  void (*convolution)(const ConvolutionShape& shape, const Scalar* in, const float* packedWeights, const float* bias,
                      Scalar* out);

  // Per channel, over the pixels of the first `lanes` images: the mean, and the sum of squared deviations from it.
  void (*moments)(const Map& map, const Scalar* in, int lanes, double* mean, double* squares);

  // NaN passes. `residual` may be null.
  void (*activate)(const Activation& shape, const AffineOf<Scalar>* affine, const Scalar* in, const Scalar* residual,
                   Scalar* out);

  // The mean of every window of one plane, for a shape without padding.
  void (*averagePool)(const ConvolutionShape& shape, const Scalar* plane, Scalar* out);

  // gradient[flat OIHW index] = Σ over the output's pixels of the first `lanes` images of the output's gradient times
  // the input that the weight meets there.
  void (*weightGradient)(const ConvolutionShape& shape, const Scalar* in, const Scalar* outGradient, int lanes,
                         double* gradient);

  // Of one plane, the gradient with respect to what is summed up before floor and pool: of each window the output's
  // goes to its first maximum, if that is above the floor. Both gradients have no border.
  void (*activateGradient)(const Activation& shape, const AffineOf<Scalar>& affine, const Scalar* in,
                           const Scalar* residual, const Scalar* outGradient, Scalar* gradient);
};

struct Kernels : ValueKernels<float> {
  const char* isa;

  // What the unperturbed pass of queries is computed with.
  ValueKernels<double> float64;

  // The convolution by Winograd's F(4×4, 3×3), for shapes that suit it. `scratch` holds winogradScratch() floats.
  void (*winograd)(const ConvolutionShape& shape, const float* in, const float* transformedWeights,
                   const Epilogue& epilogue, float* scratch, float* out);

  // The convolution added to what `out` holds.
  void (*addConvolution)(const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias,
                         float* out);

  // The kernels below carry a change, perturbed − base, through the network without ever subtracting two values of
  // nearly equal size.

  // The convolution, without bias, of the `count` input channels `channels` (increasing): the others, which are not
  // read, are zero.
  void (*partialConvolution)(const ConvolutionShape& shape, const float* in, const int* channels, int count,
                             const float* packedWeights, float* out);

  // The same, with bias, for outputs that are cheaper to compute again than to store: of one input channel, the moments
  // of the output channels, whose `change` is not read; and the changes of an activation, one plane for each output
  // channel, whose `change` is not read either. Its `scratch` holds from.scratch(shape.poolKernel) floats.
  void (*convolveMoments)(const PartialConvolution& from, PlaneMoments* planes, int lanes);
  void (*convolveActivate)(const PartialConvolution& from, const Activation& shape, float* scratch,
                           const PlaneChange* planes);

  // Adds to the sums of `count` planes for the first `lanes` images.
  void (*changeMoments)(const Map& map, PlaneMoments* planes, int count, int lanes);

  // The changes of `count` planes of an activation.
  void (*activateChange)(const Activation& shape, const PlaneChange* planes, int count);

  // Σ over the first `lanes` images of the change of the cross-entropy, log1p(Σⱼ pⱼ·expm1(Δⱼ − Δ_label)), when the
  // `count` outputs `channels` (increasing) change; the other changes are not read. `probabilities`, `labels` (1 or 0)
  // and `change` are [class][lane]. `largest` receives the largest |Δ|: beyond 0.5 the sum is not to be used.
  double (*crossEntropyChange)(const float* probabilities, const float* labels, int classes, const float* change,
                               const int* channels, int count, int lanes, float* largest);

  // At least `count` multiply-adds that wait for nothing but the arithmetic; returns how many they were. What all other
  // kernels are measured against.
  double (*multiplyAdds)(double count);
};

// The instruction sets this build has and this processor and operating system can run, best first; never empty.
// Returns their number and points `names` at them.
int supportedIsas(const char* const** names);

// The table for an instruction set by name, or null if it is unknown or cannot run here.
const Kernels* findKernels(const char* isa);

}  // namespace deepzero
