// Winograd's F(4×4, 3×3) (Lavin & Gray, 2016): a 3×3 convolution of stride 1 as 36 small matrix products over 6×6 input
// tiles, a quarter of the direct way's multiplications.
#include "kernels/table.hpp"
#include "kernels/vector.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// One row or column of Bᵀ·d·B.
static inline void inputStep(const Vector* in, int stride, Vector* out) {
  const Vector a = in[0], b = in[stride], c = in[2 * stride], d = in[3 * stride], e = in[4 * stride],
               f = in[5 * stride];
  const Vector two = broadcast(2.0f), four = broadcast(4.0f), five = broadcast(5.0f);
  const Vector p = e - four * c, q = d - four * b, r = e - c, s = d - b;
  out[0] = four * a - five * c + e;
  out[stride] = p + q;
  out[2 * stride] = p - q;
  out[3 * stride] = r + two * s;
  out[4 * stride] = r - two * s;
  out[5 * stride] = four * b - five * d + f;
}

// Bᵀ·d·B of the 6×6 tile at `in`; its frequencies go to `out`, a stride apart.
static inline void transformInput(const float* in, std::ptrdiff_t rowStride, float* out, std::ptrdiff_t stride) {
  Vector tile[36], half[36];
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < 6; ++x) tile[6 * y + x] = load(in + y * rowStride + x * kLanes);
  }
  for (int x = 0; x < 6; ++x) inputStep(tile + x, 6, half + x);
  for (int y = 0; y < 6; ++y) inputStep(half + 6 * y, 1, tile + 6 * y);
  for (int f = 0; f < 36; ++f) store(out + f * stride, tile[f]);
}

// One row or column of Aᵀ·m·A.
static inline void outputStep(const Vector* in, int stride, Vector* out, int outStride) {
  const Vector a = in[0], b = in[stride], c = in[2 * stride], d = in[3 * stride], e = in[4 * stride],
               f = in[5 * stride];
  const Vector two = broadcast(2.0f), four = broadcast(4.0f), eight = broadcast(8.0f);
  const Vector p = b + c, q = b - c, r = d + e, s = d - e;
  out[0] = a + p + r;
  out[outStride] = q + two * s;
  out[2 * outStride] = p + four * r;
  out[3 * outStride] = q + eight * s + f;
}

// Aᵀ·m·A of the frequencies at `in`, a stride apart, to the 4×4 pixels at `out`.
static inline void transformOutput(const float* in, std::ptrdiff_t stride, float* out, std::ptrdiff_t rowStride) {
  Vector tile[36], half[24], result[16];
  for (int f = 0; f < 36; ++f) tile[f] = load(in + f * stride);
  for (int x = 0; x < 6; ++x) outputStep(tile + x, 6, half + x, 6);
  for (int y = 0; y < 4; ++y) outputStep(half + 6 * y, 1, result + 4 * y, 1);
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 4; ++x) store(out + y * rowStride + x * kLanes, result[4 * y + x]);
  }
}

// out[channel][tile] = Σ over inputs of weights · in, for Groups·kChannelTile channels and Tiles tiles: enough sums in
// registers to hide a multiplication's latency. Channels are a chunk of tiles apart; weights are [channel group][input]
// [channel in group].
template <int Groups, int Tiles>
static inline void product(int inputs, std::ptrdiff_t chunk, const float* weights, const float* in, float* out) {
  const std::ptrdiff_t groupStride = std::ptrdiff_t{inputs} * kChannelTile;
  Vector sum[Groups * kChannelTile][Tiles] = {};
  for (int c = 0; c < inputs; ++c) {
    Vector value[Tiles];
    for (int t = 0; t < Tiles; ++t) value[t] = load(in + c * chunk + t * kLanes);
    for (int o = 0; o < Groups * kChannelTile; ++o) {
      const Vector w = broadcast(weights[o / kChannelTile * groupStride + c * kChannelTile + o % kChannelTile]);
      for (int t = 0; t < Tiles; ++t) sum[o][t] += w * value[t];
    }
  }
  for (int o = 0; o < Groups * kChannelTile; ++o) {
    for (int t = 0; t < Tiles; ++t) store(out + o * chunk + t * kLanes, sum[o][t]);
  }
}

// The same for all channel groups.
template <int Groups, int Tiles>
static inline void products(int groups, int inputs, std::ptrdiff_t chunk, const float* weights, const float* in,
                            float* out) {
  const std::ptrdiff_t groupStride = std::ptrdiff_t{inputs} * kChannelTile;
  int group = 0;
  for (; group + Groups <= groups; group += Groups) {
    product<Groups, Tiles>(inputs, chunk, weights + group * groupStride, in, out + group * kChannelTile * chunk);
  }
  for (; group < groups; ++group) {
    product<1, Tiles>(inputs, chunk, weights + group * groupStride, in, out + group * kChannelTile * chunk);
  }
}

// One frequency: all channel groups and tiles. AVX-512 has registers for sixteen sums, the others for eight.
static inline void multiply(int tiles, int groups, int inputs, std::ptrdiff_t chunk, const float* weights,
                            const float* in, float* out) {
  constexpr bool kMany = kWidth == 16;
  int t = 0;
  for (; kMany && t + 4 <= tiles; t += 4) {
    products<1, 4>(groups, inputs, chunk, weights, in + t * kLanes, out + t * kLanes);
  }
  for (; t + 2 <= tiles; t += 2) {
    products<kMany ? 2 : 1, 2>(groups, inputs, chunk, weights, in + t * kLanes, out + t * kLanes);
  }
  for (; t < tiles; ++t) {
    products<kMany ? 4 : 2, 1>(groups, inputs, chunk, weights, in + t * kLanes, out + t * kLanes);
  }
}

void winograd(const ConvolutionShape& shape, const float* in, const float* transformedWeights, float* scratch,
              float* out) {
  const Map inMap = shape.in, outMap = shape.out;
  const int inputs = inMap.channels, groups = (outMap.channels + kChannelTile - 1) / kChannelTile;
  const int columns = outMap.width / 4, allTiles = columns * (outMap.height / 4), most = shape.winogradTiles();
  const std::ptrdiff_t weightFrequency = std::ptrdiff_t{groups} * inputs * kChannelTile;
  const std::ptrdiff_t inFrequency = shape.winogradStride(inputs);
  const std::ptrdiff_t outFrequency = shape.winogradStride(groups * kChannelTile);
  const std::ptrdiff_t chunk = std::ptrdiff_t{most} * kLanes;
  float* transformed = scratch;
  float* multiplied = scratch + 36 * inFrequency;
  for (int first = 0; first < allTiles; first += most) {
    const int tiles = allTiles - first < most ? allTiles - first : most;
    std::ptrdiff_t inTile[kWinogradTiles], outTile[kWinogradTiles];
    for (int t = 0; t < tiles; ++t) {
      const int row = (first + t) / columns, column = (first + t) % columns;
      inTile[t] = inMap.at(0, 4 * row - 1, 4 * column - 1);
      outTile[t] = outMap.at(0, 4 * row, 4 * column);
    }
    for (int part = 0; part < kLanes; part += kWidth) {
      for (int c = 0; c < inputs; ++c) {
        for (int t = 0; t < tiles; ++t) {
          transformInput(in + c * inMap.planeStride() + inTile[t] + part, inMap.rowStride(),
                         transformed + c * chunk + t * kLanes, inFrequency);
        }
      }
      for (int f = 0; f < 36; ++f) {
        multiply(tiles, groups, inputs, chunk, transformedWeights + f * weightFrequency, transformed + f * inFrequency,
                 multiplied + f * outFrequency);
      }
      for (int o = 0; o < outMap.channels; ++o) {
        for (int t = 0; t < tiles; ++t) {
          transformOutput(multiplied + o * chunk + t * kLanes, outFrequency,
                          out + o * outMap.planeStride() + outTile[t] + part, outMap.rowStride());
        }
      }
    }
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
