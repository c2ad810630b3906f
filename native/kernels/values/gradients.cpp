// The kernels of back-propagation. Contracts: list.hpp.
#include "kernels/nonlinearities.hpp"
#include "kernels/table.hpp"

namespace deepzero {
namespace DEEPZERO_ISA {

// Weights of an output channel whose sums stay in registers, for kChannelTile channels at a time.
static constexpr int kTapTile = kWidth == 16 ? 6 : 3;

// Pixels whose products are summed up lane by lane: few enough for the first-level cache to hold the gradients of a
// tile of channels there, while the taps of all inputs run past them, and for a float sum to keep its digits.
static constexpr int kGradientPixels = 64;

// Where the planes and pixels of a tile start. An incomplete last tile repeats its last plane or tap.
template <typename Scalar>
struct GradientTile {
  const Scalar* out[kChannelTile];
  const Scalar* in[kTapTile];
};

// Over a few rows, the sums of the products of each output channel's gradients and each tap's pixels, by lane.
template <typename Scalar>
static inline void multiplyRows(const ConvolutionShape& shape, const GradientTile<Scalar>& tile, int rows,
                                Scalar (&sums)[kChannelTile][kTapTile][kLanes]) {
  using Vector = typename Simd<Scalar>::Vector;
  const int width = shape.out.width;
  const std::ptrdiff_t step = std::ptrdiff_t{shape.stride} * kLanes;
  const std::ptrdiff_t inRow = shape.in.rowStride() * shape.stride, outRow = shape.out.rowStride();
  for (int part = 0; part < kLanes; part += Simd<Scalar>::kWidth) {
    Vector sum[kChannelTile][kTapTile] = {};
    for (int y = 0; y < rows; ++y) {
      std::ptrdiff_t in = y * inRow + part, out = y * outRow + part;
      for (int x = 0; x < width; ++x, in += step, out += kLanes) {
        Vector pixel[kTapTile];
        for (int t = 0; t < kTapTile; ++t) pixel[t] = load(tile.in[t] + in);
        for (int o = 0; o < kChannelTile; ++o) {
          const Vector gradient = load(tile.out[o] + out);
          for (int t = 0; t < kTapTile; ++t) sum[o][t] += gradient * pixel[t];
        }
      }
    }
    for (int o = 0; o < kChannelTile; ++o) {
      for (int t = 0; t < kTapTile; ++t) store(sums[o][t] + part, sum[o][t]);
    }
  }
}

template <typename Scalar>
static inline double sumOfLanes(const Scalar* lanes, int count) {
  if (count < kLanes) {
    double sum = 0;
    for (int lane = 0; lane < count; ++lane) sum += static_cast<double>(lanes[lane]);
    return sum;
  }
  Scalar four[4];
  for (int i = 0; i < 4; ++i) four[i] = (lanes[i] + lanes[i + 4]) + (lanes[i + 8] + lanes[i + 12]);
  return static_cast<double>((four[0] + four[1]) + (four[2] + four[3]));
}

template <typename Scalar>
void weightGradient(const ConvolutionShape& shape, const Scalar* in, const Scalar* outGradient, int lanes,
                    double* gradient) {
  const int window = shape.kernelHeight * shape.kernelWidth, taps = shape.in.channels * window;
  const int together = kGradientPixels / shape.out.width > 1 ? kGradientPixels / shape.out.width : 1;
  for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{shape.out.channels} * taps; ++i) gradient[i] = 0;
  for (int row = 0; row < shape.out.height; row += together) {
    const int left = shape.out.height - row, rows = left < together ? left : together;
    for (int channel = 0; channel < shape.out.channels; channel += kChannelTile) {
      GradientTile<Scalar> tile;
      for (int o = 0; o < kChannelTile; ++o) {
        const int at = channel + o < shape.out.channels ? channel + o : shape.out.channels - 1;
        tile.out[o] = outGradient + shape.out.at(at, row, 0);
      }
      for (int tap = 0; tap < taps; tap += kTapTile) {
        for (int t = 0; t < kTapTile; ++t) {
          const int at = tap + t < taps ? tap + t : taps - 1, within = at % window;
          tile.in[t] = in + shape.in.at(at / window, row * shape.stride + within / shape.kernelWidth - shape.padding,
                                        within % shape.kernelWidth - shape.padding);
        }
        Scalar sums[kChannelTile][kTapTile][kLanes];
        multiplyRows(shape, tile, rows, sums);
        for (int o = 0; o < kChannelTile && channel + o < shape.out.channels; ++o) {
          double* to = gradient + std::ptrdiff_t{channel + o} * taps + tap;
          for (int t = 0; t < kTapTile && tap + t < taps; ++t) to[t] += sumOfLanes(sums[o][t], lanes);
        }
      }
    }
  }
}

template void weightGradient(const ConvolutionShape&, const float*, const float*, int, double*);
template void weightGradient(const ConvolutionShape&, const double*, const double*, int, double*);

// Windows of one pixel write every gradient once; others may overlap or leave pixels out, so they add to zeros.
template <bool Residual, bool Pools, typename F, typename Scalar>
static inline void activatePlaneGradient(const Activation& given, const F f, const AffineOf<Scalar>& affine,
                                         const Scalar* in, const Scalar* residual, const Scalar* outGradient,
                                         Scalar* gradient) {
  using Vector = typename Simd<Scalar>::Vector;
  // A copy, since a store through a vector may alias what is behind a reference.
  const Activation shape = given;
  const Vector mean = broadcast(affine.mean), scale = broadcast(affine.scale), shift = broadcast(affine.shift);
  const int kernel = Pools ? shape.poolKernel : 1, stride = Pools ? shape.poolStride : 1;
  const std::ptrdiff_t row = std::ptrdiff_t{shape.in.width} * kLanes;
  if (Pools) {
    for (std::ptrdiff_t i = 0; i < shape.in.height * row; ++i) gradient[i] = 0;
  }
  for (int y = 0; y < shape.out.height; ++y) {
    for (int x = 0; x < shape.out.width; ++x, outGradient += kLanes) {
      const Scalar* from = in + shape.in.at(0, y * stride, x * stride);
      const Scalar* other = residual + (Residual ? shape.residual.at(0, y * stride, x * stride) : 0);
      Scalar* to = gradient + y * stride * row + x * stride * kLanes;
      for (int part = 0; part < kLanes; part += Simd<Scalar>::kWidth) {
        Vector largest{}, first{};
        for (int i = 0, number = 0; i < kernel; ++i) {
          for (int j = 0; j < kernel; ++j, ++number) {
            Vector value = (load(from + i * shape.in.rowStride() + j * kLanes + part) - mean) * scale + shift;
            if (Residual) value += load(other + i * shape.residual.rowStride() + j * kLanes + part);
            const auto better = value > largest;
            first = number > 0 && Pools ? (better ? broadcast(static_cast<Scalar>(number)) : first) : first;
            largest = number == 0 ? value : (better ? value : largest);
          }
        }
        const Vector passed = f.gradient(largest, load(outGradient + part));
        if (!Pools) {
          store(to + part, passed);
          continue;
        }
        for (int i = 0, number = 0; i < kernel; ++i) {
          for (int j = 0; j < kernel; ++j, ++number) {
            Scalar* at = to + i * row + j * kLanes + part;
            store(at, load(at) + (first == broadcast(static_cast<Scalar>(number)) ? passed : Vector{}));
          }
        }
      }
    }
  }
}

template <typename Scalar>
void activateGradient(const Activation& shape, const AffineOf<Scalar>& affine, const Scalar* in, const Scalar* residual,
                      const Scalar* outGradient, Scalar* gradient) {
  const bool pools = shape.poolKernel > 1 || shape.poolStride > 1;
  withNonlinearity<Scalar>(shape, [&](const auto& f) {
    if (residual == nullptr) {
      pools ? activatePlaneGradient<false, true>(shape, f, affine, in, residual, outGradient, gradient)
            : activatePlaneGradient<false, false>(shape, f, affine, in, residual, outGradient, gradient);
    } else {
      pools ? activatePlaneGradient<true, true>(shape, f, affine, in, residual, outGradient, gradient)
            : activatePlaneGradient<true, false>(shape, f, affine, in, residual, outGradient, gradient);
    }
  });
}

template void activateGradient(const Activation&, const Affine&, const float*, const float*, const float*, float*);
template void activateGradient(const Activation&, const AffineOf<double>&, const double*, const double*, const double*,
                               double*);

}  // namespace DEEPZERO_ISA
}  // namespace deepzero
