// The kernels in double that the unperturbed pass of changes runs on.
#include <cmath>
#include <vector>

#include "block.hpp"
#include "harness.hpp"
#include "kernel_checks.hpp"

namespace deepzero::test {
namespace {

// In double, no tolerance but for the order of sums.
constexpr double kTolerance = 1e-13;

struct DoubleBlock {
  explicit DoubleBlock(const Map& of) : map(of), numbers(of.size() + 2 * kLanes, kGuard) {}
  DoubleBlock(const Map& of, Values& values) : DoubleBlock(of) {
    std::fill_n(data(), map.size(), 0.0);
    for (int c = 0; c < map.channels; ++c) {
      for (int y = 0; y < map.height; ++y) {
        for (int i = 0; i < map.width * kLanes; ++i) {
          const double coarse = values.next();
          data()[map.at(c, y, 0) + i] = coarse + values.next() * 1e-9;
        }
      }
    }
  }
  double* data() { return numbers.data() + kLanes; }
  double at(int n, int c, int y, int x) { return data()[map.at(c, y, x) + n]; }
  bool guarded() const { return numbers.front() == kGuard && numbers.back() == kGuard; }

  static constexpr double kGuard = -1234.5;
  Map map;
  std::vector<double> numbers;
};

// Calls check(image, channel, row, column) for every pixel; the first complaint is returned.
template <typename Check>
std::string forAll(const Map& map, Check check) {
  for (int n = 0; n < kLanes; ++n) {
    for (int c = 0; c < map.channels; ++c) {
      for (int y = 0; y < map.height; ++y) {
        for (int x = 0; x < map.width; ++x) {
          const std::string failure = check(n, c, y, x);
          if (!failure.empty()) return text("image ", n, ", pixel ", c, ",", y, ",", x, ": ", failure);
        }
      }
    }
  }
  return "";
}

std::string checkExactConvolution(const Kernels& table, const ConvolutionCase& given) {
  const ConvolutionShape shape = given.shape();
  const int taps = given.inChannels * given.kernelHeight * given.kernelWidth;
  Values values;
  DoubleBlock in(shape.in, values), out(shape.out);
  std::vector<float> weights(static_cast<std::size_t>(given.outChannels) * taps), bias(given.outChannels);
  for (float& weight : weights) weight = values.next();
  for (float& value : bias) value = values.next();
  std::vector<double> packed(shape.packedSize(), 0.0);
  for (std::size_t i = 0; i < weights.size(); ++i) packed[shape.packedIndex(i)] = weights[i];
  table.float64.convolution(shape, in.data(), packed.data(), bias.data(), out.data());
  if (!out.guarded()) return "a guard word was written";
  return forAll(shape.out, [&](int n, int o, int y, int x) {
    double sum = bias[o];
    for (int tap = 0; tap < taps; ++tap) {
      const int c = tap / (given.kernelHeight * given.kernelWidth);
      const int row = y * given.stride + tap / given.kernelWidth % given.kernelHeight - given.padding;
      const int column = x * given.stride + tap % given.kernelWidth - given.padding;
      if (row < 0 || row >= given.height || column < 0 || column >= given.width) continue;
      sum += static_cast<double>(weights[static_cast<std::size_t>(o) * taps + tap]) * in.at(n, c, row, column);
    }
    return differs(out.at(n, o, y, x), sum, kTolerance * taps);
  });
}

ISA_TEST("float64 convolution: channels × sizes × strides") {
  for (const int outChannels : {1, 3, 4, 5, 18}) {
    for (const int size : {1, 2, 3, 4, 5, 9}) {
      for (const int stride : {1, 2}) {
        ConvolutionCase given;
        given.outChannels = outChannels;
        given.height = given.width = size;
        given.stride = stride;
        CHECK_PASSES(checkExactConvolution(kernels(), given));
      }
    }
  }
}

ISA_TEST("float64 activation and moments") {
  for (const int size : {2, 3, 4, 7, 8}) {
    for (const int pool : {1, 2}) {
      Values values(static_cast<std::uint64_t>(size));
      Activation shape;
      shape.in = {3, size, size, 0};
      shape.residual = {3, size, size, 1};
      shape.out = {3, size / pool, size / pool, 1};
      shape.nonlinearity = Nonlinearity::Relu;
      shape.poolKernel = shape.poolStride = pool;
      DoubleBlock in(shape.in, values), residual(shape.residual, values), out(shape.out);
      const std::vector<AffineOf<double>> affine = {{0.1, 1.3, -0.2}, {-0.4, -0.7, 0.3}, {0, 1, 0}};
      kernels().float64.activate(shape, affine.data(), in.data(), residual.data(), out.data());
      CHECK(out.guarded());
      CHECK_PASSES(forAll(shape.out, [&](int n, int c, int y, int x) {
        double largest = 0;
        for (int i = 0; i < pool * pool; ++i) {
          const int row = y * pool + i / pool, column = x * pool + i % pool;
          largest = std::max(largest, (in.at(n, c, row, column) - affine[c].mean) * affine[c].scale + affine[c].shift +
                                          residual.at(n, c, row, column));
        }
        return differs(out.at(n, c, y, x), largest, kTolerance);
      }));

      double mean[3], squares[3];
      kernels().float64.moments(shape.in, in.data(), 13, mean, squares);
      for (int c = 0; c < 3; ++c) {
        double sum = 0, deviations = 0;
        const auto each = [&](const auto& term) {
          for (int n = 0; n < 13; ++n) {
            for (int i = 0; i < size * size; ++i) term(in.at(n, c, i / size, i % size));
          }
        };
        each([&](double x) { sum += x; });
        const double expected = sum / (13 * size * size);
        each([&](double x) { deviations += (x - expected) * (x - expected); });
        CHECK_NEAR(mean[c], expected, 1e-14);
        CHECK_NEAR(squares[c], deviations, 1e-12 * deviations);
      }
    }
  }
}

// Of one plane; what surrounds the output's pixels is not to be touched.
std::string checkExactAveragePool(const Kernels& table, int height, int width, int kernelHeight, int kernelWidth,
                                  int stride) {
  ConvolutionShape shape;
  shape.in = {1, height, width, height % 3};
  shape.out = {1, (height - kernelHeight) / stride + 1, (width - kernelWidth) / stride + 1, width % 3};
  shape.kernelHeight = kernelHeight;
  shape.kernelWidth = kernelWidth;
  shape.stride = stride;
  Values values;
  DoubleBlock in(shape.in, values), out(shape.out);
  table.float64.averagePool(shape, in.data(), out.data());
  const std::string failure = forAll(shape.out, [&](int n, int, int y, int x) {
    const int pixels = kernelHeight * kernelWidth;
    double sum = 0;
    for (int i = 0; i < pixels; ++i) sum += in.at(n, 0, y * stride + i / kernelWidth, x * stride + i % kernelWidth);
    // One pixel is copied.
    const std::string wrong = differs(out.at(n, 0, y, x), sum / pixels, pixels > 1 ? kTolerance : 0);
    out.data()[shape.out.at(0, y, x) + n] = DoubleBlock::kGuard;
    return wrong;
  });
  if (!failure.empty()) return failure;
  for (const double number : out.numbers) {
    if (number != DoubleBlock::kGuard) return "a guard word or border pixel was written";
  }
  return "";
}

ISA_TEST("float64 average pool: windows × strides") {
  const int windows[][2] = {{1, 1}, {2, 2}, {3, 3}, {1, 3}, {3, 2}, {7, 8}};
  for (const int height : {7, 8, 9}) {
    for (const int width : {8, 11}) {
      for (const auto& window : windows) {
        for (const int stride : {1, 2, 3}) {
          CHECK_PASSES(checkExactAveragePool(kernels(), height, width, window[0], window[1], stride));
        }
      }
    }
  }
}

TEST("caught: a float64 average pool that rounds to float, lacks a window's last row or writes its border") {
  using AveragePool = decltype(Kernels::float64.averagePool);
  const AveragePool wrongs[] = {
      [](const ConvolutionShape& shape, const double* plane, double* out) {
        std::vector<float> in(plane, plane + shape.in.planeStride());
        std::vector<float> rounded(shape.out.planeStride());
        kernels().averagePool(shape, in.data(), rounded.data());
        for (int y = 0; y < shape.out.height; ++y) {
          const std::ptrdiff_t row = shape.out.at(0, y, 0);
          std::copy_n(rounded.data() + row, shape.out.width * kLanes, out + row);
        }
      },
      [](const ConvolutionShape& shape, const double* plane, double* out) {
        ConvolutionShape flat = shape;
        --flat.kernelHeight;
        kernels().float64.averagePool(flat, plane, out);
      },
      [](const ConvolutionShape& shape, const double* plane, double* out) {
        kernels().float64.averagePool(shape, plane, out);
        out[shape.out.at(0, 0, shape.out.width)] = 0;
      },
  };
  CHECK_PASSES(checkExactAveragePool(kernels(), 7, 8, 3, 2, 2));
  for (const AveragePool wrong : wrongs) {
    Kernels table = kernels();
    table.float64.averagePool = wrong;
    CHECK(!checkExactAveragePool(table, 7, 8, 3, 2, 2).empty());
  }
}

}  // namespace
}  // namespace deepzero::test
