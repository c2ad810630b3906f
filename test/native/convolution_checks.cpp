// The checks of what convolutions are made of.
#include <algorithm>
#include <numeric>

#include "block.hpp"
#include "kernel_checks.hpp"

namespace deepzero::test {
namespace {

double padded(Block& in, int image, int channel, int row, int column) {
  const Map& map = in.map();
  return row < 0 || row >= map.height || column < 0 || column >= map.width ? 0 : in.at(image, channel, row, column);
}

std::vector<int> allChannels(const ConvolutionCase& given) {
  std::vector<int> channels(given.inChannels);
  std::iota(channels.begin(), channels.end(), 0);
  return channels;
}

// A convolution of the input channels `channels`, by definition; the others hold NaN.
struct Operands {
  Operands(const ConvolutionCase& given, const std::vector<int>& channels)
      : shape(given.shape()),
        channels(channels),
        in(shape.in, values),
        weights(draw(static_cast<std::size_t>(given.outChannels) * taps(), values)) {
    if (given.specials) in.addSpecials(values);
    for (int c = 0; c < given.inChannels; ++c) {
      if (std::find(channels.begin(), channels.end(), c) == channels.end()) in.spoil(c);
    }
  }

  std::size_t window() const { return static_cast<std::size_t>(shape.kernelHeight) * shape.kernelWidth; }
  std::size_t taps() const { return shape.in.channels * window(); }

  std::vector<float> packed() const {
    std::vector<float> result(shape.packedSize(), 0.0f);
    for (std::size_t i = 0; i < weights.size(); ++i) result[shape.packedIndex(i)] = weights[i];
    return result;
  }

  Expected at(int image, int outChannel, int y, int x, double bias = 0) {
    double sum = bias, magnitude = std::abs(bias);
    for (const int channel : channels) {
      const float* weight = weights.data() + outChannel * taps() + channel * window();
      for (int i = 0; i < shape.kernelHeight; ++i) {
        for (int j = 0; j < shape.kernelWidth; ++j, ++weight) {
          const int row = y * shape.stride + i - shape.padding, column = x * shape.stride + j - shape.padding;
          const double term = *weight * padded(in, image, channel, row, column);
          sum += term;
          magnitude += std::abs(term);
        }
      }
    }
    return {sum, static_cast<double>(channels.size() * window() + 1) * kRounding * magnitude};
  }

  Values values;
  ConvolutionShape shape;
  std::vector<int> channels;
  Block in;
  std::vector<float> weights;
};

std::string describe(const Kernels& table, const char* name, const ConvolutionCase& given, const std::string& failure) {
  if (failure.empty()) return "";
  return text(table.isa, " ", name, " ", given.inChannels, "→", given.outChannels, " of ", given.height, "×",
              given.width, ", kernel ", given.kernelHeight, "×", given.kernelWidth, ", stride ", given.stride,
              ", padding ", given.padding, "+", given.extraBorder, ", bias ", given.bias, ": ", failure);
}

// Winograd's F(4×4, 3×3) on the points 0, ±1, ±2, ∞: G, and the sizes of the entries of Aᵀ.
constexpr double kG[6][3] = {{1.0 / 4, 0, 0},
                             {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                             {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                             {1.0 / 24, 1.0 / 12, 1.0 / 6},
                             {1.0 / 24, -1.0 / 12, 1.0 / 6},
                             {0, 0, 1}};
constexpr double kAbsA[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, 1, 2, 2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, 1, 8, 8, 1}};
// Σ|entries| of the rows of Bᵀ: how far a transformed input can grow beyond inputs in [−1, 1).
constexpr double kGrowth[6] = {10, 10, 10, 6, 6, 10};

// G·g·Gᵀ at one frequency.
double transformed(const float* g, int r, int c) {
  double sum = 0;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) sum += kG[r][i] * g[3 * i + j] * kG[c][j];
  }
  return sum;
}

}  // namespace

ConvolutionShape ConvolutionCase::shape() const {
  ConvolutionShape shape;
  shape.in = {inChannels, height, width, padding + extraBorder};
  shape.out = {outChannels, (height + 2 * padding - kernelHeight) / stride + 1,
               (width + 2 * padding - kernelWidth) / stride + 1, outBorder};
  shape.kernelHeight = kernelHeight;
  shape.kernelWidth = kernelWidth;
  shape.stride = stride;
  shape.padding = padding;
  return shape;
}

std::string checkConvolution(const Kernels& table, const ConvolutionCase& given) {
  Operands operands(given, allChannels(given));
  const std::vector<float> bias = draw(given.outChannels, operands.values);
  Block out(operands.shape.out);
  table.convolution(operands.shape, operands.in.data(), operands.packed().data(), given.bias ? bias.data() : nullptr,
                    out.data());
  return describe(table, "convolution", given, compare(out, [&](int n, int o, int y, int x) {
                    return operands.at(n, o, y, x, given.bias ? bias[o] : 0);
                  }));
}

std::string checkAddConvolution(const Kernels& table, const ConvolutionCase& given) {
  Operands operands(given, allChannels(given));
  const std::vector<float> bias = draw(given.outChannels, operands.values);
  Block before(operands.shape.out, operands.values), out(operands.shape.out);
  out.copyPixels(before);
  table.addConvolution(operands.shape, operands.in.data(), operands.packed().data(), given.bias ? bias.data() : nullptr,
                       out.data());
  return describe(table, "addConvolution", given, compare(out, [&](int n, int o, int y, int x) {
                    const Expected added = operands.at(n, o, y, x, given.bias ? bias[o] : 0);
                    const double held = before.at(n, o, y, x);
                    const double roundings = static_cast<double>(operands.taps()) + 2;
                    // One sum more, and what is held is a term of all.
                    return Expected{held + added.value, 2 * added.tolerance + roundings * kRounding * std::abs(held)};
                  }));
}

std::string checkPartialConvolution(const Kernels& table, const ConvolutionCase& given,
                                    const std::vector<int>& channels) {
  Operands operands(given, channels);
  Block out(operands.shape.out);
  table.partialConvolution(operands.shape, operands.in.data(), channels.data(), static_cast<int>(channels.size()),
                           operands.packed().data(), out.data());
  const std::string failure = compare(out, [&](int n, int o, int y, int x) { return operands.at(n, o, y, x); });
  std::string list;
  for (const int channel : channels) list += text(" ", channel);
  return describe(table, "partialConvolution", given, failure.empty() ? "" : text("channels", list, ": ", failure));
}

std::string checkWinograd(const Kernels& table, const ConvolutionCase& given) {
  Operands operands(given, allChannels(given));
  const ConvolutionShape& shape = operands.shape;
  if (!shape.supportsWinograd()) return "the shape is not supported";
  // |output| is at most Σ |Aᵀ|·|U|·|V|·|A| over inputs and frequencies, and so is every partial sum on the way. An
  // error there passes through at most: three additions for each dimension of the input's transform, one rounding of a
  // weight, a multiplication and the sum over inputs, three additions for each dimension of the output's transform and
  // two of what it is added to.
  std::vector<float> weights(shape.winogradSize(), 0.0f);
  std::vector<double> bound(static_cast<std::size_t>(given.outChannels) * 16, 0.0);
  for (int o = 0; o < given.outChannels; ++o) {
    for (int c = 0; c < given.inChannels; ++c) {
      const float* g = operands.weights.data() + (static_cast<std::size_t>(o) * given.inChannels + c) * 9;
      for (int f = 0; f < 36; ++f) {
        const int r = f / 6, s = f % 6;
        const double weight = transformed(g, r, s);
        weights[shape.winogradIndex(o, c, f)] = static_cast<float>(weight);
        for (int pixel = 0; pixel < 16; ++pixel) {
          bound[o * 16 + pixel] +=
              kAbsA[pixel / 4][r] * kAbsA[pixel % 4][s] * std::abs(weight) * kGrowth[r] * kGrowth[s];
        }
      }
    }
  }
  const std::vector<float> bias = draw(given.outChannels, operands.values);
  constexpr int kCounted = 13;
  const std::size_t cacheLines = shape.winogradScratch() / kLanes;
  Block scratch(Map{1, 1, static_cast<int>(cacheLines), 0}), before(shape.out, operands.values),
      base(shape.out, operands.values);
  std::string failure;
  for (const bool add : {false, true}) {
    Block out(shape.out);
    if (add) out.copyPixels(before);
    // Moments, asked for every other time, are of what the output then holds.
    std::vector<PlaneMoments> moments(given.outChannels), expected(given.outChannels);
    for (int o = 0; o < given.outChannels; ++o) {
      expected[o].base = moments[o].base = base.plane(o);
      expected[o].change = out.plane(o);
    }
    const bool measured = given.outBorder == 0;
    table.winograd(shape, operands.in.data(), weights.data(),
                   {given.bias ? bias.data() : nullptr, add, measured ? moments.data() : nullptr, kCounted},
                   scratch.data(), out.data());
    if (measured) kernels().changeMoments(shape.out, expected.data(), given.outChannels, kCounted);
    for (int o = 0; o < given.outChannels && failure.empty(); ++o) {
      for (int n = 0; n < kLanes && failure.empty(); ++n) {
        const double pixels = static_cast<double>(shape.out.height) * shape.out.width;
        const double size = pixels * (bound[o * 16 + 15] + 3) * (bound[o * 16 + 15] + 3);
        failure = differs(moments[o].sum[n], expected[o].sum[n], pixels * kRounding * size);
        if (failure.empty()) failure = differs(moments[o].square[n], expected[o].square[n], pixels * kRounding * size);
        if (failure.empty() && n >= kCounted) failure = differs(moments[o].sum[n], 0, 0);
      }
    }
    if (!failure.empty()) return describe(table, "winograd's moments,", given, failure);
    failure = compare(out, [&](int n, int o, int y, int x) {
      const double held = (given.bias ? bias[o] : 0) + (add ? before.at(n, o, y, x) : 0);
      const int roundings = given.inChannels + 16;
      return Expected{operands.at(n, o, y, x).value + held,
                      roundings * kRounding * (bound[o * 16 + y % 4 * 4 + x % 4] + 2)};
    });
    if (failure.empty() && !scratch.overrun().empty()) failure = "of the scratch, " + scratch.overrun();
    if (!failure.empty()) return describe(table, add ? "winograd, adding," : "winograd", given, failure);
  }
  return "";
}

}  // namespace deepzero::test
