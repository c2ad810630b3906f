#include "kernel_checks.hpp"

#include <vector>

#include "block.hpp"

namespace deepzero::test {
namespace {

constexpr double kRounding = 0x1p-24;

std::vector<float> draw(std::size_t count, Values& values) {
  std::vector<float> result(count);
  for (float& value : result) value = values.next();
  return result;
}

// max(floor, value) that lets NaN pass.
double atLeast(double floor, double value) { return value < floor ? floor : value; }

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
  const ConvolutionShape shape = given.shape();
  const int taps = given.inChannels * given.kernelHeight * given.kernelWidth;
  Values values;
  Block in(shape.in, values), out(shape.out);
  if (given.specials) in.addSpecials(values);
  const std::vector<float> weights = draw(static_cast<std::size_t>(given.outChannels) * taps, values);
  const std::vector<float> bias = draw(given.outChannels, values);
  std::vector<float> packed(shape.packedSize(), 0.0f);
  for (std::size_t i = 0; i < weights.size(); ++i) packed[shape.packedIndex(i)] = weights[i];

  table.convolution(shape, in.data(), packed.data(), given.bias ? bias.data() : nullptr, out.data());

  const std::string failure = compare(out, [&](int n, int o, int y, int x) {
    double sum = given.bias ? bias[o] : 0, magnitude = std::abs(sum);
    const float* weight = weights.data() + static_cast<std::ptrdiff_t>(o) * taps;
    for (int c = 0; c < given.inChannels; ++c) {
      for (int i = 0; i < given.kernelHeight; ++i) {
        for (int j = 0; j < given.kernelWidth; ++j, ++weight) {
          const int row = y * given.stride + i - given.padding, column = x * given.stride + j - given.padding;
          if (row < 0 || row >= given.height || column < 0 || column >= given.width) continue;
          const double term = double{*weight} * in.at(n, c, row, column);
          sum += term;
          magnitude += std::abs(term);
        }
      }
    }
    return Expected{sum, (taps + 1) * kRounding * magnitude};
  });
  if (failure.empty()) return "";
  return text(table.isa, " convolution ", given.inChannels, "→", given.outChannels, " of ", given.height, "×",
              given.width, ", kernel ", given.kernelHeight, "×", given.kernelWidth, ", stride ", given.stride,
              ", padding ", given.padding, "+", given.extraBorder, ", bias ", given.bias, ": ", failure);
}

std::string checkMoments(const Kernels& table, const Map& map, int lanes, float offset) {
  Values values;
  Block in(map, values);
  for (int c = 0; c < map.channels; ++c) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) {
        for (int n = 0; n < kLanes; ++n) in.at(n, c, y, x) = n < lanes ? in.at(n, c, y, x) + offset : sentinel();
      }
    }
  }
  const double guard = -1234.5;
  std::vector<double> mean(map.channels + 2, guard), squares(map.channels + 2, guard);
  table.moments(map, in.data(), lanes, mean.data() + 1, squares.data() + 1);

  std::string failure;
  for (const std::vector<double>* result : {&mean, &squares}) {
    if (result->front() != guard || result->back() != guard) failure = "a guard word was written";
  }
  for (int c = 0; c < map.channels && failure.empty(); ++c) {
    const auto sumOf = [&](const auto& term) {
      double sum = 0;
      for (int n = 0; n < lanes; ++n) {
        for (int y = 0; y < map.height; ++y) {
          for (int x = 0; x < map.width; ++x) sum += term(double{in.at(n, c, y, x)});
        }
      }
      return sum;
    };
    const double pixels = static_cast<double>(map.height) * map.width;
    const double exact = sumOf([](double x) { return x; }) / (pixels * lanes);
    const double magnitude = sumOf([](double x) { return std::abs(x); }) / (pixels * lanes);
    const double deviations = sumOf([&](double x) { return (x - exact) * (x - exact); });
    const double spread = sumOf([&](double x) { return std::abs(x - exact); });
    // A lane sums at most a plane; each deviation is within 2⁻²⁴ of its own size and of the mean's.
    const double squareTolerance = (pixels + 4) * kRounding * deviations + 4 * kRounding * std::abs(exact) * spread;
    failure = differs(mean[c + 1], exact, pixels * kRounding * magnitude);
    if (failure.empty()) failure = differs(squares[c + 1], deviations, squareTolerance + 1e-12 * exact * exact);
    if (!failure.empty()) failure = text("channel ", c, ": ", failure);
  }
  if (failure.empty()) return "";
  return text(table.isa, " moments of ", map.channels, "×", map.height, "×", map.width, ", border ", map.border, ", ",
              lanes, " lanes, offset ", offset, ": ", failure);
}

namespace {

std::string describe(const Kernels& table, const char* name, const PixelCase& given, const std::string& failure) {
  if (failure.empty()) return "";
  return text(table.isa, " ", name, " of ", given.inMap.channels, "×", given.inMap.height, "×", given.inMap.width,
              ", borders ", given.inMap.border, " to ", given.outMap.border, ": ", failure);
}

}  // namespace

std::string checkNormalize(const Kernels& table, const PixelCase& given, float floor) {
  Values values;
  Block in(given.inMap, values), out(given.outMap);
  if (given.specials) in.addSpecials(values);
  const std::vector<float> mean = draw(given.inMap.channels, values);
  const std::vector<float> scale = draw(given.inMap.channels, values);
  const std::vector<float> shift = draw(given.inMap.channels, values);
  table.normalize(given.inMap, in.data(), mean.data(), scale.data(), shift.data(), floor, given.outMap, out.data());
  return describe(table, "normalize", given, compare(out, [&](int n, int c, int y, int x) {
                    const double value = in.at(n, c, y, x), m = mean[c], s = scale[c], t = shift[c];
                    const double magnitude = (std::abs(value) + std::abs(m)) * std::abs(s) + std::abs(t);
                    return Expected{atLeast(floor, (value - m) * s + t), 3 * kRounding * magnitude};
                  }));
}

std::string checkClamp(const Kernels& table, const PixelCase& given, float floor) {
  Values values;
  Block in(given.inMap, values), out(given.outMap);
  if (given.specials) in.addSpecials(values);
  table.clamp(given.inMap, in.data(), floor, given.outMap, out.data());
  return describe(table, "clamp", given, compare(out, [&](int n, int c, int y, int x) {
                    return Expected{atLeast(floor, in.at(n, c, y, x))};
                  }));
}

std::string checkAdd(const Kernels& table, const PixelCase& given, float floor) {
  Values values;
  // The second summand has the output's border.
  Block a(given.inMap, values), b(given.outMap, values), out(given.outMap);
  if (given.specials) a.addSpecials(values);
  if (given.specials) b.addSpecials(values);
  table.add(given.inMap, a.data(), given.outMap, b.data(), floor, given.outMap, out.data());
  return describe(table, "add", given, compare(out, [&](int n, int c, int y, int x) {
                    return Expected{atLeast(floor, double{a.at(n, c, y, x)} + b.at(n, c, y, x))};
                  }));
}

std::string checkSubsample(const Kernels& table, const Map& inMap, int stride, int outChannels, int outBorder) {
  const Map outMap = {outChannels, (inMap.height - 1) / stride + 1, (inMap.width - 1) / stride + 1, outBorder};
  Values values;
  Block in(inMap, values), out(outMap);
  table.subsample(inMap, in.data(), stride, outMap, out.data());
  const std::string failure = compare(out, [&](int n, int c, int y, int x) {
    const int source = c - (outChannels - inMap.channels) / 2;
    const bool padded = source < 0 || source >= inMap.channels;
    return Expected{padded ? 0.0 : in.at(n, source, y * stride, x * stride)};
  });
  if (failure.empty()) return "";
  return text(table.isa, " subsample ", inMap.channels, "→", outChannels, " of ", inMap.height, "×", inMap.width,
              ", stride ", stride, ": ", failure);
}

std::string checkMaxPool(const Kernels& table, const Map& inMap, int kernel, int stride, int outBorder, bool specials) {
  const Map outMap = {inMap.channels, (inMap.height - kernel) / stride + 1, (inMap.width - kernel) / stride + 1,
                      outBorder};
  Values values;
  Block in(inMap, values), out(outMap);
  if (specials) in.addSpecials(values);
  table.maxPool(inMap, in.data(), kernel, stride, outMap, out.data());
  const std::string failure = compare(out, [&](int n, int c, int y, int x) {
    double largest = -std::numeric_limits<double>::infinity();
    for (int i = 0; i < kernel; ++i) {
      for (int j = 0; j < kernel; ++j) {
        const double value = in.at(n, c, y * stride + i, x * stride + j);
        if (std::isnan(value) || value > largest) largest = value;
        if (std::isnan(value)) return Expected{value};
      }
    }
    return Expected{largest};
  });
  if (failure.empty()) return "";
  return text(table.isa, " maxPool of ", inMap.channels, "×", inMap.height, "×", inMap.width, ", kernel ", kernel,
              ", stride ", stride, ": ", failure);
}

std::string checkAveragePool(const Kernels& table, const Map& inMap, int outBorder) {
  const Map outMap = {inMap.channels, 1, 1, outBorder};
  Values values;
  Block in(inMap, values), out(outMap);
  table.averagePool(inMap, in.data(), outMap, out.data());
  const std::string failure = compare(out, [&](int n, int c, int, int) {
    const double pixels = static_cast<double>(inMap.height) * inMap.width;
    double sum = 0, magnitude = 0;
    for (int y = 0; y < inMap.height; ++y) {
      for (int x = 0; x < inMap.width; ++x) {
        sum += in.at(n, c, y, x);
        magnitude += std::abs(in.at(n, c, y, x));
      }
    }
    return Expected{sum / pixels, (pixels + 2) * kRounding * magnitude / pixels};
  });
  if (failure.empty()) return "";
  return text(table.isa, " averagePool of ", inMap.channels, "×", inMap.height, "×", inMap.width, ": ", failure);
}

}  // namespace deepzero::test
