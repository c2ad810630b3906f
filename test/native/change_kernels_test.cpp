// Every kernel that carries changes at sizes below, at, a multiple of and above its tile.
#include <limits>
#include <vector>

#include "block.hpp"
#include "harness.hpp"
#include "kernel_checks.hpp"

namespace deepzero::test {
namespace {

ISA_TEST("partialConvolution: subsets of channels × output channels × widths") {
  struct Subset {
    int of;
    std::vector<int> channels;
  };
  const Subset subsets[] = {{1, {0}},       {3, {0}},    {3, {2}},   {3, {0, 1, 2}},         {5, {1, 4}},
                            {5, {0, 2, 3}}, {8, {3, 7}}, {18, {17}}, {18, {0, 5, 6, 7, 16}}, {33, {31, 32}},
                            {5, {}}};
  int number = 0;
  for (const Subset& subset : subsets) {
    for (const int outChannels : {1, 2, 3, 4, 5, 8, 18}) {
      for (const int width : {1, 2, 3, 4, 5, 7, 8, 9, 17}) {
        ConvolutionCase given;
        given.inChannels = subset.of;
        given.outChannels = outChannels;
        given.height = 4;
        given.width = width;
        given.kernelHeight = given.kernelWidth = ++number % 4 == 0 ? 1 : 3;
        given.padding = given.kernelWidth / 2;
        given.stride = 1 + number / 4 % 3;
        given.extraBorder = number % 3;
        given.outBorder = number / 2 % 3;
        given.specials = number % 5 == 0 && !subset.channels.empty();
        CHECK_PASSES(checkPartialConvolution(kernels(), given, subset.channels));
      }
    }
  }
}

ISA_TEST("partialConvolution: kernels × strides × paddings") {
  const int sizes[][2] = {{1, 1}, {3, 3}, {5, 5}, {1, 3}, {3, 1}};
  for (const auto& size : sizes) {
    for (const int stride : {1, 2, 3}) {
      for (const int padding : {0, 1, 2}) {
        ConvolutionCase given;
        given.inChannels = 6;
        given.height = 6;
        given.width = 9;
        given.kernelHeight = size[0];
        given.kernelWidth = size[1];
        given.stride = stride;
        given.padding = padding;
        CHECK_PASSES(checkPartialConvolution(kernels(), given, {1, 2, 5}));
      }
    }
  }
}

ISA_TEST("winograd: maps of 1 to 16 tiles × input channels × output channels") {
  // Up to 16×16, at every number of tiles that is taken at a time, and at one more than a chunk for 8, 4 and 2.
  const int sizes[][2] = {{4, 4},  {4, 8},  {12, 4},  {8, 8},   {20, 4}, {8, 12},
                          {4, 28}, {16, 8}, {12, 12}, {16, 12}, {16, 16}};
  const int counts[] = {1, 2, 3, 4, 5, 8, 18, 33};
  int number = 0;
  for (const auto& size : sizes) {
    for (const int inChannels : counts) {
      for (const int outChannels : counts) {
        ConvolutionCase given;
        given.inChannels = inChannels;
        given.outChannels = outChannels;
        given.height = size[0];
        given.width = size[1];
        given.extraBorder = ++number % 3;
        given.outBorder = number / 3 % 3;
        // The largest maps of the most channels take most of the time: one in three will do.
        const bool large = size[0] * size[1] * inChannels * outChannels > 20000;
        if (large && number % 3 != 0 && inChannels + outChannels != 66) continue;
        CHECK_PASSES(checkWinograd(kernels(), given));
      }
    }
  }
}

ISA_TEST("convolveMoments, convolveActivate: kernels × strides × channels × widths × pools") {
  const int pools[][2] = {{1, 1}, {2, 2}, {3, 2}, {2, 1}, {1, 2}};
  int number = 0;
  for (const int size : {1, 3, 5}) {
    for (const int stride : {1, 2}) {
      for (const int outChannels : {1, 3, 4, 6}) {
        for (const int width : {3, 4, 8, 17, 70}) {
          for (const auto& pool : pools) {
            ConvolutionCase given;
            given.outChannels = outChannels;
            given.height = 3 + ++number % 8;
            given.width = width;
            given.kernelHeight = given.kernelWidth = size;
            given.stride = stride;
            given.padding = size / 2;
            given.extraBorder = number % 2;
            given.bias = number / 2 % 2 == 0;
            ActivationCase then;
            then.poolKernel = pool[0];
            then.poolStride = pool[1];
            then.outBorder = number % 3;
            then.nonlinearity = kNonlinearities[number % 4];
            const Map out = given.shape().out;
            if (out.height < pool[0] || out.width < pool[0]) continue;
            const std::vector<int> one = {number % given.inChannels}, several[] = {{0, 2}, {0, 1, 2}};
            for (const std::vector<int>& channels : {one, several[number / 3 % 2]}) {
              CHECK_PASSES(checkConvolveActivate(kernels(), given, channels, then, 1 + number % kLanes));
            }
          }
        }
      }
    }
  }
}

ISA_TEST("activateChange: exact to the size of the changes, across the kinks of ReLUs and pools") {
  const int pools[][2] = {{1, 1}, {2, 2}, {3, 2}, {2, 1}, {3, 3}, {1, 2}};
  int number = 0;
  for (const int width : {1, 2, 3, 4, 5, 8, 9, 17}) {
    for (const int height : {1, 2, 3, 8}) {
      for (const auto& pool : pools) {
        for (const bool residual : {false, true}) {
          for (const Nonlinearity nonlinearity : kNonlinearities) {
            for (const float size : {1e-6f, 1e-3f, 1.0f}) {
              ActivationCase given;
              // Four planes have all combinations of what changes.
              given.channels = ++number % 8 == 0 ? 1 : 4 + number % 2;
              given.height = height;
              given.width = width;
              given.inBorder = number % 3;
              given.residualBorder = number / 3 % 3;
              given.outBorder = number / 9 % 3;
              given.poolKernel = pool[0];
              given.poolStride = pool[1];
              given.nonlinearity = nonlinearity;
              given.affine = number % 4 != 0;
              given.residual = residual;
              given.specials = number % 5 == 0;
              if (given.fits()) CHECK_PASSES(checkActivateChange(kernels(), given, size));
            }
          }
        }
      }
    }
  }
}

ISA_TEST("activateChange: of tanh, small changes and those of saturated values keep their digits") {
  CHECK_PASSES(checkTanhChange(kernels()));
}

ISA_TEST("changeMoments: lanes × sizes of planes, added to earlier sums") {
  for (int lanes = 1; lanes <= kLanes; ++lanes) {
    for (const int width : {1, 2, 3, 5, 8, 32, 65}) {
      for (const int height : {1, 2, 7, 32}) {
        const Map map = {1 + width % 3, height, width, (width + height) % 3};
        const float offset = lanes % 2 == 0 ? 0.0f : 1000.0f;
        for (const float size : {1e-6f, 1.0f}) CHECK_PASSES(checkChangeMoments(kernels(), map, lanes, offset, size));
      }
    }
  }
}

ISA_TEST("crossEntropyChange: sizes of changes × subsets of classes × lanes") {
  struct Subset {
    int classes;
    std::vector<int> channels;
  };
  const Subset subsets[] = {{1, {0}},
                            {2, {0}},
                            {2, {0, 1}},
                            {10, {3}},
                            {10, {9}},
                            {10, {0, 4, 9}},
                            {10, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
                            {33, {1, 30, 31, 32}}};
  for (const Subset& subset : subsets) {
    for (int lanes = 1; lanes <= kLanes; ++lanes) {
      for (const float size : {1e-7f, 1e-5f, 1e-3f, 0.1f, 0.5f, 3.0f}) {
        CHECK_PASSES(checkCrossEntropyChange(kernels(), subset.classes, subset.channels, lanes, size));
      }
    }
  }
}

ISA_TEST("crossEntropyChange: a NaN or infinity is not lost") {
  const std::vector<float> probabilities(3 * kLanes, 1.0f / 3);
  std::vector<float> labels(3 * kLanes, 0.0f);
  std::fill_n(labels.begin() + kLanes, kLanes, 1.0f);
  const int channels[] = {0, 1, 2};
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float special : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    for (int at = 0; at < 3 * kLanes; ++at) {
      std::vector<float> change(3 * kLanes, 0.25f);
      change[at] = special;
      float largest = 0;
      const double got = kernels().crossEntropyChange(probabilities.data(), labels.data(), 3, change.data(), channels,
                                                      3, kLanes, &largest);
      // Whoever is told of a change beyond 0.5 takes another way.
      CHECK(std::isnan(special) ? !(largest <= 0.5f) || std::isnan(got) : !(largest <= 0.5f));
    }
  }
}

}  // namespace
}  // namespace deepzero::test
