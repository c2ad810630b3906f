// The kernels' contract: the layout they work on, and the table that holds one implementation of each
// for every instruction set.
//
// A kernel works on one image block, is single-threaded, allocates nothing, never throws and never reads
// or writes outside the maps it is given. It overwrites the pixels of its output and leaves the border alone.
// An output never overlaps an input, but for `add` and `clamp`, which may work in place on equal maps.
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

  // Whether the Winograd kernel can run it: 3×3, stride 1, padding 1, whole tiles of 4×4.
  bool suitsWinograd() const {
    return kernelHeight == 3 && kernelWidth == 3 && stride == 1 && padding == 1 && out.height % 4 == 0 &&
           out.width % 4 == 0;
  }
  // Floats of transformed weights, [36 frequencies][output tile][input][output in tile], and of the kernel's scratch.
  std::size_t winogradSize() const { return packedSize() / 9 * 36; }
  std::size_t winogradScratch() const {
    const std::size_t outputs = (out.channels + kChannelTile - 1) / kChannelTile * kChannelTile;
    return (in.channels + outputs) * std::size_t{36} * (out.width / 4) * kLanes;
  }
};

// A batch norm of one channel before and after a change: z = (y − mean)·scale + shift, and
// Δz = (y − mean)·scaleChange + Δy·newScale + shiftChange.
struct AffineChange {
  float mean, scale, shift;
  float scaleChange, newScale, shiftChange;
};

struct Kernels {
  const char* isa;

  // out = weights ∗ in + bias. A linear layer is the case of 1×1 maps and a 1×1 kernel. `bias` may be null.
  void (*convolution)(const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias,
                      float* out);

  // Per channel, over the pixels of the first `lanes` images: the mean, and the sum of squared deviations from it.
  void (*moments)(const Map& map, const float* in, int lanes, double* mean, double* squares);

  // out = max(floor, (in − mean)·scale + shift) per channel. floor is 0 for a fused ReLU and −∞ without; NaN passes.
  void (*normalize)(const Map& inMap, const float* in, const float* mean, const float* scale, const float* shift,
                    float floor, const Map& outMap, float* out);

  // out = max(floor, in). NaN passes.
  void (*clamp)(const Map& inMap, const float* in, float floor, const Map& outMap, float* out);

  // out = max(floor, a + b). NaN passes.
  void (*add)(const Map& aMap, const float* a, const Map& bMap, const float* b, float floor, const Map& outMap,
              float* out);

  // Option-A shortcut: every stride-th pixel; input channel c becomes output channel c + (out.channels −
  // in.channels)/2, the others are zero.
  void (*subsample)(const Map& inMap, const float* in, int stride, const Map& outMap, float* out);

  // Windows of kernel×kernel without padding. NaN passes.
  void (*maxPool)(const Map& inMap, const float* in, int kernel, int stride, const Map& outMap, float* out);

  // Mean of each plane; the output is 1×1.
  void (*averagePool)(const Map& inMap, const float* in, const Map& outMap, float* out);

  // The kernels below carry a change, perturbed − base, through the network without ever subtracting two values of
  // nearly equal size. Those that take a `plane` work on one channel of a value; base and change lie in equal maps.

  // The convolution, without bias, of `count` input planes that lie one after the other and are the input channels
  // `channels` (increasing): what the other channels would add is zero.
  void (*partialConvolution)(const ConvolutionShape& shape, const float* in, const int* channels, int count,
                             const float* packedWeights, float* out);

  // The same over all channels by Winograd's F(4×4, 3×3), for shapes that suit it. `scratch` holds winogradScratch().
  void (*winograd)(const ConvolutionShape& shape, const float* in, const float* transformedWeights, float* scratch,
                   float* out);

  // A plane of the convolution's output when one weight, at kernel position (row, column), changes by `step`:
  // out = step · the input plane shifted to that position.
  void (*weightChange)(const ConvolutionShape& shape, const float* plane, int row, int column, float step, float* out);

  // Σ change and Σ (2(base − mean) + change)·change over the first `lanes` images, for δmean and δvariance.
  void (*changeMoments)(const Map& map, const float* plane, const float* change, float mean, int lanes, double sums[2]);

  // The change of max(floor, affine(plane)), floor 0 or −∞. `change` may be null for none, `outBase` if not wanted.
  void (*normalizeChange)(const Map& map, const float* plane, const float* change, const AffineChange& affine,
                          float floor, const Map& outMap, float* out, float* outBase);

  // The change of max(floor, a + b), floor 0 or −∞; a change may be null for none.
  void (*addChange)(const Map& aMap, const float* a, const float* aChange, const Map& bMap, const float* b,
                    const float* bChange, float floor, const Map& outMap, float* out);

  // The change of max(floor, plane), floor 0 or −∞.
  void (*clampChange)(const Map& map, const float* plane, const float* change, float floor, const Map& outMap,
                      float* out);

  // The change of each window's maximum.
  void (*maxPoolChange)(const Map& map, const float* plane, const float* change, int kernel, int stride,
                        const Map& outMap, float* out);

  // Σ over the first `lanes` images of the change of the cross-entropy, log1p(Σⱼ pⱼ·expm1(Δⱼ − Δ_label)), when the
  // outputs `channels` change. `probabilities` and `labels` (1 or 0) are [class][lane]. `largest` receives the largest
  // |Δ|: beyond 0.5 the sum is not to be used.
  double (*crossEntropyChange)(const float* probabilities, const float* labels, int classes, const float* change,
                               const int* channels, int count, int lanes, float* largest);
};

// The instruction sets this build has and this processor and operating system can run, best first; never empty.
// Returns their number and points `names` at them.
int supportedIsas(const char* const** names);

// The table for an instruction set by name, or null if it is unknown or cannot run here.
const Kernels* findKernels(const char* isa);

}  // namespace deepzero
