// The kernels of back-propagation against naive loops, in float and in double, and wrong ones that are caught.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "block.hpp"
#include "harness.hpp"
#include "network/pass.hpp"
#include "wrong_kernels.hpp"

namespace deepzero::test {
namespace {

// Numbers between guard words, each from `next()`.
template <typename Scalar>
struct Guarded {
  template <typename Next>
  Guarded(std::size_t count, Next next) : numbers(count + 2 * kLanes, kGuard) {
    for (std::size_t i = 0; i < count; ++i) data()[i] = static_cast<Scalar>(next());
  }
  Scalar* data() { return numbers.data() + kLanes; }
  bool guarded() const {
    const auto isGuard = [](Scalar number) { return number == kGuard; };
    return std::all_of(numbers.begin(), numbers.begin() + kLanes, isGuard) &&
           std::all_of(numbers.end() - kLanes, numbers.end(), isGuard);
  }

  static constexpr Scalar kGuard = -1234.5;
  std::vector<Scalar> numbers;
};

// Makes a map's border 0.
template <typename Scalar>
void clearBorder(const Map& map, Scalar* block) {
  for (int c = 0; c < map.channels; ++c) {
    for (int y = -map.border; y < map.height + map.border; ++y) {
      for (int x = -map.border; x < map.width + map.border; ++x) {
        const bool inside = y >= 0 && y < map.height && x >= 0 && x < map.width;
        if (!inside) std::fill_n(block + map.at(c, y, x), kLanes, Scalar{0});
      }
    }
  }
}

// In the images from `lanes` on there is NaN.
template <typename Scalar>
std::string checkWeightGradient(const Kernels& table, const ConvolutionCase& given, int lanes) {
  const ConvolutionShape shape = given.shape();
  Values values;
  const auto next = [&] {
    const double coarse = values.next();
    return coarse + 1e-9 * values.next();
  };
  Guarded<Scalar> in(shape.in.size(), next), out(shape.out.size(), next);
  for (Guarded<Scalar>* block : {&in, &out}) {
    for (std::size_t i = 0; i + 2 * kLanes < block->numbers.size(); ++i) {
      if (static_cast<int>(i % kLanes) >= lanes) block->data()[i] = std::numeric_limits<Scalar>::quiet_NaN();
    }
  }
  clearBorder(shape.in, in.data());
  const int window = given.kernelHeight * given.kernelWidth, taps = given.inChannels * window;
  Guarded<double> gradient(static_cast<std::size_t>(given.outChannels) * taps, [] { return NAN; });
  valueKernels<Scalar>(table).weightGradient(shape, in.data(), out.data(), lanes, gradient.data());

  const double rounding = std::numeric_limits<Scalar>::epsilon() / 2;
  std::string failure = gradient.guarded() ? "" : "a guard word was written";
  for (int i = 0; i < given.outChannels * taps && failure.empty(); ++i) {
    const int o = i / taps, c = i % taps / window, tap = i % window;
    double sum = 0, magnitude = 0;
    for (int y = 0; y < shape.out.height; ++y) {
      for (int x = 0; x < shape.out.width; ++x) {
        const int row = y * shape.stride + tap / given.kernelWidth - shape.padding;
        const int column = x * shape.stride + tap % given.kernelWidth - shape.padding;
        for (int n = 0; n < lanes; ++n) {
          const double term = static_cast<double>(out.data()[shape.out.at(o, y, x) + n]) *
                              static_cast<double>(in.data()[shape.in.at(c, row, column) + n]);
          sum += term;
          magnitude += std::abs(term);
        }
      }
    }
    const double terms = static_cast<double>(shape.out.height) * shape.out.width * lanes + 2;
    failure = differs(gradient.data()[i], sum, terms * rounding * magnitude);
    if (!failure.empty()) failure = text("weight ", i, ": ", failure);
  }
  if (failure.empty()) return "";
  return text(table.isa, " weightGradient ", sizeof(Scalar) == 8 ? "in double" : "in float", " of ", given.inChannels,
              "×", given.height, "×", given.width, " to ", given.outChannels, ", kernel ", given.kernelHeight, "×",
              given.kernelWidth, ", stride ", given.stride, ", padding ", given.padding, "+", given.extraBorder, " to ",
              given.outBorder, ", ", lanes, " lanes: ", failure);
}

std::string checkWeightGradients(const Kernels& table, const ConvolutionCase& given, int lanes) {
  const std::string failure = checkWeightGradient<float>(table, given, lanes);
  return failure.empty() ? checkWeightGradient<double>(table, given, lanes) : failure;
}

ISA_TEST("weight gradient: output channels × input channels × widths") {
  int number = 0;
  for (const int outChannels : {1, 2, 3, 4, 5, 8, 18}) {
    for (const int inChannels : {1, 2, 3, 18}) {
      for (const int width : {1, 2, 5, 16, 33, 70}) {
        ConvolutionCase given;
        given.inChannels = inChannels;
        given.outChannels = outChannels;
        given.height = 3 + number % 4 * 5;
        given.width = width;
        given.extraBorder = ++number % 3;
        given.outBorder = number / 2 % 2;
        CHECK_PASSES(checkWeightGradients(kernels(), given, number % 2 == 0 ? kLanes : 1 + number % kLanes));
      }
    }
  }
}

ISA_TEST("weight gradient: kernels × strides × paddings") {
  const int windows[][2] = {{1, 1}, {3, 3}, {5, 5}, {1, 3}, {2, 2}, {7, 1}};
  int number = 0;
  for (const auto& window : windows) {
    for (const int stride : {1, 2, 3}) {
      for (const int padding : {0, 1, 2, 3}) {
        ConvolutionCase given;
        given.kernelHeight = window[0];
        given.kernelWidth = window[1];
        given.stride = stride;
        given.padding = padding;
        given.height = 7 + ++number % 3;
        given.width = 8;
        CHECK_PASSES(checkWeightGradients(kernels(), given, number % 3 == 0 ? kLanes : 5 + number % 10));
      }
    }
  }
}

ISA_TEST("weight gradient: of a linear layer") {
  for (const int inputs : {1, 6, 7, 64}) {
    ConvolutionCase given;
    given.height = given.width = given.kernelHeight = given.kernelWidth = 1;
    given.padding = 0;
    given.inChannels = inputs;
    given.outChannels = 10;
    CHECK_PASSES(checkWeightGradients(kernels(), given, 13));
  }
}

template <typename Scalar>
using WeightGradient = decltype(ValueKernels<Scalar>::weightGradient);

template <typename Scalar>
std::string caughtWeightGradient(WeightGradient<Scalar> wrong) {
  const Kernels table = broken([&](Kernels& copy) {
    if constexpr (std::is_same_v<Scalar, float>) {
      copy.weightGradient = wrong;
    } else {
      copy.float64.weightGradient = wrong;
    }
  });
  ConvolutionCase given;
  given.stride = 2;
  given.height = 6;
  return mustCatch(table, [&](const Kernels& some) { return checkWeightGradients(some, given, 13); });
}

TEST("caught: a weight gradient that counts dead lanes, lacks the last row or the padding, or writes too far") {
  const WeightGradient<float> wrongs[] = {
      [](const ConvolutionShape& shape, const float* in, const float* out, int, double* gradient) {
        kernels().weightGradient(shape, in, out, kLanes, gradient);
      },
      [](const ConvolutionShape& shape, const float* in, const float* out, int lanes, double* gradient) {
        ConvolutionShape flat = shape;
        --flat.out.height;
        std::vector<float> rows;
        for (int c = 0; c < shape.out.channels; ++c) {
          const float* plane = out + c * shape.out.planeStride();
          rows.insert(rows.end(), plane, plane + flat.out.planeStride());
        }
        kernels().weightGradient(flat, in, rows.data(), lanes, gradient);
      },
      [](const ConvolutionShape& shape, const float* in, const float* out, int lanes, double* gradient) {
        ConvolutionShape inner = shape;
        inner.padding = 0;
        kernels().weightGradient(inner, in, out, lanes, gradient);
      },
      [](const ConvolutionShape& shape, const float* in, const float* out, int lanes, double* gradient) {
        kernels().weightGradient(shape, in, out, lanes, gradient);
        gradient[static_cast<std::size_t>(shape.out.channels) * shape.in.channels * 9] = 0;
      },
  };
  for (const auto wrong : wrongs) CHECK_PASSES(caughtWeightGradient<float>(wrong));
}

TEST("caught: a weight gradient in double that rounds to float, or adds to earlier sums") {
  const WeightGradient<double> wrongs[] = {
      [](const ConvolutionShape& shape, const double* in, const double* out, int lanes, double* gradient) {
        const std::vector<float> values(in, in + shape.in.size()), gradients(out, out + shape.out.size());
        kernels().weightGradient(shape, values.data(), gradients.data(), lanes, gradient);
      },
      [](const ConvolutionShape& shape, const double* in, const double* out, int lanes, double* gradient) {
        const double before = gradient[0];
        kernels().float64.weightGradient(shape, in, out, lanes, gradient);
        gradient[0] += before;
      },
  };
  for (const auto wrong : wrongs) CHECK_PASSES(caughtWeightGradient<double>(wrong));
}

// What a gradient of an activation can get wrong.
enum class Mistake { None, LastMaximum, OpenAtKink, Overwritten };

template <Mistake mistake>
double derivative(const Activation& shape, double z) {
  const bool open = z > 0 || (z == 0 && mistake == Mistake::OpenAtKink);
  switch (shape.nonlinearity) {
    case Nonlinearity::None: return 1;
    case Nonlinearity::Relu: return open ? 1 : 0;
    case Nonlinearity::LeakyRelu: return open ? 1 : shape.slope;
    case Nonlinearity::Tanh: return 1 / (std::cosh(z) * std::cosh(z));
  }
  return 0;
}

template <Mistake mistake, typename Scalar>
void naiveActivateGradient(const Activation& shape, const AffineOf<Scalar>& affine, const Scalar* in,
                           const Scalar* residual, const Scalar* outGradient, Scalar* gradient) {
  const Map plane{1, shape.in.height, shape.in.width, 0};
  std::fill_n(gradient, plane.size(), Scalar{0});
  for (int n = 0; n < kLanes; ++n) {
    for (int y = 0; y < shape.out.height; ++y) {
      for (int x = 0; x < shape.out.width; ++x) {
        double largest = -std::numeric_limits<double>::infinity();
        std::ptrdiff_t place = 0;
        for (int i = 0; i < shape.poolKernel; ++i) {
          for (int j = 0; j < shape.poolKernel; ++j) {
            const int row = y * shape.poolStride + i, column = x * shape.poolStride + j;
            const double value =
                (static_cast<double>(in[shape.in.at(0, row, column) + n]) - affine.mean) * affine.scale + affine.shift +
                (residual == nullptr ? 0 : static_cast<double>(residual[shape.residual.at(0, row, column) + n]));
            if (value < largest || (value == largest && mistake != Mistake::LastMaximum)) continue;
            largest = value;
            place = plane.at(0, row, column) + n;
          }
        }
        const double given = outGradient[(std::ptrdiff_t{y} * shape.out.width + x) * kLanes + n];
        const double before = mistake == Mistake::Overwritten ? 0 : static_cast<double>(gradient[place]);
        gradient[place] = static_cast<Scalar>(derivative<mistake>(shape, largest) * given + before);
      }
    }
  }
}

// On a grid so coarse that all is exact but tanh, and many values are equal, or lie on the kink.
template <typename Scalar>
std::string checkActivateGradient(const Kernels& table, const ActivationCase& given) {
  Activation shape = given.shape();
  shape.in.channels = shape.residual.channels = shape.out.channels = 1;
  Values values;
  const auto next = [&] { return (values.below(9) - 4) * 0.25; };
  Guarded<Scalar> in(shape.in.size(), next), residual(given.residual ? shape.residual.size() : 0, next);
  const Map from{1, shape.out.height, shape.out.width, 0}, to{1, shape.in.height, shape.in.width, 0};
  Guarded<Scalar> out(from.size(), next), gradient(to.size(), [] { return NAN; });
  std::vector<Scalar> expected(to.size());
  const AffineOf<Scalar> affine = given.affine ? AffineOf<Scalar>{0.5, -2, 0.25} : AffineOf<Scalar>{};
  const Scalar* added = given.residual ? residual.data() : nullptr;
  valueKernels<Scalar>(table).activateGradient(shape, affine, in.data(), added, out.data(), gradient.data());
  naiveActivateGradient<Mistake::None>(shape, affine, in.data(), added, out.data(), expected.data());
  std::string failure = gradient.guarded() ? "" : "a guard word was written";
  for (std::size_t i = 0; i < expected.size() && failure.empty(); ++i) {
    const double units = given.nonlinearity == Nonlinearity::Tanh ? 32 : 0;
    failure = differs(gradient.data()[i], expected[i], units * std::numeric_limits<Scalar>::epsilon());
    if (!failure.empty()) failure = text("number ", i, ": ", failure);
  }
  if (failure.empty()) return "";
  return text(table.isa, " activateGradient of ", given.height, "×", given.width, ", borders ", given.inBorder, ",",
              given.residualBorder, ", pool ", given.poolKernel, "/", given.poolStride, ", nonlinearity ",
              static_cast<int>(given.nonlinearity), given.affine ? ", affine" : "", given.residual ? ", residual" : "",
              ": ", failure);
}

ISA_TEST("activation gradient: pools × nonlinearities × affine × residual") {
  const int pools[][2] = {{1, 1}, {2, 2}, {3, 2}, {2, 1}, {3, 3}, {1, 2}};
  int number = 0;
  for (const auto& pool : pools) {
    for (const Nonlinearity nonlinearity : kNonlinearities) {
      for (const bool affine : {true, false}) {
        for (const bool residual : {true, false}) {
          for (const int width : {3, 8}) {
            ActivationCase given;
            given.height = 3 + ++number % 5;
            given.width = width;
            given.inBorder = number % 3;
            given.residualBorder = number / 2 % 2;
            given.poolKernel = pool[0];
            given.poolStride = pool[1];
            given.nonlinearity = nonlinearity;
            given.affine = affine;
            given.residual = residual;
            CHECK_PASSES(checkActivateGradient<float>(kernels(), given));
            CHECK_PASSES(checkActivateGradient<double>(kernels(), given));
          }
        }
      }
    }
  }
}

TEST("caught: an activation gradient with a mistake at a tie, at the kink, in windows that overlap or the residual") {
  const decltype(Kernels::activateGradient) wrongs[] = {
      naiveActivateGradient<Mistake::LastMaximum, float>,
      naiveActivateGradient<Mistake::OpenAtKink, float>,
      naiveActivateGradient<Mistake::Overwritten, float>,
      [](const Activation& shape, const Affine& affine, const float* in, const float*, const float* out,
         float* gradient) { kernels().activateGradient(shape, affine, in, nullptr, out, gradient); },
      [](const Activation& shape, const Affine& affine, const float* in, const float* residual, const float* out,
         float* gradient) {
        const Affine positive{affine.mean, -affine.scale, affine.shift};
        kernels().activateGradient(shape, positive, in, residual, out, gradient);
      },
  };
  ActivationCase given;
  given.poolKernel = 2;
  given.poolStride = 1;
  given.residual = true;
  given.affine = false;
  for (const auto wrong : wrongs) {
    const Kernels table = broken([&](Kernels& copy) { copy.activateGradient = wrong; });
    for (const Nonlinearity nonlinearity : {Nonlinearity::Relu, Nonlinearity::LeakyRelu}) {
      given.nonlinearity = nonlinearity;
      CHECK_PASSES(mustCatch(table, [&](const Kernels& some) { return checkActivateGradient<float>(some, given); }));
    }
  }
}

}  // namespace
}  // namespace deepzero::test
