// Convolutions of changed planes fused with what reads them, a few rows at a time that the first-level cache holds.
// Contracts: list.hpp.
#include "kernels/changes/change_rows.hpp"
#include "kernels/direct.hpp"
#include "kernels/moment_sums.hpp"
#include "kernels/table.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// A number as a type, for a lambda that needs it as a constant.
template <int Value>
struct Count {
  static constexpr int value = Value;
};

// One channel, as most queries change: the compiler removes the loop.
struct OneChannel {
  static constexpr int count = 1;
  int channel;
  int operator[](int) const { return channel; }
};

// Rows of some channels of the convolution, one channel tile at most, to `out`: [channel][row][column][lane].
template <typename Planes>
static inline void convolveRows(const PartialConvolution& from, const Planes& planes, int channel, int channels,
                                int first, int rows, float* out) {
  ConvolutionShape shape = from.shape;
  shape.out = {channels, rows, shape.out.width, 0};
  const std::ptrdiff_t taps = std::ptrdiff_t{shape.in.channels} * shape.kernelHeight * shape.kernelWidth;
  convolveTiles(shape, planes, from.in + first * shape.stride * shape.in.rowStride(),
                from.packedWeights + channel * taps, FromBias{from.bias}.at(channel), out);
}

static inline int channelsFrom(const PartialConvolution& from, int channel) {
  const int left = from.shape.out.channels - channel;
  return left < kChannelTile ? left : kChannelTile;
}

// Rows [first, first + rows) of some channels from one on.
template <int Channels>
static inline void measureChannels(const PartialConvolution& from, int channel, int first, int rows,
                                   PlaneMoments* planes, int lanes) {
  const ConvolutionShape shape = from.shape;
  const OneChannel changed{from.channels[0]};
  const FromBias bias = FromBias{from.bias}.at(channel);
  const float* weights =
      from.packedWeights + std::ptrdiff_t{channel} * shape.in.channels * shape.kernelHeight * shape.kernelWidth;
  for (int part = 0; part < kLanes; part += kWidth) {
    MomentSums sums[Channels];
    for (int y = first; y < first + rows; ++y) {
      const float* in = from.in + shape.in.at(0, y * shape.stride - shape.padding, -shape.padding) + part;
      const std::ptrdiff_t row = shape.out.at(0, y, 0) + part;
      const auto take = [&](int x, auto count) {
        constexpr int kPixels = decltype(count)::value;
        Vector sum[Channels][kPixels];
        for (int o = 0; o < Channels; ++o) {
          for (int p = 0; p < kPixels; ++p) sum[o][p] = bias(o, in);
        }
        addTaps(shape, changed, in + x * shape.stride * kLanes, weights, sum);
        for (int o = 0; o < Channels; ++o) {
          MomentSums some;
          for (int p = 0; p < kPixels; ++p) some.add(load(planes[o].base + row + (x + p) * kLanes), sum[o][p]);
          sums[o].sum += some.sum;
          sums[o].square += some.square;
        }
      };
      int x = 0;
      for (; x + kPixelTile <= shape.out.width; x += kPixelTile) take(x, Count<kPixelTile>());
      for (; x < shape.out.width; ++x) take(x, Count<1>());
    }
    for (int o = 0; o < Channels; ++o) sums[o].addTo(planes[o], part, lanes);
  }
}

void convolveMoments(const PartialConvolution& from, PlaneMoments* planes, int lanes) {
  const Map map = from.shape.out;
  const int most = rowsAtOnce(map.width);
  for (int channel = 0; channel < map.channels; channel += kChannelTile) {
    for (int first = 0; first < map.height; first += most) {
      const int rows = map.height - first < most ? map.height - first : most;
      PlaneMoments* some = planes + channel;
      static_assert(kChannelTile == 4, "every number of channels up to the tile has a case");
      switch (channelsFrom(from, channel)) {
        case 1: measureChannels<1>(from, channel, first, rows, some, lanes); break;
        case 2: measureChannels<2>(from, channel, first, rows, some, lanes); break;
        case 3: measureChannels<3>(from, channel, first, rows, some, lanes); break;
        default: measureChannels<4>(from, channel, first, rows, some, lanes); break;
      }
    }
  }
}

template <typename Planes>
static void convolveActivateOf(const PartialConvolution& from, const Planes& changed, const Activation& shape,
                               float* scratch, const PlaneChange* planes) {
  const int width = from.shape.out.width, stride = shape.poolStride;
  const std::ptrdiff_t row = std::ptrdiff_t{width} * kLanes;
  // A stride may be far larger than the map.
  const int most = rowsAtOnce(width * (stride < kFusedPixels ? stride : kFusedPixels));
  for (int channel = 0; channel < from.shape.out.channels; channel += kChannelTile) {
    const int channels = channelsFrom(from, channel);
    for (int first = 0; first < shape.out.height; first += most) {
      const int rows = shape.out.height - first < most ? shape.out.height - first : most;
      const int read = (rows - 1) * stride + shape.poolKernel;
      convolveRows(from, changed, channel, channels, first * stride, read, scratch);
      for (int c = 0; c < channels; ++c) {
        activateRows(shape, planes[channel + c], ChangeRows<false>{scratch + c * read * row, row, kLanes}, first, rows);
      }
    }
  }
}

void convolveActivate(const PartialConvolution& from, const Activation& shape, float* scratch,
                      const PlaneChange* planes) {
  if (from.count == 1) {
    convolveActivateOf(from, OneChannel{from.channels[0]}, shape, scratch, planes);
  } else {
    convolveActivateOf(from, SomeChannels{from.count, from.channels}, shape, scratch, planes);
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
