// Winograd's F(4×4, 3×3) (Lavin & Gray, 2016): a 3×3 convolution of stride 1 as 36 small matrix products over 6×6 input
// tiles, a quarter of the direct way's multiplications.
//
// A few tiles' inputs are transformed for all channels; then a few output channels at a time are multiplied and
// transformed back, so that products never leave the first-level cache. Transforms go by halves, which fit registers.
#include "kernels/moment_sums.hpp"
#include "kernels/table.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// Frequencies that are multiplied at once, for a channel tile of outputs and a number of tiles: AVX-512 has registers
// for the sums of 24 products, the others for twelve.
template <int Tiles>
static constexpr int kAtOnce = kWidth == 16 || Tiles == 1 ? 3 : 1;

// Floats between one group of frequencies and the next: [input][tile][frequency], and a cache line lest a power of two
// sends all groups to the same lines of a cache.
template <int Tiles>
static inline std::ptrdiff_t groupStride(int inputs) {
  return std::ptrdiff_t{kAtOnce<Tiles>} * Tiles * inputs * kWidth + kLanes;
}

// Three rows, the first or the last, of the 6×6 frequencies Bᵀ·d·B of the tile at `in`, in groups a stride apart.
template <int Half, int Group>
static inline void transformInput(const float* in, std::ptrdiff_t rowStride, float* out, std::ptrdiff_t stride) {
  const Vector two = broadcast(2.0f), four = broadcast(4.0f), five = broadcast(5.0f);
  Vector rows[3][6];
  for (int x = 0; x < 6; ++x) {
    const float* pixel = in + x * kLanes;
    const Vector b = load(pixel + rowStride), c = load(pixel + 2 * rowStride), d = load(pixel + 3 * rowStride);
    const Vector e = load(pixel + 4 * rowStride);
    if (Half == 0) {
      const Vector p = e - four * c, q = d - four * b;
      rows[0][x] = four * load(pixel) - five * c + e;
      rows[1][x] = p + q;
      rows[2][x] = p - q;
    } else {
      const Vector r = e - c, s = d - b;
      rows[0][x] = r + two * s;
      rows[1][x] = r - two * s;
      rows[2][x] = four * b - five * d + load(pixel + 5 * rowStride);
    }
  }
  for (int y = 0; y < 3; ++y) {
    const Vector* d = rows[y];
    const Vector p = d[4] - four * d[2], q = d[3] - four * d[1], r = d[4] - d[2], s = d[3] - d[1];
    const auto put = [&](int x, Vector value) {
      const int frequency = 6 * (3 * Half + y) + x;
      store(out + frequency / Group * stride + frequency % Group * kWidth, value);
    };
    put(0, four * d[0] - five * d[2] + d[4]);
    put(1, p + q);
    put(2, p - q);
    put(3, r + two * s);
    put(4, r - two * s);
    put(5, four * d[1] - five * d[3] + d[5]);
  }
}

// Aᵀ·m·A of 6×6 frequencies in turn: calls `put(row, column, value)` for the 4×4 pixels.
template <typename Put>
static inline void transformOutput(const float* m, Put put) {
  const Vector two = broadcast(2.0f), four = broadcast(4.0f), eight = broadcast(8.0f);
  Vector rows[6][4];
  for (int y = 0; y < 6; ++y, m += 6 * kWidth) {
    const Vector b = load(m + kWidth), c = load(m + 2 * kWidth), d = load(m + 3 * kWidth), e = load(m + 4 * kWidth);
    const Vector p = b + c, q = b - c, r = d + e, s = d - e;
    rows[y][0] = load(m) + p + r;
    rows[y][1] = q + two * s;
    rows[y][2] = p + four * r;
    rows[y][3] = q + eight * s + load(m + 5 * kWidth);
  }
  for (int x = 0; x < 4; ++x) {
    const Vector p = rows[1][x] + rows[2][x], q = rows[1][x] - rows[2][x];
    const Vector r = rows[3][x] + rows[4][x], s = rows[3][x] - rows[4][x];
    put(0, x, rows[0][x] + p + r);
    put(1, x, q + two * s);
    put(2, x, p + four * r);
    put(3, x, q + eight * s + rows[5][x]);
  }
}

// A group of frequencies of some channels and tiles: Σ over inputs of weights · in. `out` is
// [tile][channel][36 frequencies].
template <int Channels, int Tiles>
static inline void multiply(int inputs, const float* weights, const float* in, float* out) {
  constexpr int kGroup = kAtOnce<Tiles>;
  const std::ptrdiff_t frequencyWeights = std::ptrdiff_t{inputs} * kChannelTile;
  Vector sum[Tiles][Channels][kGroup] = {};
  for (int c = 0; c < inputs; ++c) {
    for (int f = 0; f < kGroup; ++f) {
      Vector value[Tiles];
      for (int t = 0; t < Tiles; ++t) value[t] = load(in + (kGroup * t + f) * kWidth);
      for (int o = 0; o < Channels; ++o) {
        const Vector w = broadcast(weights[f * frequencyWeights + o]);
        for (int t = 0; t < Tiles; ++t) sum[t][o][f] += w * value[t];
      }
    }
    in += kGroup * Tiles * kWidth;
    weights += kChannelTile;
  }
  for (int t = 0; t < Tiles; ++t) {
    for (int o = 0; o < Channels; ++o) {
      for (int f = 0; f < kGroup; ++f) store(out + ((t * Channels + o) * 36 + f) * kWidth, sum[t][o][f]);
    }
  }
}

// Some output channels of some tiles, which start at `starts` in the plane of the first.
template <int Channels, int Tiles>
static inline void takeChannels(const ConvolutionShape& shape, const float* transformed, const float* weights,
                                const Epilogue& epilogue, float* products, const std::ptrdiff_t* starts, int part,
                                float* out) {
  const int inputs = shape.in.channels;
  // While products are multiplied, the pixels that will be written and those that will be read may come nearer.
  for (int o = 0; o < Channels; ++o) {
    for (int i = 0; i < Tiles * 16; ++i) {
      const std::ptrdiff_t at = starts[i / 16] + i % 16 / 4 * shape.out.rowStride() + i % 4 * kLanes;
      __builtin_prefetch(out + o * shape.out.planeStride() + at, 1);
      if (epilogue.moments != nullptr) __builtin_prefetch(epilogue.moments[o].base + at + part);
    }
  }
  for (int f = 0; f < 36; f += kAtOnce<Tiles>) {
    multiply<Channels, Tiles>(inputs, weights + std::ptrdiff_t{f} * inputs * kChannelTile, transformed,
                              products + f * kWidth);
    transformed += groupStride<Tiles>(inputs);
  }
  for (int o = 0; o < Channels; ++o) {
    const Vector bias = broadcast(epilogue.bias == nullptr ? 0.0f : epilogue.bias[o]);
    const bool add = epilogue.add;
    const std::ptrdiff_t rowStride = shape.out.rowStride();
    PlaneMoments* const moments = epilogue.moments == nullptr ? nullptr : epilogue.moments + o;
    MomentSums sums;
    for (int t = 0; t < Tiles; ++t) {
      const float* m = products + (t * Channels + o) * 36 * kWidth;
      float* pixels = out + o * shape.out.planeStride() + starts[t];
      if (moments == nullptr) {
        transformOutput(m, [&](int row, int column, Vector value) {
          float* pixel = pixels + row * rowStride + column * kLanes;
          store(pixel, value + (add ? bias + load(pixel) : bias));
        });
        continue;
      }
      const float* base = moments->base + starts[t] + part;
      transformOutput(m, [&](int row, int column, Vector value) {
        const std::ptrdiff_t at = row * rowStride + column * kLanes;
        const Vector change = value + (add ? bias + load(pixels + at) : bias);
        store(pixels + at, change);
        sums.add(load(base + at), change);
      });
    }
    if (moments != nullptr) sums.addTo(*moments, part, epilogue.lanes);
  }
}

template <int Tiles>
static inline void takeTiles(const ConvolutionShape& shape, int first, int part, const float* in, const float* weights,
                             const Epilogue& epilogue, float* scratch, float* out) {
  constexpr int kGroup = kAtOnce<Tiles>;
  const int inputs = shape.in.channels, outputs = shape.out.channels, columns = shape.out.width / 4;
  const std::ptrdiff_t stride = groupStride<Tiles>(inputs);
  std::ptrdiff_t starts[Tiles];
  for (int t = 0; t < Tiles; ++t) {
    const int row = (first + t) / columns * 4, column = (first + t) % columns * 4;
    starts[t] = shape.out.at(0, row, column);
    for (int c = 0; c < inputs; ++c) {
      const float* from = in + shape.in.at(c, row - 1, column - 1);
      float* to = scratch + (c * Tiles + t) * kGroup * kWidth;
      transformInput<0, kGroup>(from, shape.in.rowStride(), to, stride);
      transformInput<1, kGroup>(from, shape.in.rowStride(), to, stride);
    }
  }
  float* products = scratch + 36 / kGroup * stride;
  for (int o = 0; o < outputs; o += kChannelTile) {
    const float* factors = weights + std::ptrdiff_t{o} * 36 * inputs;
    const Epilogue rest = epilogue.from(o);
    float* to = out + o * shape.out.planeStride();
    static_assert(kChannelTile == 4, "every number of channels has a case");
    switch (outputs - o) {
      case 1: takeChannels<1, Tiles>(shape, scratch, factors, rest, products, starts, part, to); break;
      case 2: takeChannels<2, Tiles>(shape, scratch, factors, rest, products, starts, part, to); break;
      case 3: takeChannels<3, Tiles>(shape, scratch, factors, rest, products, starts, part, to); break;
      default: takeChannels<4, Tiles>(shape, scratch, factors, rest, products, starts, part, to); break;
    }
  }
}

void winograd(const ConvolutionShape& shape, const float* in, const float* transformedWeights, const Epilogue& epilogue,
              float* scratch, float* out) {
  const int tiles = shape.out.width / 4 * (shape.out.height / 4);
  for (int part = 0; part < kLanes; part += kWidth) {
    int tile = 0;
    for (; tile + kWinogradTiles <= tiles; tile += kWinogradTiles) {
      takeTiles<kWinogradTiles>(shape, tile, part, in + part, transformedWeights, epilogue, scratch, out + part);
    }
    for (; tile < tiles; ++tile)
      takeTiles<1>(shape, tile, part, in + part, transformedWeights, epilogue, scratch, out + part);
  }
}

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
