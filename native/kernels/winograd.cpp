// Winograd's F(4×4, 3×3) (Lavin & Gray, 2016): a 3×3 convolution of stride 1 as 36 small matrix products over 6×6 input
// tiles, a quarter of the direct way's multiplications.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// Tiles (vectors of one transformed row of tiles) that one product keeps in registers beside kChannelTile channels.
static constexpr int kTileGroup = kWidth == 16 ? 4 : 2;

// Bᵀ of the input transform, applied to six vectors a stride apart.
static inline void transformInput(const Vector* in, int inStride, Vector* out, int outStride) {
  const Vector a = in[0], b = in[inStride], c = in[2 * inStride], d = in[3 * inStride], e = in[4 * inStride],
               f = in[5 * inStride];
  const Vector four = broadcast(4.0f), five = broadcast(5.0f), two = broadcast(2.0f);
  const Vector p = e - four * c, q = d - four * b, r = e - c, s = two * (d - b);
  out[0] = four * a - five * c + e;
  out[outStride] = p + q;
  out[2 * outStride] = p - q;
  out[3 * outStride] = r + s;
  out[4 * outStride] = r - s;
  out[5 * outStride] = four * b - five * d + f;
}

// Aᵀ of the output transform.
static inline void transformOutput(const Vector* in, int inStride, Vector* out, int outStride) {
  const Vector a = in[0], b = in[inStride], c = in[2 * inStride], d = in[3 * inStride], e = in[4 * inStride],
               f = in[5 * inStride];
  const Vector two = broadcast(2.0f), four = broadcast(4.0f), eight = broadcast(8.0f);
  const Vector p = b + c, q = b - c, r = d + e, s = d - e;
  out[0] = a + p + r;
  out[outStride] = q + two * s;
  out[2 * outStride] = p + four * r;
  out[3 * outStride] = q + eight * s + f;
}

// sums[group][tile] over channels; weights [channel group][channel][channel in group].
template <int Groups, int Tiles>
static inline void product(int channels, std::ptrdiff_t groupStride, const float* weights, const float* in,
                           std::ptrdiff_t inStride, float* out, std::ptrdiff_t outStride) {
  Vector sum[Groups * kChannelTile][Tiles] = {};
  for (int c = 0; c < channels; ++c) {
    Vector value[Tiles];
    for (int t = 0; t < Tiles; ++t) value[t] = load(in + c * inStride + t * kLanes);
    for (int o = 0; o < Groups * kChannelTile; ++o) {
      const Vector w = broadcast(weights[o / kChannelTile * groupStride + c * kChannelTile + o % kChannelTile]);
      for (int t = 0; t < Tiles; ++t) sum[o][t] += w * value[t];
    }
  }
  for (int o = 0; o < Groups * kChannelTile; ++o) {
    for (int t = 0; t < Tiles; ++t) store(out + o * outStride + t * kLanes, sum[o][t]);
  }
}

// Fewer tiles leave registers for more channel groups.
static inline int productOf(int groups, int tiles, int channels, std::ptrdiff_t groupStride, const float* weights,
                            const float* in, std::ptrdiff_t inStride, float* out, std::ptrdiff_t outStride) {
  if (tiles >= 4 && kTileGroup == 4) {
    product<1, kTileGroup>(channels, groupStride, weights, in, inStride, out, outStride);
    return 1;
  }
  if (tiles >= 2) {
    product<1, 2>(channels, groupStride, weights, in, inStride, out, outStride);
    return 1;
  }
  if (groups >= 4 && kTileGroup == 4) {
    product<4, 1>(channels, groupStride, weights, in, inStride, out, outStride);
    return 4;
  }
  if (groups >= 2) {
    product<2, 1>(channels, groupStride, weights, in, inStride, out, outStride);
    return 2;
  }
  product<1, 1>(channels, groupStride, weights, in, inStride, out, outStride);
  return 1;
}

void winograd(const ConvolutionShape& shape, const float* in, const float* transformedWeights, float* scratch,
              float* out) {
  const int tiles = shape.out.width / 4, channels = shape.in.channels;
  const int groups = (shape.out.channels + kChannelTile - 1) / kChannelTile;
  const std::ptrdiff_t tileRow = std::ptrdiff_t{tiles} * kLanes;
  const std::ptrdiff_t inFrequency = channels * tileRow, outFrequency = groups * kChannelTile * tileRow;
  const std::ptrdiff_t groupStride = std::ptrdiff_t{channels} * kChannelTile;
  const std::ptrdiff_t weightFrequency = groups * groupStride;
  float* transformed = scratch;
  float* products = scratch + 36 * inFrequency;
  for (int row = 0; row < shape.out.height; row += 4) {
    for (int part = 0; part < kLanes; part += kWidth) {
      for (int c = 0; c < channels; ++c) {
        for (int t = 0; t < tiles; ++t) {
          Vector tile[36], half[36];
          const float* corner = in + shape.in.at(c, row - 1, 4 * t - 1) + part;
          for (int y = 0; y < 6; ++y) {
            for (int x = 0; x < 6; ++x) tile[6 * y + x] = load(corner + y * shape.in.rowStride() + x * kLanes);
          }
          for (int x = 0; x < 6; ++x) transformInput(tile + x, 6, half + x, 6);
          for (int y = 0; y < 6; ++y) transformInput(half + 6 * y, 1, tile + 6 * y, 1);
          float* to = transformed + c * tileRow + t * kLanes + part;
          for (int f = 0; f < 36; ++f) store(to + f * inFrequency, tile[f]);
        }
      }
      for (int f = 0; f < 36; ++f) {
        for (int t = 0; t < tiles; t += tiles - t >= kTileGroup ? kTileGroup : tiles - t >= 2 ? 2 : 1) {
          for (int group = 0; group < groups;) {
            group +=
                productOf(groups - group, tiles - t, channels, groupStride,
                          transformedWeights + f * weightFrequency + group * groupStride,
                          transformed + f * inFrequency + t * kLanes + part, tileRow,
                          products + f * outFrequency + group * kChannelTile * tileRow + t * kLanes + part, tileRow);
          }
        }
      }
      for (int o = 0; o < shape.out.channels; ++o) {
        for (int t = 0; t < tiles; ++t) {
          Vector tile[36], half[24], result[16];
          const float* from = products + o * tileRow + t * kLanes + part;
          for (int f = 0; f < 36; ++f) tile[f] = load(from + f * outFrequency);
          for (int x = 0; x < 6; ++x) transformOutput(tile + x, 6, half + x, 6);
          for (int y = 0; y < 4; ++y) transformOutput(half + 6 * y, 1, result + 4 * y, 1);
          for (int y = 0; y < 4; ++y) {
            for (int x = 0; x < 4; ++x) store(out + shape.out.at(o, row + y, 4 * t + x) + part, result[4 * y + x]);
          }
        }
      }
    }
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
