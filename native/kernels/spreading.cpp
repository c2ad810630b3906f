// What one changed plane makes of a convolution, used up row by row while a first-level cache holds it. Contracts:
// kernels.hpp.
#include "kernels/change_rows.hpp"
#include "kernels/direct.hpp"
#include "kernels/table.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// Rows of some channels of the convolution, one channel tile at most, to `out`: [channel][row][column][lane].
static inline void convolveRows(const OnePlane& from, int channel, int channels, int first, int rows, float* out) {
  ConvolutionShape shape = from.shape;
  shape.out = {channels, rows, shape.out.width, 0};
  const std::ptrdiff_t taps = std::ptrdiff_t{shape.in.channels} * shape.kernelHeight * shape.kernelWidth;
  convolve(shape, SomeChannels{1, &from.channel}, from.plane + first * shape.stride * shape.in.rowStride(),
           from.packedWeights + channel * taps, FromBias{from.bias}.at(channel), out);
}

static inline int channelsFrom(const OnePlane& from, int channel) {
  const int left = from.shape.out.channels - channel;
  return left < kChannelTile ? left : kChannelTile;
}

// So many rows of a width as are taken at a time.
static inline int rowsOf(int width) { return width < kSpreadPixels ? kSpreadPixels / width : 1; }

void spreadMoments(const OnePlane& from, float* scratch, PlaneMoments* planes, int lanes) {
  const Map map = from.shape.out;
  const std::ptrdiff_t row = std::ptrdiff_t{map.width} * kLanes;
  const int most = rowsOf(map.width);
  for (int channel = 0; channel < map.channels; channel += kChannelTile) {
    const int channels = channelsFrom(from, channel);
    for (int first = 0; first < map.height; first += most) {
      const int rows = map.height - first < most ? map.height - first : most;
      convolveRows(from, channel, channels, first, rows, scratch);
      for (int c = 0; c < channels; ++c) {
        measureRows(map, planes[channel + c], scratch + c * rows * row, row, first, rows, lanes);
      }
    }
  }
}

void spreadActivate(const OnePlane& from, const Activation& shape, float* scratch, const PlaneChange* planes) {
  const int width = from.shape.out.width, stride = shape.poolStride;
  const std::ptrdiff_t row = std::ptrdiff_t{width} * kLanes;
  const int most = rowsOf(width * stride);
  for (int channel = 0; channel < from.shape.out.channels; channel += kChannelTile) {
    const int channels = channelsFrom(from, channel);
    for (int first = 0; first < shape.out.height; first += most) {
      const int rows = shape.out.height - first < most ? shape.out.height - first : most;
      const int read = (rows - 1) * stride + shape.poolKernel;
      convolveRows(from, channel, channels, first * stride, read, scratch);
      for (int c = 0; c < channels; ++c) {
        activateRows(shape, planes[channel + c], {scratch + c * read * row, row, kLanes}, first, rows);
      }
    }
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
