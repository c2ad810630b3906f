// Checks of the kernels of moments and of the loss of changes, and of convolutions fused with what reads them.
#include "block.hpp"
#include "kernel_checks.hpp"

namespace deepzero::test {

std::string checkChangeMoments(const Kernels& table, const Map& map, int lanes, float offset, float size) {
  constexpr int kBlocks = 2;
  Values values;
  // One more plane before and after those that are to change, which must stay as they are.
  std::vector<PlaneMoments> planes(map.channels + 2);
  for (PlaneMoments& plane : planes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      plane.sum[lane] = values.next();
      plane.square[lane] = values.next();
    }
  }
  const std::vector<PlaneMoments> before = planes;
  std::vector<Block> bases, changes;
  for (int block = 0; block < kBlocks; ++block) {
    bases.emplace_back(map, values);
    changes.emplace_back(map, values);
    bases[block].fill([&](int image) { return image < lanes ? offset + values.next() : sentinel(); });
    changes[block].fill([&](int image) { return image < lanes ? size * values.next() : sentinel(); });
    for (int c = 0; c < map.channels; ++c) {
      planes[c + 1].base = bases[block].plane(c);
      planes[c + 1].change = changes[block].plane(c);
    }
    table.changeMoments(map, planes.data() + 1, map.channels, lanes);
  }

  std::string failure;
  for (int p = 0; p < map.channels + 2 && failure.empty(); ++p) {
    const bool listed = p > 0 && p <= map.channels;
    for (int n = 0; n < kLanes && failure.empty(); ++n) {
      double sum = before[p].sum[n], square = before[p].square[n], sumSize = 0, squareSize = 0;
      for (int block = 0; block < kBlocks && listed && n < lanes; ++block) {
        for (int y = 0; y < map.height; ++y) {
          for (int x = 0; x < map.width; ++x) {
            const double base = bases[block].at(n, p - 1, y, x);
            const double change = changes[block].at(n, p - 1, y, x);
            sum += change;
            square += (2 * base + change) * change;
            sumSize += std::abs(change);
            squareSize += (2 * std::abs(base) + std::abs(change)) * std::abs(change);
          }
        }
      }
      // A float sums at most a plane; a square has a deviation, a sum and a product more. What comes on top are the
      // additions to sums in double, none for a lane that is not to change.
      const double pixels = static_cast<double>(map.height) * map.width;
      const double inDouble = sumSize > 0 ? 0x1p-40 * (sumSize + squareSize) + 0x1p-50 : 0;
      failure = differs(planes[p].sum[n], sum, pixels * kRounding * sumSize + inDouble);
      if (failure.empty()) {
        failure = differs(planes[p].square[n], square, (pixels + 3) * kRounding * squareSize + inDouble);
      }
      if (!failure.empty()) failure = text("plane ", p - 1, ", lane ", n, ": ", failure);
    }
  }
  if (failure.empty()) return "";
  return text(table.isa, " changeMoments of ", map.channels, "×", map.height, "×", map.width, ", border ", map.border,
              ", ", lanes, " lanes, offset ", offset, ", changes of ", size, ": ", failure);
}

// Both are compared with their parts: a convolution, itself compared with naive loops, and the moments or the
// activation of its output: the activation bit for bit, the moments but for the order of sums.
std::string checkConvolveActivate(const Kernels& table, const ConvolutionCase& given, const std::vector<int>& channels,
                                  const ActivationCase& then, int lanes) {
  const ConvolutionShape shape = given.shape();
  Values values;
  Block in(shape.in, values), zeroed(shape.in);
  std::fill_n(zeroed.data(), shape.in.size(), 0.0f);
  for (int c = 0; c < given.inChannels; ++c) {
    if (std::binary_search(channels.begin(), channels.end(), c)) {
      std::copy_n(in.plane(c), shape.in.planeStride(), zeroed.plane(c));
    } else {
      in.spoil(c);
    }
  }
  const std::vector<float> biases = draw(given.outChannels, values), packed = draw(shape.packedSize(), values);
  const float* const bias = given.bias ? biases.data() : nullptr;
  const PartialConvolution from{shape,         in.data(), channels.data(), static_cast<int>(channels.size()),
                                packed.data(), bias};

  Block change(shape.out, values), base(shape.out, values);
  kernels().convolution(shape, zeroed.data(), packed.data(), bias, change.data());
  Activation activation = then.shape();
  activation.in = shape.out;
  activation.out = {shape.out.channels, (shape.out.height - then.poolKernel) / then.poolStride + 1,
                    (shape.out.width - then.poolKernel) / then.poolStride + 1, then.outBorder};
  Block expected(activation.out), got(activation.out);
  std::vector<AffineChange> affine(given.outChannels);
  std::vector<PlaneMoments> planes(given.outChannels);
  std::vector<PlaneChange> before, fused;
  for (int c = 0; c < given.outChannels; ++c) {
    affine[c] = {values.next(), values.next(), values.next(), values.next(), values.next()};
    planes[c] = {base.plane(c), change.plane(c), {}, {}};
    before.push_back({base.plane(c), change.plane(c), nullptr, nullptr, &affine[c], expected.plane(c)});
    fused.push_back({base.plane(c), nullptr, nullptr, nullptr, &affine[c], got.plane(c)});
  }
  std::vector<PlaneMoments> moments = planes;
  for (PlaneMoments& plane : moments) plane.change = nullptr;
  kernels().changeMoments(shape.out, planes.data(), given.outChannels, lanes);
  kernels().activateChange(activation, before.data(), given.outChannels);

  Block scratch(Map{1, 1, static_cast<int>(from.scratch(then.poolKernel) / kLanes), 0});
  const bool measured = from.count == 1;
  if (measured) table.convolveMoments(from, moments.data(), lanes);
  table.convolveActivate(from, activation, scratch.data(), fused.data());
  std::string failure = compare(got, [&](int n, int c, int y, int x) { return Expected{expected.at(n, c, y, x), 0}; });
  if (failure.empty() && !scratch.overrun().empty()) failure = "of the scratch, " + scratch.overrun();
  for (int c = 0; c < given.outChannels && measured && failure.empty(); ++c) {
    for (int n = 0; n < kLanes && failure.empty(); ++n) {
      double sumSize = 0, squareSize = 0;
      for (int i = 0; i < shape.out.height * shape.out.width && n < lanes; ++i) {
        const int y = i / shape.out.width, x = i % shape.out.width;
        const double size = std::abs(change.at(n, c, y, x));
        sumSize += size;
        squareSize += (2 * std::abs(base.at(n, c, y, x)) + size) * size;
      }
      const double roundings = 2.0 * shape.out.height * shape.out.width * kRounding;
      failure = differs(moments[c].sum[n], planes[c].sum[n], roundings * sumSize);
      if (failure.empty()) failure = differs(moments[c].square[n], planes[c].square[n], roundings * squareSize);
      if (!failure.empty()) failure = text("moments of channel ", c, ", lane ", n, ": ", failure);
    }
  }
  if (failure.empty()) return "";
  return text(table.isa, " fused convolution of ", channels.size(), " channels, the first ", channels.front(), ", of ",
              given.inChannels, "→", given.outChannels, " on ", given.height, "×", given.width, ", kernel ",
              given.kernelHeight, "×", given.kernelWidth, ", stride ", given.stride, ", bias ", given.bias, ", pool ",
              then.poolKernel, "/", then.poolStride, ": ", failure);
}

std::string checkCrossEntropyChange(const Kernels& table, int classes, const std::vector<int>& channels, int lanes,
                                    float size) {
  Values values;
  // Images that do not count hold NaN.
  std::vector<float> probabilities(static_cast<std::size_t>(classes) * kLanes, sentinel()), labels = probabilities;
  std::vector<float> change(static_cast<std::size_t>(classes) * kLanes, sentinel());
  for (int n = 0; n < lanes; ++n) {
    std::vector<double> exponentials;
    double sum = 0;
    const int label = values.below(classes);
    for (int c = 0; c < classes; ++c) {
      sum += exponentials.emplace_back(std::exp(n == 0 && c == label ? -20 : 8 * values.next()));
    }
    for (int c = 0; c < classes; ++c) {
      probabilities[c * kLanes + n] = static_cast<float>(exponentials[c] / sum);
      labels[c * kLanes + n] = c == label ? 1.0f : 0.0f;
    }
    for (const int channel : channels) {
      // The first image, most wrong at first, goes as far as it can in one direction: there, both series' arguments are
      // at their largest.
      const float extreme = (lanes % 2 == 0) == (channel == label) ? size : -size;
      change[channel * kLanes + n] = n == 0 ? extreme : size * values.next();
    }
  }

  float largest = sentinel();
  const double got = table.crossEntropyChange(probabilities.data(), labels.data(), classes, change.data(),
                                              channels.data(), static_cast<int>(channels.size()), lanes, &largest);
  double expected = 0, tolerance = 0;
  for (int n = 0; n < lanes; ++n) {
    std::vector<double> delta(classes, 0.0);
    for (const int channel : channels) delta[channel] = change[channel * kLanes + n];
    double labelDelta = 0, sum = 0, magnitude = 0;
    for (int c = 0; c < classes; ++c) {
      if (labels[c * kLanes + n] == 1) labelDelta = delta[c];
    }
    for (int c = 0; c < classes; ++c) {
      const double term = probabilities[c * kLanes + n] * std::expm1(delta[c] - labelDelta);
      sum += term;
      magnitude += std::abs(term);
    }
    expected += std::log1p(sum);
    // Eight roundings in a term and one for each addition, which the logarithm multiplies by its slope; eight of its
    // own.
    tolerance += kRounding * ((classes + 8) * magnitude / (1 + sum) + 8 * std::abs(std::log1p(sum)));
  }
  const float wanted = channels.empty() ? 0 : size;
  std::string failure;
  if (largest != wanted) failure = text("largest change ", largest, ", expected ", wanted);
  if (failure.empty() && size <= 0.5f) failure = differs(got, expected, tolerance);
  if (failure.empty()) return "";
  return text(table.isa, " crossEntropyChange of ", channels.size(), " of ", classes, " classes, ", lanes,
              " lanes, changes of ", size, ": ", failure);
}

}  // namespace deepzero::test
