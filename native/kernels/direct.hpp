// Direct convolution: a tile of kChannelTile output channels × kPixelTile neighbouring pixels stays in registers
// while the taps of all input channels run past it.
#pragma once

#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// AVX-512 has 32 vector registers, the others 16: accumulators, pixels and one weight must fit.
static constexpr int kPixelTile = kWidth == 16 ? 4 : 3;

// The input channels of a convolution that are not zero.
struct AllChannels {
  int count;
  int operator[](int i) const { return i; }
};
struct SomeChannels {
  int count;
  const int* channels;
  int operator[](int i) const { return channels[i]; }
};

// Where the sums over taps start: from the bias, or from the bias and the output.
struct FromBias {
  const float* bias;
  FromBias at(int channel) const { return {bias == nullptr ? nullptr : bias + channel}; }
  template <typename Scalar>
  typename Simd<Scalar>::Vector operator()(int o, const Scalar*) const {
    return broadcast(bias == nullptr ? Scalar{0} : static_cast<Scalar>(bias[o]));
  }
};
struct FromOutput {
  const float* bias;
  FromOutput at(int channel) const { return {bias == nullptr ? nullptr : bias + channel}; }
  Vector operator()(int o, const float* out) const { return load(out) + broadcast(bias == nullptr ? 0.0f : bias[o]); }
};

// Adds the products of one plane's taps to the sums of neighbouring pixels of one row, for one vector of their lanes.
template <int Channels, int Pixels, typename Scalar>
static inline void addPlane(const ConvolutionShape& shape, int height, int width, const Scalar* in,
                            const Scalar* weight, typename Simd<Scalar>::Vector (&sum)[Channels][Pixels]) {
  using Vector = typename Simd<Scalar>::Vector;
  const std::ptrdiff_t step = std::ptrdiff_t{shape.stride} * kLanes;
  for (int row = 0; row < height; ++row) {
    const Scalar* pixel = in + row * shape.in.rowStride();
    for (int column = 0; column < width; ++column) {
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

// The same for all planes. The most common kernel, 3×3, is unrolled.
template <int Channels, int Pixels, typename Planes, typename Scalar>
static inline void addTaps(const ConvolutionShape& shape, const Planes& planes, const Scalar* in, const Scalar* weights,
                           typename Simd<Scalar>::Vector (&sum)[Channels][Pixels]) {
  const int height = shape.kernelHeight, width = shape.kernelWidth;
  const std::ptrdiff_t channelWeights = std::ptrdiff_t{height} * width * kChannelTile;
  for (int c = 0; c < planes.count; ++c) {
    const Scalar* plane = in + planes[c] * shape.in.planeStride();
    const Scalar* weight = weights + planes[c] * channelWeights;
    if (height == 3 && width == 3) {
      addPlane(shape, 3, 3, plane, weight, sum);
    } else {
      addPlane(shape, height, width, plane, weight, sum);
    }
  }
}

template <int Channels, int Pixels, typename Planes, typename Start, typename Scalar>
static inline void tile(const ConvolutionShape& shape, const Planes& planes, const Scalar* in, const Scalar* weights,
                        const Start& start, Scalar* out) {
  const std::ptrdiff_t outPlane = shape.out.planeStride();
  for (int part = 0; part < kLanes; part += Simd<Scalar>::kWidth) {
    typename Simd<Scalar>::Vector sum[Channels][Pixels];
    for (int o = 0; o < Channels; ++o) {
      for (int p = 0; p < Pixels; ++p) sum[o][p] = start(o, out + o * outPlane + p * kLanes + part);
    }
    addTaps(shape, planes, in + part, weights, sum);
    for (int o = 0; o < Channels; ++o) {
      for (int p = 0; p < Pixels; ++p) store(out + o * outPlane + p * kLanes + part, sum[o][p]);
    }
  }
}

template <int Channels, typename Planes, typename Start, typename Scalar>
static inline void tileOf(int pixels, const ConvolutionShape& shape, const Planes& planes, const Scalar* in,
                          const Scalar* weights, const Start& start, Scalar* out) {
  static_assert(kPixelTile <= 4, "every number of pixels up to the tile has a case");
  switch (pixels) {
    case 1: return tile<Channels, 1>(shape, planes, in, weights, start, out);
    case 2: return tile<Channels, 2>(shape, planes, in, weights, start, out);
    case 3: return tile<Channels, 3>(shape, planes, in, weights, start, out);
    default: return tile<Channels, kPixelTile>(shape, planes, in, weights, start, out);
  }
}

// 3×3 on a 2×2 map: the tile is the whole map, and of the nine taps only the four that meet the map are multiplied.
template <int Channels, typename Planes, typename Start, typename Scalar>
static inline void wholeMap(const ConvolutionShape& shape, const Planes& planes, const Scalar* in,
                            const Scalar* weights, const Start& start, int count, Scalar* out) {
  using Vector = typename Simd<Scalar>::Vector;
  const std::ptrdiff_t inRow = shape.in.rowStride(), inPlane = shape.in.planeStride();
  const std::ptrdiff_t outRow = shape.out.rowStride(), outPlane = shape.out.planeStride();
  const int inputs = planes.count;
  for (int part = 0; part < kLanes; part += Simd<Scalar>::kWidth) {
    Vector sum[Channels][4];
    for (int o = 0; o < Channels; ++o) {
      for (int p = 0; p < 4; ++p) {
        sum[o][p] = o < count ? start(o, out + o * outPlane + p / 2 * outRow + p % 2 * kLanes + part) : Vector{};
      }
    }
    for (int c = 0; c < inputs; ++c) {
      const Scalar* weight = weights + std::ptrdiff_t{planes[c]} * 9 * kChannelTile;
      const Scalar* pixel = in + planes[c] * inPlane + part;
      const Vector value[4] = {load(pixel), load(pixel + kLanes), load(pixel + inRow), load(pixel + inRow + kLanes)};
      for (int o = 0; o < Channels; ++o) {
        for (int p = 0; p < 4; ++p) {
          for (int q = 0; q < 4; ++q) {
            const int tap = 3 * (q / 2 - p / 2 + 1) + q % 2 - p % 2 + 1;
            sum[o][p] += broadcast(weight[tap * kChannelTile + o]) * value[q];
          }
        }
      }
    }
    for (int o = 0; o < Channels && o < count; ++o) {
      for (int p = 0; p < 4; ++p) store(out + o * outPlane + p / 2 * outRow + p % 2 * kLanes + part, sum[o][p]);
    }
  }
}

static inline bool isWholeMap(const ConvolutionShape& shape) {
  return shape.in.height == 2 && shape.in.width == 2 && shape.kernelHeight == 3 && shape.kernelWidth == 3 &&
         shape.stride == 1 && shape.padding == 1;
}

// All pixels of the output, which may be some rows of the whole output.
template <typename Planes, typename Start, typename Scalar>
static inline void convolveTiles(const ConvolutionShape& shape, const Planes& planes, const Scalar* in,
                                 const Scalar* packedWeights, const Start& start, Scalar* out) {
  static_assert(kChannelTile == 4, "every number of channels up to the tile has a case");
  const std::ptrdiff_t taps = std::ptrdiff_t{shape.in.channels} * shape.kernelHeight * shape.kernelWidth;
  for (int row = 0; row < shape.out.height; ++row) {
    for (int column = 0; column < shape.out.width; column += kPixelTile) {
      const int left = shape.out.width - column;
      const int pixels = left < kPixelTile ? left : kPixelTile;
      const Scalar* from =
          in + shape.in.at(0, row * shape.stride - shape.padding, column * shape.stride - shape.padding);
      // The innermost of the outer loops is over channels, so that the input patch stays in the first-level cache.
      for (int channel = 0; channel < shape.out.channels; channel += kChannelTile) {
        const Scalar* weights = packedWeights + channel * taps;
        const Start begin = start.at(channel);
        Scalar* to = out + shape.out.at(channel, row, column);
        switch (shape.out.channels - channel) {
          case 1: tileOf<1>(pixels, shape, planes, from, weights, begin, to); break;
          case 2: tileOf<2>(pixels, shape, planes, from, weights, begin, to); break;
          case 3: tileOf<3>(pixels, shape, planes, from, weights, begin, to); break;
          default: tileOf<4>(pixels, shape, planes, from, weights, begin, to); break;
        }
      }
    }
  }
}

template <typename Planes, typename Start, typename Scalar>
static inline void convolve(const ConvolutionShape& shape, const Planes& planes, const Scalar* in,
                            const Scalar* packedWeights, const Start& start, Scalar* out) {
  if (!isWholeMap(shape)) return convolveTiles(shape, planes, in, packedWeights, start, out);
  constexpr int kChannels = kWidth == 16 ? 4 : 2;
  for (int channel = 0; channel < shape.out.channels; channel += kChannels) {
    const Scalar* weights =
        packedWeights + channel / kChannelTile * kChannelTile * std::ptrdiff_t{9} * shape.in.channels;
    wholeMap<kChannels>(shape, planes, in + shape.in.at(0, 0, 0), weights + channel % kChannelTile, start.at(channel),
                        shape.out.channels - channel, out + shape.out.at(channel, 0, 0));
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
