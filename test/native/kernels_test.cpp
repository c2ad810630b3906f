// Every kernel that works on values at sizes below, at, a multiple of and above its tile.
#include <vector>

#include "harness.hpp"
#include "kernel_checks.hpp"

namespace deepzero::test {
namespace {

const int kWidths[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 32};

// Kernels and strides of pools.
const int kPools[][2] = {{1, 1}, {2, 2}, {3, 2}, {2, 1}, {3, 3}, {1, 2}};

TEST("instruction sets are named by their tables, and unknown names are refused") {
  const char* const* names;
  const int count = supportedIsas(&names);
  CHECK(count >= 1);
  for (int i = 0; i < count; ++i) CHECK(std::string(findKernels(names[i])->isa) == names[i]);
  CHECK(std::string(names[count - 1]) == "portable");
  CHECK(findKernels("sse9") == nullptr);
  CHECK(findKernels("") == nullptr);
}

TEST("packed weights: every OIHW index has a place of its own") {
  for (const int outChannels : {1, 2, 3, 4, 5, 8, 18}) {
    for (const int inChannels : {1, 3, 4}) {
      ConvolutionCase given;
      given.outChannels = outChannels;
      given.inChannels = inChannels;
      const ConvolutionShape shape = given.shape();
      const std::size_t count = static_cast<std::size_t>(outChannels) * inChannels * 9;
      CHECK(shape.packedSize() >= count);
      CHECK(shape.packedSize() % (static_cast<std::size_t>(kChannelTile) * inChannels * 9) == 0);
      std::vector<std::size_t> unpacked(shape.packedSize(), count);
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = shape.packedIndex(i);
        CHECK(at < shape.packedSize());
        CHECK(unpacked[at] == count);
        unpacked[at] = i;
      }
      // Reading the packed weights back in their documented order gives every index again.
      const int tiles = (outChannels + kChannelTile - 1) / kChannelTile;
      auto packed = unpacked.begin();
      for (int tile = 0; tile < tiles; ++tile) {
        for (int tap = 0; tap < inChannels * 9; ++tap) {
          for (int o = tile * kChannelTile; o < (tile + 1) * kChannelTile; ++o, ++packed) {
            CHECK(*packed == (o < outChannels ? static_cast<std::size_t>(o) * inChannels * 9 + tap : count));
          }
        }
      }
    }
  }
}

ISA_TEST("convolution: output channels × input channels × widths") {
  int number = 0;
  for (const int outChannels : {1, 2, 3, 4, 5, 8, 18}) {
    for (const int inChannels : {1, 3, 4, 18}) {
      for (const int width : kWidths) {
        ConvolutionCase given;
        given.inChannels = inChannels;
        given.outChannels = outChannels;
        given.height = 3;
        given.width = width;
        given.bias = ++number % 2 == 0;
        given.extraBorder = number % 3;
        given.outBorder = number / 2 % 3;
        given.specials = number % 5 == 0;
        CHECK_PASSES(checkConvolution(kernels(), given));
        CHECK_PASSES(checkAddConvolution(kernels(), given));
      }
    }
  }
}

ISA_TEST("convolution: kernels × strides × paddings × widths × bias") {
  const int sizes[][2] = {{1, 1}, {3, 3}, {5, 5}, {1, 3}, {3, 1}};
  int cases = 0;
  for (const auto& size : sizes) {
    for (const int stride : {1, 2, 3}) {
      for (const int padding : {0, 1, 2}) {
        for (const int width : kWidths) {
          for (const bool bias : {false, true}) {
            ConvolutionCase given;
            given.height = 6;
            given.width = width;
            given.kernelHeight = size[0];
            given.kernelWidth = size[1];
            given.stride = stride;
            given.padding = padding;
            given.bias = bias;
            given.extraBorder = width % 2;
            given.outBorder = width % 3;
            if (!given.fits()) continue;
            ++cases;
            CHECK_PASSES(checkConvolution(kernels(), given));
            CHECK_PASSES(checkAddConvolution(kernels(), given));
          }
        }
      }
    }
  }
  CHECK(cases > 900);
}

ISA_TEST("convolution: maps as small as the kernel, whole and of some channels") {
  int number = 0;
  for (const int height : {1, 2, 3}) {
    for (const int width : {1, 2, 3}) {
      for (const int outChannels : {1, 2, 3, 4, 5, 6, 7, 8, 18, 33}) {
        for (const int inChannels : {1, 2, 5, 33}) {
          ConvolutionCase given;
          given.inChannels = inChannels;
          given.outChannels = outChannels;
          given.height = height;
          given.width = width;
          given.bias = ++number % 2 == 0;
          given.extraBorder = number % 3;
          given.outBorder = number / 2 % 3;
          given.specials = number % 5 == 0;
          CHECK_PASSES(checkConvolution(kernels(), given));
          CHECK_PASSES(checkAddConvolution(kernels(), given));
          CHECK_PASSES(checkPartialConvolution(kernels(), given, {inChannels / 2}));
          if (inChannels > 2) CHECK_PASSES(checkPartialConvolution(kernels(), given, {0, 1, inChannels - 1}));
        }
      }
    }
  }
}

ISA_TEST("convolution: a linear layer is the case of 1×1 maps") {
  for (const int features : {1, 2, 4, 5, 10}) {
    for (const int inputs : {1, 18, 64}) {
      ConvolutionCase given;
      given.inChannels = inputs;
      given.outChannels = features;
      given.height = given.width = given.kernelHeight = given.kernelWidth = 1;
      given.padding = 0;
      CHECK_PASSES(checkConvolution(kernels(), given));
    }
  }
}

ISA_TEST("moments: only live lanes count, a large mean costs no digits") {
  for (const int width : kWidths) {
    for (const int height : {1, 2, 5, 32}) {
      for (const int lanes : {1, 7, 15, 16}) {
        const Map map = {1 + width % 3, height, width, width % 2};
        for (const float offset : {0.0f, -3.0f, 1000.0f}) {
          CHECK_PASSES(checkMoments(kernels(), map, lanes, offset));
        }
      }
    }
  }
}

ISA_TEST("activate: pools × borders × parts, NaN and infinities pass in their own lane") {
  int number = 0;
  for (const int width : kWidths) {
    for (const int height : {1, 2, 3, 8}) {
      for (const auto& pool : kPools) {
        for (const bool affine : {false, true}) {
          for (const bool residual : {false, true}) {
            for (const Nonlinearity nonlinearity : kNonlinearities) {
              ActivationCase given;
              given.channels = 1 + ++number % 5;
              given.height = height;
              given.width = width;
              given.inBorder = number % 3;
              given.residualBorder = number / 3 % 3;
              given.outBorder = number / 9 % 3;
              given.poolKernel = pool[0];
              given.poolStride = pool[1];
              given.nonlinearity = nonlinearity;
              given.affine = affine;
              given.residual = residual;
              given.specials = number % 7 < 3;
              if (given.fits()) CHECK_PASSES(checkActivate(kernels(), given));
            }
          }
        }
      }
    }
  }
}

ISA_TEST("activate: tanh is accurate to its last digits, and odd") { CHECK_PASSES(checkTanh(kernels())); }

ISA_TEST("averagePool: windows × strides × sizes of planes, one of several") {
  const int windows[][2] = {{1, 1}, {2, 2}, {3, 3}, {1, 3}, {3, 2}, {5, 4}};
  int number = 0;
  const auto check = [&](int height, int width, int kernelHeight, int kernelWidth, int stride) {
    ConvolutionCase given;
    given.inChannels = given.outChannels = 1 + ++number % 4;
    given.height = height;
    given.width = width;
    given.kernelHeight = kernelHeight;
    given.kernelWidth = kernelWidth;
    given.stride = stride;
    given.padding = 0;
    given.extraBorder = number % 3;
    given.outBorder = number / 3 % 3;
    given.specials = number % 5 == 0;
    if (given.fits()) CHECK_PASSES(checkAveragePool(kernels(), given));
  };
  for (const int width : kWidths) {
    for (const int height : {1, 2, 3, 5, 8, 32}) {
      for (const auto& window : windows) {
        for (const int stride : {1, 2, 3, 7}) check(height, width, window[0], window[1], stride);
      }
      // A global average pool.
      check(height, width, height, width, 1);
    }
  }
}

}  // namespace
}  // namespace deepzero::test
