// The shapes that kernels work on, and where their data lies.
#pragma once

#include <cstddef>

namespace deepzero {

// Images side by side in the innermost dimension: one cache line of float32.
inline constexpr int kLanes = 16;

// The shape of one image block of activations, `[channel][row][column][lane]`, with a border of zero pixels around
// every plane. The border is as wide as the padding of the convolutions that read it, which then have no edges to
// treat.
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

// 4×4 tiles of output that the Winograd kernel computes at a time; the last ones of a block one at a time.
inline constexpr int kWinogradTiles = 2;

// Output pixels of a channel that a fused kernel computes before it uses them: the first-level cache holds them.
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

  // The transposed convolution, which computes the gradient of the input from that of the output: inputs and outputs
  // change places, and every kernel is flipped in both axes. It reads the output's gradient dilated: a map of zeros in
  // which the gradient's pixels lie `stride` apart, starting at (transposedRow(), transposedColumn()). Pixels beyond
  // the map have read nothing but padding. Gradients have no border.
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

  // Whether the Winograd kernel can compute it: 3×3, stride 1, padding 1, and an output of whole 4×4 tiles.
  bool supportsWinograd() const {
    return kernelHeight == 3 && kernelWidth == 3 && stride == 1 && padding == 1 && out.height % 4 == 0 &&
           out.width % 4 == 0;
  }
  // Number of transformed weights, [output tile][36 frequencies][input][output in tile].
  std::size_t winogradSize() const { return packedSize() / 9 * 36; }
  // Position in the transformed weights of the weight between two channels at a frequency.
  std::size_t winogradIndex(int output, int input, int frequency) const {
    const std::size_t product = static_cast<std::size_t>(output / kChannelTile) * 36 + frequency;
    return (product * in.channels + input) * kChannelTile + output % kChannelTile;
  }
  // Floats of the Winograd kernel's scratch: the frequencies of all inputs, each group followed by a spare cache line,
  // and the products of one channel tile.
  std::size_t winogradScratch() const {
    return (static_cast<std::size_t>(in.channels + kChannelTile) * kWinogradTiles + 1) * 36 * kLanes;
  }
};

enum class Nonlinearity { None, Relu, LeakyRelu, Tanh };

// The operations between two convolutions, for every channel: out = pool(f((in − mean)·scale + shift + residual)),
// where f is the nonlinearity. Without a batch norm, mean, scale and shift are the identity's; without a residual, its
// pointer is null.
struct Activation {
  Map in, residual, out;
  Nonlinearity nonlinearity = Nonlinearity::None;
  double slope = 0;    // of a leaky ReLU below zero
  int poolKernel = 1;  // windows of the max pool, without padding
  int poolStride = 1;

  // Whether the nonlinearity has a kink, at zero.
  bool hasKink() const { return nonlinearity == Nonlinearity::Relu || nonlinearity == Nonlinearity::LeakyRelu; }
};

}  // namespace deepzero
