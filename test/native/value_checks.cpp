// The checks of activations and their changes, of moments, and of smaller maps from larger ones.
#include "block.hpp"
#include "kernel_checks.hpp"

namespace deepzero::test {
namespace {

double bent(const Activation& shape, double z) {
  switch (shape.nonlinearity) {
    case Nonlinearity::None: return z;
    case Nonlinearity::Relu: return z > 0 ? z : 0;
    case Nonlinearity::LeakyRelu: return z > 0 ? z : shape.slope * z;
    case Nonlinearity::Tanh: return std::tanh(z);
  }
  return z;
}

// The nonlinearity of the largest value(row, column) in the window of an output pixel. NaN passes.
template <typename Function>
double pooled(const Activation& shape, int y, int x, const Function& value) {
  double largest = -std::numeric_limits<double>::infinity();
  for (int i = 0; i < shape.poolKernel; ++i) {
    for (int j = 0; j < shape.poolKernel; ++j) {
      const double candidate = value(y * shape.poolStride + i, x * shape.poolStride + j);
      if (std::isnan(candidate)) return candidate;
      largest = std::max(largest, candidate);
    }
  }
  return bent(shape, largest);
}

// The same of sizes that make a tolerance: those that are not finite make none.
template <typename Function>
double largestSize(Activation shape, int y, int x, const Function& size) {
  shape.nonlinearity = Nonlinearity::None;
  return pooled(shape, y, x, [&](int row, int column) {
    const double found = size(row, column);
    return std::isfinite(found) ? found : 0;
  });
}

// Roundings of numbers no larger than what the nonlinearity is applied to.
double bendingRoundings(const Activation& shape) {
  return shape.nonlinearity == Nonlinearity::Tanh ? 8 : shape.nonlinearity == Nonlinearity::LeakyRelu ? 4 : 0;
}

std::string describe(const Kernels& table, const char* name, const ActivationCase& given, const std::string& failure) {
  if (failure.empty()) return "";
  return text(table.isa, " ", name, " of ", given.channels, "×", given.height, "×", given.width, ", borders ",
              given.inBorder, ",", given.residualBorder, " to ", given.outBorder, ", pool ", given.poolKernel, "/",
              given.poolStride, ", nonlinearity ", static_cast<int>(given.nonlinearity), given.affine ? ", affine" : "",
              given.residual ? ", residual" : "", given.specials ? ", specials" : "", ": ", failure);
}

}  // namespace

Activation ActivationCase::shape() const {
  Activation shape;
  shape.in = {channels, height, width, inBorder};
  if (residual) shape.residual = {channels, height, width, residualBorder};
  shape.out = {channels, (height - poolKernel) / poolStride + 1, (width - poolKernel) / poolStride + 1, outBorder};
  shape.nonlinearity = nonlinearity;
  shape.slope = 0.25;
  shape.poolKernel = poolKernel;
  shape.poolStride = poolStride;
  return shape;
}

std::string checkActivate(const Kernels& table, const ActivationCase& given) {
  const Activation shape = given.shape();
  Values values;
  Block in(shape.in, values), residual(shape.residual, values), out(shape.out);
  if (given.specials) in.addSpecials(values);
  if (given.specials && given.residual) residual.addSpecials(values);
  std::vector<Affine> affine(given.channels);
  for (Affine& map : affine) {
    if (given.affine) map = {values.next(), values.next(), values.next()};
  }
  table.activate(shape, affine.data(), in.data(), given.residual ? residual.data() : nullptr, out.data());

  // Without an affine map there is at most one addition, which a float rounds as the reference does.
  const double roundings = (given.affine ? 4 : 0) + bendingRoundings(shape);
  return describe(table, "activate", given, compare(out, [&](int n, int c, int y, int x) {
                    const double mean = affine[c].mean, scale = affine[c].scale, shift = affine[c].shift;
                    const auto rest = [&](int row, int column) {
                      return given.residual ? double{residual.at(n, c, row, column)} : 0.0;
                    };
                    const double value = pooled(shape, y, x, [&](int row, int column) {
                      return (in.at(n, c, row, column) - mean) * scale + shift + rest(row, column);
                    });
                    const double size = largestSize(shape, y, x, [&](int row, int column) {
                      return std::abs((in.at(n, c, row, column) - mean) * scale) + std::abs(shift) +
                             std::abs(rest(row, column));
                    });
                    return Expected{value, roundings * kRounding * size};
                  }));
}

std::string checkActivateChange(const Kernels& table, const ActivationCase& given, float size) {
  const Activation shape = given.shape();
  Values values;
  // Bases and affine maps lie on a grid so coarse that base values are exact in float: the kernel must see every kink
  // of the ReLU and the pool exactly where the reference sees it. Many are as near to a kink as the changes are large.
  const float grain = std::max(0x1p-20f, std::exp2(std::floor(std::log2(size / 4))));
  const auto coarse = [&] { return static_cast<float>(values.below(9) - 4) / 4; };
  const auto fine = [&](int) {
    const float whole = coarse();
    return whole + static_cast<float>(values.below(9) - 4) * grain;
  };
  const auto small = [&](int) { return size * values.next(); };
  Block in(shape.in, values), rest(shape.in, values), sum(shape.in, values), out(shape.out);
  Block change(shape.in, values), residualChange(shape.residual, values);
  in.fill(fine);
  rest.fill(fine);
  change.fill(small);
  residualChange.fill(small);
  if (given.specials) {
    for (int c = 0; c < given.channels; ++c) {
      const int column = values.below(given.width), row = values.below(given.height);
      change.at(values.below(kLanes), c, row, column) = std::numeric_limits<float>::quiet_NaN();
    }
  }
  std::vector<AffineChange> affine(given.channels);
  for (AffineChange& map : affine) {
    if (!given.affine) continue;
    const float scales[] = {1, -1, 0.5f, 2};
    map = {scales[values.below(4)], coarse(), small(0), 0, small(0)};
    map.newScale = static_cast<float>(double{map.scale} + map.scaleChange);
  }
  for (int c = 0; c < given.channels; ++c) {
    for (std::ptrdiff_t i = c * shape.in.planeStride(); i < (c + 1) * shape.in.planeStride(); ++i) {
      sum.data()[i] = in.data()[i] * affine[c].scale + affine[c].shift + rest.data()[i];
    }
  }
  const auto changes = [](int channel) { return channel % 4 < 2; };
  const auto residualChanges = [&](int channel) { return given.residual && channel % 2 == 0; };
  // Backwards: the planes need not lie in order.
  std::vector<PlaneChange> planes;
  for (int c = given.channels - 1; c >= 0; --c) {
    planes.push_back({in.plane(c), changes(c) ? change.plane(c) : nullptr, given.residual ? sum.plane(c) : nullptr,
                      residualChanges(c) ? residualChange.plane(c) : nullptr, &affine[c], out.plane(c)});
  }
  table.activateChange(shape, planes.data(), given.channels);

  const std::string failure = compare(out, [&](int n, int c, int y, int x) {
    const AffineChange& map = affine[c];
    const auto moved = [&](int row, int column) { return changes(c) ? double{change.at(n, c, row, column)} : 0.0; };
    const auto residual = [&](int row, int column) {
      return given.residual ? double{rest.at(n, c, row, column)} : 0.0;
    };
    const auto residualMoved = [&](int row, int column) {
      return residualChanges(c) ? double{residualChange.at(n, c, row, column)} : 0.0;
    };
    const double before = pooled(shape, y, x, [&](int row, int column) {
      return double{in.at(n, c, row, column)} * map.scale + map.shift + residual(row, column);
    });
    const double after = pooled(shape, y, x, [&](int row, int column) {
      return (in.at(n, c, row, column) + moved(row, column)) * (double{map.scale} + map.scaleChange) +
             (double{map.shift} + map.shiftChange) + (residual(row, column) + residualMoved(row, column));
    });
    const double extent = largestSize(shape, y, x, [&](int row, int column) {
      return std::abs(double{in.at(n, c, row, column)} * map.scaleChange) + std::abs(map.shiftChange) +
             std::abs(moved(row, column) * map.newScale) + std::abs(residualMoved(row, column));
    });
    // Four products and sums with their rounded scale, a residual, a distance from the base's maximum or from zero.
    // What comes on top is the reference's own rounding, of values below 16.
    return Expected{after - before, (9 + bendingRoundings(shape)) * kRounding * extent + 0x1p-46};
  });
  return describe(table, "activateChange", given, failure.empty() ? "" : text("changes of ", size, ": ", failure));
}

namespace {

// One row of numbers, and its tanh.
template <typename Scalar>
std::string checkTanhOf(const ValueKernels<Scalar>& table) {
  std::vector<Scalar> in;
  Values values;
  for (int exponent = -40; exponent < 10; ++exponent) {
    for (int i = 0; i < kLanes; ++i)
      in.push_back(std::ldexp(1 + static_cast<Scalar>(values.below(1 << 20)) / (1 << 20), exponent));
  }
  for (const Scalar special : {Scalar{0}, std::numeric_limits<Scalar>::infinity()})
    in.insert(in.end(), kLanes, special);
  Activation shape;
  shape.in = shape.out = {1, 1, static_cast<int>(in.size()) / kLanes, 0};
  shape.nonlinearity = Nonlinearity::Tanh;
  const AffineOf<Scalar> identity;
  std::vector<Scalar> out(in.size()), negated(in.size());
  table.activate(shape, &identity, in.data(), nullptr, out.data());
  for (Scalar& number : in) number = -number;
  table.activate(shape, &identity, in.data(), nullptr, negated.data());
  for (std::size_t i = 0; i < in.size(); ++i) {
    const long double exact = std::tanh(-static_cast<long double>(in[i]));
    const long double units = std::abs(out[i] - exact) / (exact * std::numeric_limits<Scalar>::epsilon());
    if (units > 3) return text("tanh of ", -in[i], " is ", units, " units off");
    if (negated[i] != -out[i] || std::signbit(out[i])) return text("not odd at ", in[i]);
  }
  return "";
}

}  // namespace

std::string checkTanh(const Kernels& table) {
  const std::string failure = checkTanhOf<float>(table);
  return failure.empty() ? checkTanhOf<double>(table.float64) : failure;
}

std::string checkTanhChange(const Kernels& table) {
  Values values;
  Activation shape;
  shape.in = shape.out = {1, 40, 40, 0};
  shape.nonlinearity = Nonlinearity::Tanh;
  Block base(shape.in), change(shape.in), out(shape.out);
  // Rows of bases and columns of changes, of all sizes and both signs; in one lane, changes that end next to zero.
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < 40; ++x) {
      for (int n = 0; n < kLanes; ++n) {
        const float from = std::ldexp(values.next(), y / 2 - 14), by = std::ldexp(values.next(), x - 33);
        base.at(n, 0, y, x) = from;
        change.at(n, 0, y, x) = n == 0 ? -from * (1 - 1e-4f) : by;
      }
    }
  }
  const AffineChange identity;
  const PlaneChange plane{base.data(), change.data(), nullptr, nullptr, &identity, out.data()};
  table.activateChange(shape, &plane, 1);
  return compare(out, [&](int n, int c, int y, int x) {
    const double from = base.at(n, c, y, x), by = change.at(n, c, y, x);
    const double exact = std::sinh(by) / std::cosh(from) / std::cosh(from + by);
    // The sum and the exponents are rounded. Beyond float's smallest normal number, the kernel has no digits.
    return Expected{exact, (20 + 4 * (std::abs(from) + std::abs(from + by))) * kRounding * std::abs(exact) + 0x1p-120};
  });
}

std::string checkMoments(const Kernels& table, const Map& map, int lanes, float offset) {
  Values values;
  Block in(map, values);
  in.fill([&](int image) { return image < lanes ? values.next() + offset : sentinel(); });
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

std::string checkAveragePool(const Kernels& table, const ConvolutionCase& given) {
  const ConvolutionShape shape = given.shape();
  Values values;
  Block in(Map{1, shape.in.height, shape.in.width, shape.in.border}, values);
  Block out(Map{1, shape.out.height, shape.out.width, shape.out.border});
  if (given.specials) in.addSpecials(values);
  table.averagePool(shape, in.data(), out.data());
  const std::string failure = compare(out, [&](int n, int, int y, int x) {
    const double pixels = static_cast<double>(given.kernelHeight) * given.kernelWidth;
    double sum = 0, magnitude = 0;
    for (int i = 0; i < given.kernelHeight; ++i) {
      for (int j = 0; j < given.kernelWidth; ++j) {
        const double value = in.at(n, 0, y * given.stride + i, x * given.stride + j);
        sum += value;
        magnitude += std::abs(value);
      }
    }
    // One pixel is copied.
    const double roundings = pixels > 1 ? pixels + 2 : 0;
    return Expected{sum / pixels, roundings * kRounding * magnitude / pixels};
  });
  if (failure.empty()) return "";
  return text(table.isa, " averagePool of ", given.height, "×", given.width, ", window ", given.kernelHeight, "×",
              given.kernelWidth, ", stride ", given.stride, ", borders ", given.extraBorder, " to ", given.outBorder,
              given.specials ? ", specials" : "", ": ", failure);
}

}  // namespace deepzero::test
