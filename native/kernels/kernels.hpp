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

  // Option-A shortcut: every stride-th pixel; input channel c becomes output channel c + (out.channels − in.channels)/2,
  // the others are zero.
  void (*subsample)(const Map& inMap, const float* in, int stride, const Map& outMap, float* out);

  // Windows of kernel×kernel without padding. NaN passes.
  void (*maxPool)(const Map& inMap, const float* in, int kernel, int stride, const Map& outMap, float* out);

  // Mean of each plane; the output is 1×1.
  void (*averagePool)(const Map& inMap, const float* in, const Map& outMap, float* out);
};

// The instruction sets this build has and this processor and operating system can run, best first; never empty.
// Returns their number and points `names` at them.
int supportedIsas(const char* const** names);

// The table for an instruction set by name, or null if it is unknown or cannot run here.
const Kernels* findKernels(const char* isa);

}  // namespace deepzero
