// Deliberately wrong kernels of changes: each check passes the real table and must catch the mistake made in a copy of
// it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "wrong_kernels.hpp"

namespace deepzero::test {
namespace {

constexpr Nonlinearity kNone = Nonlinearity::None, kRelu = Nonlinearity::Relu;

ActivationCase activation(int poolKernel, bool residual, Nonlinearity nonlinearity) {
  ActivationCase given;
  given.poolKernel = given.poolStride = poolKernel;
  given.residual = residual;
  given.nonlinearity = nonlinearity;
  return given;
}

std::string partialCheck(const Kernels& table) { return checkPartialConvolution(table, ConvolutionCase{}, {0, 2}); }
std::string oneCheck(const Kernels& table) {
  return checkConvolveActivate(table, ConvolutionCase{}, {1}, ActivationCase{}, 15);
}
std::string fewChannelsCheck(const Kernels& table) {
  return checkConvolveActivate(table, ConvolutionCase{}, {0, 2}, ActivationCase{}, 15);
}
std::string momentsCheck(const Kernels& table) { return checkChangeMoments(table, {2, 4, 5, 1}, 15, 0.0f, 1e-3f); }
std::string reluCheck(const Kernels& table) { return checkActivateChange(table, activation(1, false, kRelu), 1e-2f); }
std::string leakyCheck(const Kernels& table) {
  return checkActivateChange(table, activation(1, false, Nonlinearity::LeakyRelu), 1e-2f);
}
std::string tanhCheck(const Kernels& table) {
  return checkActivateChange(table, activation(1, false, Nonlinearity::Tanh), 1e-2f);
}
std::string tinyTanhCheck(const Kernels& table) {
  return checkActivateChange(table, activation(1, false, Nonlinearity::Tanh), 1e-6f);
}
std::string tinyCheck(const Kernels& table) { return checkActivateChange(table, activation(1, false, kNone), 1e-6f); }
std::string residualCheck(const Kernels& table) {
  return checkActivateChange(table, activation(1, true, kNone), 1e-2f);
}
std::string poolCheck(const Kernels& table) { return checkActivateChange(table, activation(2, false, kNone), 1e-6f); }
std::string lossCheck(const Kernels& table) { return checkCrossEntropyChange(table, 10, {1, 4, 9}, 15, 1e-2f); }

TEST("caught: a partial convolution with the weights of other channels") {
  const Kernels wrong = broken([](Kernels& table) {
    table.partialConvolution = [](const ConvolutionShape& shape, const float* in, const int*, int count,
                                  const float* packed, float* out) {
      const int first[] = {0, 1, 2};
      kernels().partialConvolution(shape, in, first, count, packed, out);
    };
  });
  CHECK_PASSES(mustCatch(wrong, partialCheck));
}

TEST("caught: a partial convolution that adds to its output") {
  const Kernels wrong = broken([](Kernels& table) {
    table.partialConvolution = [](const ConvolutionShape& shape, const float* in, const int* channels, int count,
                                  const float* packed, float* out) {
      std::vector<float> sum(out, out + shape.out.size()), result(shape.out.size(), 0.0f);
      kernels().partialConvolution(shape, in, channels, count, packed, result.data());
      for (int o = 0; o < shape.out.channels; ++o) {
        for (int y = 0; y < shape.out.height; ++y) {
          const std::ptrdiff_t at = shape.out.at(o, y, 0);
          for (int i = 0; i < shape.out.width * kLanes; ++i) out[at + i] = sum[at + i] + result[at + i];
        }
      }
    };
  });
  CHECK_PASSES(mustCatch(wrong, partialCheck));
}

TEST("caught: a fused convolution of another channel, without its last channel, its bias or its last rows") {
  const Kernels other = broken([](Kernels& table) {
    table.convolveMoments = [](const PartialConvolution& from, PlaneMoments* planes, int lanes) {
      PartialConvolution wrong = from;
      const int other = 1 - from.channels[0];
      wrong.channels = &other;
      kernels().convolveMoments(wrong, planes, lanes);
    };
  });
  CHECK_PASSES(mustCatch(other, oneCheck));
  const Kernels fewer = broken([](Kernels& table) {
    table.convolveActivate = [](const PartialConvolution& from, const Activation& shape, float* scratch,
                                const PlaneChange* planes) {
      PartialConvolution wrong = from;
      wrong.count -= 1;
      kernels().convolveActivate(wrong, shape, scratch, planes);
    };
  });
  CHECK_PASSES(mustCatch(fewer, fewChannelsCheck));
  const Kernels without = broken([](Kernels& table) {
    table.convolveActivate = [](const PartialConvolution& from, const Activation& shape, float* scratch,
                                const PlaneChange* planes) {
      PartialConvolution wrong = from;
      wrong.bias = nullptr;
      kernels().convolveActivate(wrong, shape, scratch, planes);
    };
  });
  CHECK_PASSES(mustCatch(without, fewChannelsCheck));
  const Kernels shorter = broken([](Kernels& table) {
    table.convolveActivate = [](const PartialConvolution& from, const Activation& shape, float* scratch,
                                const PlaneChange* planes) {
      Activation wrong = shape;
      wrong.out.height -= 1;
      kernels().convolveActivate(from, wrong, scratch, planes);
    };
  });
  CHECK_PASSES(mustCatch(shorter, fewChannelsCheck));
}

TEST("caught: moments' changes that replace the sums, or count dead lanes") {
  const Kernels replacing = broken([](Kernels& table) {
    table.changeMoments = [](const Map& map, PlaneMoments* planes, int count, int lanes) {
      for (PlaneMoments* plane = planes; plane < planes + count; ++plane) {
        std::fill_n(plane->sum, lanes, 0.0);
        std::fill_n(plane->square, lanes, 0.0);
      }
      kernels().changeMoments(map, planes, count, lanes);
    };
  });
  CHECK_PASSES(mustCatch(replacing, momentsCheck));

  const Kernels dead = broken([](Kernels& table) {
    table.changeMoments = [](const Map& map, PlaneMoments* planes, int count, int) {
      kernels().changeMoments(map, planes, count, kLanes);
    };
  });
  CHECK_PASSES(mustCatch(dead, momentsCheck));
}

TEST("caught: moments' changes without the change's own square, or as differences of squares") {
  const Kernels linear = broken([](Kernels& table) {
    table.changeMoments = [](const Map& map, PlaneMoments* planes, int count, int lanes) {
      kernels().changeMoments(map, planes, count, lanes);
      for (PlaneMoments* plane = planes; plane < planes + count; ++plane) {
        for (int y = 0; y < map.height; ++y) {
          const float* row = plane->change + map.at(0, y, 0);
          for (int i = 0; i < map.width * kLanes; ++i) {
            if (i % kLanes < lanes) plane->square[i % kLanes] -= double{row[i]} * row[i];
          }
        }
      }
    };
  });
  CHECK_PASSES(mustCatch(linear, momentsCheck));

  const Kernels cancelling = broken([](Kernels& table) {
    table.changeMoments = [](const Map& map, PlaneMoments* planes, int count, int lanes) {
      for (PlaneMoments* plane = planes; plane < planes + count; ++plane) {
        for (int y = 0; y < map.height; ++y) {
          for (int x = 0; x < map.width; ++x) {
            for (int n = 0; n < lanes; ++n) {
              const std::ptrdiff_t at = map.at(0, y, x) + n;
              const float before = plane->base[at], after = before + plane->change[at];
              plane->sum[n] += after - before;
              plane->square[n] += after * after - before * before;
            }
          }
        }
      }
    };
  });
  CHECK_PASSES(mustCatch(cancelling, momentsCheck));
}

// Runs the real kernel on planes that lack a part.
template <typename Change>
void activateWithout(const Activation& shape, const PlaneChange* planes, int count, Change remove) {
  std::vector<PlaneChange> changed(planes, planes + count);
  for (PlaneChange& plane : changed) remove(plane);
  kernels().activateChange(shape, changed.data(), count);
}

// Calls `at` for every pixel and image of a plane.
template <typename Function>
void forPixels(const Map& map, Function at) {
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      for (int n = 0; n < kLanes; ++n) at(y, x, n);
    }
  }
}

TEST("caught: an activation's change that forgets the nonlinearity, or follows its tangent") {
  const Kernels forgetful = broken([](Kernels& table) {
    table.activateChange = [](const Activation& shape, const PlaneChange* planes, int count) {
      Activation unbounded = shape;
      unbounded.nonlinearity = kNone;
      kernels().activateChange(unbounded, planes, count);
    };
  });
  for (const auto check : {reluCheck, leakyCheck, tanhCheck}) CHECK_PASSES(mustCatch(forgetful, check));

  const Kernels tangent = broken([](Kernels& table) {
    table.activateChange = [](const Activation& shape, const PlaneChange* planes, int count) {
      Activation unbounded = shape;
      unbounded.nonlinearity = kNone;
      kernels().activateChange(unbounded, planes, count);
      for (const PlaneChange* plane = planes; plane < planes + count; ++plane) {
        const AffineChange& affine = *plane->affine;
        forPixels(shape.out, [&](int y, int x, int n) {
          const float value = plane->base[shape.in.at(0, y, x) + n];
          const float z = value * affine.scale + affine.shift;
          float slope = z > 0 ? 1 : static_cast<float>(shape.slope);
          if (shape.nonlinearity == kRelu && z <= 0) slope = 0;
          if (shape.nonlinearity == Nonlinearity::Tanh) slope = 1 - std::tanh(z) * std::tanh(z);
          plane->out[shape.out.at(0, y, x) + n] *= slope;
        });
      }
    };
  });
  for (const auto check : {reluCheck, leakyCheck, tanhCheck}) CHECK_PASSES(mustCatch(tangent, check));
}

TEST("caught: an activation's change as the difference of two values") {
  const Kernels wrong = broken([](Kernels& table) {
    table.activateChange = [](const Activation& shape, const PlaneChange* planes, int count) {
      const std::size_t size = static_cast<std::size_t>(shape.in.planeStride());
      Activation one = shape;
      one.in.channels = one.out.channels = 1;
      for (const PlaneChange* plane = planes; plane < planes + count; ++plane) {
        const AffineChange& change = *plane->affine;
        const Affine before = {0, change.scale, change.shift};
        const Affine after = {0, change.newScale, change.shift + change.shiftChange};
        std::vector<float> perturbed(plane->base, plane->base + size);
        for (std::size_t i = 0; i < size && plane->change != nullptr; ++i) perturbed[i] += plane->change[i];
        std::vector<float> from(one.out.size()), to(one.out.size());
        kernels().activate(one, &before, plane->base, nullptr, from.data());
        kernels().activate(one, &after, perturbed.data(), nullptr, to.data());
        forPixels(shape.out, [&](int y, int x, int n) {
          const std::ptrdiff_t at = shape.out.at(0, y, x) + n;
          plane->out[at] = to[at] - from[at];
        });
      }
    };
  });
  for (const auto check : {tinyCheck, poolCheck, tinyTanhCheck}) CHECK_PASSES(mustCatch(wrong, check));
  CHECK_PASSES(mustCatch(wrong, checkTanhChange));
}

TEST("caught: an activation's change without its residual's, or without that of its scale") {
  const Kernels wrong = broken([](Kernels& table) {
    table.activateChange = [](const Activation& shape, const PlaneChange* planes, int count) {
      activateWithout(shape, planes, count, [](PlaneChange& plane) { plane.residualChange = nullptr; });
    };
  });
  CHECK_PASSES(mustCatch(wrong, residualCheck));

  const Kernels unscaled = broken([](Kernels& table) {
    table.activateChange = [](const Activation& shape, const PlaneChange* planes, int count) {
      std::vector<AffineChange> affine;
      for (int p = 0; p < count; ++p) {
        affine.push_back(*planes[p].affine);
        affine.back().newScale = affine.back().scale;
        affine.back().scaleChange = 0;
      }
      const AffineChange* next = affine.data();
      activateWithout(shape, planes, count, [&](PlaneChange& plane) { plane.affine = next++; });
    };
  });
  CHECK_PASSES(mustCatch(unscaled, tinyCheck));
}

TEST("caught: a pool's change at the base's maximum, and one that ignores the residual in it") {
  const Kernels wrong = broken([](Kernels& table) {
    table.activateChange = [](const Activation& shape, const PlaneChange* planes, int count) {
      // The changes of all pixels, and of these the one where the base is largest.
      Activation all = shape;
      all.out = {1, shape.in.height, shape.in.width, 0};
      all.poolKernel = all.poolStride = 1;
      for (const PlaneChange* plane = planes; plane < planes + count; ++plane) {
        std::vector<float> changes(all.out.size());
        activateWithout(all, plane, 1, [&](PlaneChange& one) { one.out = changes.data(); });
        forPixels(shape.out, [&](int y, int x, int n) {
          float largest = -std::numeric_limits<float>::infinity();
          for (int i = 0; i < shape.poolKernel * shape.poolKernel; ++i) {
            const int row = y * shape.poolStride + i / shape.poolKernel;
            const int column = x * shape.poolStride + i % shape.poolKernel;
            const float value = plane->base[shape.in.at(0, row, column) + n] * plane->affine->scale;
            if (value > largest) plane->out[shape.out.at(0, y, x) + n] = changes[all.out.at(0, row, column) + n];
            largest = std::max(largest, value);
          }
        });
      }
    };
  });
  CHECK_PASSES(mustCatch(wrong, poolCheck));

  const Kernels without = broken([](Kernels& table) {
    table.activateChange = [](const Activation& shape, const PlaneChange* planes, int count) {
      activateWithout(shape, planes, count, [](PlaneChange& plane) { plane.sum = nullptr; });
    };
  });
  CHECK_PASSES(mustCatch(
      without, [](const Kernels& table) { return checkActivateChange(table, activation(2, true, kRelu), 1e-2f); }));
}

TEST("caught: a loss's change that takes the first classes, or counts dead lanes") {
  const Kernels wrong = broken([](Kernels& table) {
    table.crossEntropyChange = [](const float* probabilities, const float* labels, int classes, const float* change,
                                  const int*, int count, int lanes, float* largest) {
      const int first[] = {0, 1, 2};
      return kernels().crossEntropyChange(probabilities, labels, classes, change, first, count, lanes, largest);
    };
  });
  CHECK_PASSES(mustCatch(wrong, lossCheck));

  const Kernels dead = broken([](Kernels& table) {
    table.crossEntropyChange = [](const float* probabilities, const float* labels, int classes, const float* change,
                                  const int* channels, int count, int, float* largest) {
      return kernels().crossEntropyChange(probabilities, labels, classes, change, channels, count, kLanes, largest);
    };
  });
  CHECK_PASSES(mustCatch(dead, lossCheck));
}

TEST("caught: a loss's change that cancels, and one that reports half of the largest change") {
  const Kernels cancelling = broken([](Kernels& table) {
    table.crossEntropyChange = [](const float* probabilities, const float* labels, int classes, const float* change,
                                  const int* channels, int count, int lanes, float* largest) {
      kernels().crossEntropyChange(probabilities, labels, classes, change, channels, count, lanes, largest);
      double total = 0;
      for (int n = 0; n < lanes; ++n) {
        float sum = 0, label = 0;
        for (int c = 0, j = 0; c < classes; ++c) {
          const float delta = j < count && channels[j] == c ? change[channels[j++] * kLanes + n] : 0;
          sum += probabilities[c * kLanes + n] * std::exp(delta);
          if (labels[c * kLanes + n] == 1) label = delta;
        }
        total += std::log(sum) - label;
      }
      return total;
    };
  });
  CHECK_PASSES(mustCatch(cancelling, lossCheck));

  const Kernels half = broken([](Kernels& table) {
    table.crossEntropyChange = [](const float* probabilities, const float* labels, int classes, const float* change,
                                  const int* channels, int count, int lanes, float* largest) {
      const double sum =
          kernels().crossEntropyChange(probabilities, labels, classes, change, channels, count, lanes, largest);
      *largest /= 2;
      return sum;
    };
  });
  CHECK_PASSES(mustCatch(half, lossCheck));
}

}  // namespace
}  // namespace deepzero::test
