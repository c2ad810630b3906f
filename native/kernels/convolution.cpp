// Direct convolution: a tile of kChannelTile output channels × kPixelTile neighbouring pixels stays in registers
// while the taps of all input channels run past it.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// AVX-512 has 32 vector registers, the others 16: accumulators, pixels and one weight must fit.
static constexpr int kPixelTile = kWidth == 16 ? 4 : 3;

// The input planes of a convolution: which channel each is.
struct AllChannels {
  int count;
  int operator[](int plane) const { return plane; }
};
struct SomeChannels {
  int count;
  const int* channels;
  int operator[](int plane) const { return channels[plane]; }
};

template <int Channels, int Pixels, typename Planes>
static inline void tile(const ConvolutionShape& shape, const Planes& planes, const float* in, const float* weights,
                        const float* bias, float* out) {
  const std::ptrdiff_t channelWeights = std::ptrdiff_t{shape.kernelHeight} * shape.kernelWidth * kChannelTile;
  const std::ptrdiff_t step = std::ptrdiff_t{shape.stride} * kLanes;
  const std::ptrdiff_t inRow = shape.in.rowStride(), inPlane = shape.in.planeStride();
  const std::ptrdiff_t outPlane = shape.out.planeStride();
  for (int part = 0; part < kLanes; part += kWidth) {
    Vector sum[Channels][Pixels];
    for (int o = 0; o < Channels; ++o) {
      for (int p = 0; p < Pixels; ++p) sum[o][p] = broadcast(bias == nullptr ? 0.0f : bias[o]);
    }
    for (int c = 0; c < planes.count; ++c) {
      const float* weight = weights + planes[c] * channelWeights;
      for (int row = 0; row < shape.kernelHeight; ++row) {
        const float* pixel = in + c * inPlane + row * inRow + part;
        for (int column = 0; column < shape.kernelWidth; ++column) {
          Vector value[Pixels];
          for (int p = 0; p < Pixels; ++p) value[p] = load(pixel + p * step);
          for (int o = 0; o < Channels; ++o) {
            const Vector w = broadcast(weight[o]);
            for (int p = 0; p < Pixels; ++p) sum[o][p] += w * value[p];
          }
          weight += kChannelTile;
          pixel += kLanes;
        }
      }
    }
    for (int o = 0; o < Channels; ++o) {
      for (int p = 0; p < Pixels; ++p) store(out + o * outPlane + p * kLanes + part, sum[o][p]);
    }
  }
}

template <int Channels, typename Planes>
static inline void tileOf(int pixels, const ConvolutionShape& shape, const Planes& planes, const float* in,
                          const float* weights, const float* bias, float* out) {
  static_assert(kPixelTile <= 4, "every number of pixels up to the tile has a case");
  switch (pixels) {
    case 1: return tile<Channels, 1>(shape, planes, in, weights, bias, out);
    case 2: return tile<Channels, 2>(shape, planes, in, weights, bias, out);
    case 3: return tile<Channels, 3>(shape, planes, in, weights, bias, out);
    default: return tile<Channels, kPixelTile>(shape, planes, in, weights, bias, out);
  }
}

template <typename Planes>
static inline void convolve(const ConvolutionShape& shape, const Planes& planes, const float* in,
                            const float* packedWeights, const float* bias, float* out) {
  static_assert(kChannelTile == 4, "every number of channels up to the tile has a case");
  const std::ptrdiff_t taps = std::ptrdiff_t{shape.in.channels} * shape.kernelHeight * shape.kernelWidth;
  for (int row = 0; row < shape.out.height; ++row) {
    for (int column = 0; column < shape.out.width; column += kPixelTile) {
      const int left = shape.out.width - column;
      const int pixels = left < kPixelTile ? left : kPixelTile;
      const float* from =
          in + shape.in.at(0, row * shape.stride - shape.padding, column * shape.stride - shape.padding);
      // The innermost of the outer loops is over channels, so that the input patch stays in the first-level cache.
      for (int channel = 0; channel < shape.out.channels; channel += kChannelTile) {
        const float* weights = packedWeights + channel * taps;
        const float* biases = bias == nullptr ? nullptr : bias + channel;
        float* to = out + shape.out.at(channel, row, column);
        switch (shape.out.channels - channel) {
          case 1: tileOf<1>(pixels, shape, planes, from, weights, biases, to); break;
          case 2: tileOf<2>(pixels, shape, planes, from, weights, biases, to); break;
          case 3: tileOf<3>(pixels, shape, planes, from, weights, biases, to); break;
          default: tileOf<4>(pixels, shape, planes, from, weights, biases, to); break;
        }
      }
    }
  }
}

void convolution(const ConvolutionShape& shape, const float* in, const float* packedWeights, const float* bias,
                 float* out) {
  convolve(shape, AllChannels{shape.in.channels}, in, packedWeights, bias, out);
}

void partialConvolution(const ConvolutionShape& shape, const float* in, const int* channels, int count,
                        const float* packedWeights, float* out) {
  convolve(shape, SomeChannels{count, channels}, in, packedWeights, nullptr, out);
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
