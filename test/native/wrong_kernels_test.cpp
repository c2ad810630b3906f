// Deliberately wrong kernels: each check passes the real table and must catch the mistake made in a copy of it.
#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "harness.hpp"
#include "kernel_checks.hpp"

namespace deepzero::test {
namespace {

// A copy of the real table with something replaced.
template <typename Break>
Kernels broken(Break makeWrong) {
  Kernels table = kernels();
  makeWrong(table);
  return table;
}

// The check passes the real kernels and fails the broken ones.
std::string mustCatch(const Kernels& wrong, const std::function<std::string(const Kernels&)>& check) {
  const std::string failure = check(kernels());
  if (!failure.empty()) return "the real kernel failed: " + failure;
  return check(wrong).empty() ? "the wrong kernel passed" : "";
}

const PixelCase kPixels = {{3, 3, 5, 1}, {3, 3, 5, 1}, true};

std::string convolutionCheck(const Kernels& table) { return checkConvolution(table, ConvolutionCase{}); }
std::string clampCheck(const Kernels& table) { return checkClamp(table, kPixels, 0.0f); }
std::string addCheck(const Kernels& table) { return checkAdd(table, kPixels, 0.0f); }
std::string normalizeCheck(const Kernels& table) { return checkNormalize(table, kPixels, 0.0f); }
std::string momentsCheck(const Kernels& table) { return checkMoments(table, {2, 4, 5, 1}, 15, 1000.0f); }
std::string maxPoolCheck(const Kernels& table) { return checkMaxPool(table, {2, 8, 8, 0}, 2, 2, 0, true); }
std::string subsampleCheck(const Kernels& table) { return checkSubsample(table, {2, 5, 5, 0}, 2, 4, 0); }
std::string averagePoolCheck(const Kernels& table) { return checkAveragePool(table, {2, 5, 5, 1}, 0); }

TEST("caught: a convolution that drops its last tap") {
  const Kernels wrong = broken([](Kernels& table) {
    table.convolution = [](const ConvolutionShape& shape, const float* in, const float* packed, const float* bias,
                           float* out) {
      std::vector<float> weights(packed, packed + shape.packedSize());
      const std::size_t taps = static_cast<std::size_t>(shape.in.channels) * shape.kernelHeight * shape.kernelWidth;
      for (int o = 0; o < shape.out.channels; ++o) weights[shape.packedIndex((o + 1) * taps - 1)] = 0;
      kernels().convolution(shape, in, weights.data(), bias, out);
    };
  });
  CHECK_PASSES(mustCatch(wrong, convolutionCheck));
}

TEST("caught: a convolution without its bias") {
  const Kernels wrong = broken([](Kernels& table) {
    table.convolution = [](const ConvolutionShape& shape, const float* in, const float* packed, const float*,
                           float* out) { kernels().convolution(shape, in, packed, nullptr, out); };
  });
  CHECK_PASSES(mustCatch(wrong, convolutionCheck));
}

TEST("caught: a convolution that skips the last column") {
  const Kernels wrong = broken([](Kernels& table) {
    table.convolution = [](const ConvolutionShape& shape, const float* in, const float* packed, const float* bias,
                           float* out) {
      std::vector<float> whole(shape.out.size());
      kernels().convolution(shape, in, packed, bias, whole.data());
      for (int o = 0; o < shape.out.channels; ++o) {
        for (int y = 0; y < shape.out.height; ++y) {
          const std::ptrdiff_t at = shape.out.at(o, y, 0);
          std::copy_n(whole.data() + at, (shape.out.width - 1) * kLanes, out + at);
        }
      }
    };
  });
  CHECK_PASSES(mustCatch(wrong, convolutionCheck));
}

TEST("caught: a convolution that writes one float beyond its output") {
  const Kernels wrong = broken([](Kernels& table) {
    table.convolution = [](const ConvolutionShape& shape, const float* in, const float* packed, const float* bias,
                           float* out) {
      kernels().convolution(shape, in, packed, bias, out);
      out[shape.out.size()] = 0;
    };
  });
  CHECK_PASSES(mustCatch(wrong, convolutionCheck));
}

TEST("caught: a convolution that rounds its weights to sixteen bits") {
  const Kernels wrong = broken([](Kernels& table) {
    table.convolution = [](const ConvolutionShape& shape, const float* in, const float* packed, const float* bias,
                           float* out) {
      std::vector<float> weights(packed, packed + shape.packedSize());
      for (float& weight : weights) {
        std::uint32_t bits;
        std::memcpy(&bits, &weight, sizeof bits);
        bits &= 0xFFFF0000u;
        std::memcpy(&weight, &bits, sizeof bits);
      }
      kernels().convolution(shape, in, weights.data(), bias, out);
    };
  });
  CHECK_PASSES(mustCatch(wrong, convolutionCheck));
}

TEST("caught: a ReLU that swallows NaN") {
  const Kernels wrong = broken([](Kernels& table) {
    table.clamp = [](const Map& inMap, const float* in, float floor, const Map& outMap, float* out) {
      for (int c = 0; c < inMap.channels; ++c) {
        for (int y = 0; y < inMap.height; ++y) {
          const float* from = in + inMap.at(c, y, 0);
          float* to = out + outMap.at(c, y, 0);
          for (int i = 0; i < inMap.width * kLanes; ++i) to[i] = from[i] > floor ? from[i] : floor;
        }
      }
    };
  });
  CHECK_PASSES(mustCatch(wrong, clampCheck));
}

TEST("caught: an addition that writes its border") {
  const Kernels wrong = broken([](Kernels& table) {
    table.add = [](const Map& aMap, const float* a, const Map& bMap, const float* b, float floor, const Map& outMap,
                   float* out) {
      kernels().add(aMap, a, bMap, b, floor, outMap, out);
      out[outMap.at(1, -1, 2)] = 0;
    };
  });
  CHECK_PASSES(mustCatch(wrong, addCheck));
}

TEST("caught: a normalization that mixes up its channels") {
  const Kernels wrong = broken([](Kernels& table) {
    table.normalize = [](const Map& inMap, const float* in, const float* mean, const float* scale, const float* shift,
                         float floor, const Map& outMap, float* out) {
      const std::vector<float> first(inMap.channels, shift[0]);
      kernels().normalize(inMap, in, mean, scale, first.data(), floor, outMap, out);
    };
  });
  CHECK_PASSES(mustCatch(wrong, normalizeCheck));
}

TEST("caught: moments that count dead lanes, and moments that cancel") {
  const Kernels wrong = broken([](Kernels& table) {
    table.moments = [](const Map& map, const float* in, int, double* mean, double* squares) {
      kernels().moments(map, in, kLanes, mean, squares);
    };
  });
  CHECK_PASSES(mustCatch(wrong, momentsCheck));

  const Kernels cancelling = broken([](Kernels& table) {
    table.moments = [](const Map& map, const float* in, int lanes, double* mean, double* squares) {
      kernels().moments(map, in, lanes, mean, squares);
      for (int c = 0; c < map.channels; ++c) {
        float sum = 0;
        for (int y = 0; y < map.height; ++y) {
          for (int x = 0; x < map.width; ++x) {
            for (int n = 0; n < lanes; ++n) sum += in[map.at(c, y, x) + n] * in[map.at(c, y, x) + n];
          }
        }
        squares[c] = sum - mean[c] * mean[c] * lanes * map.height * map.width;
      }
    };
  });
  CHECK_PASSES(mustCatch(cancelling, momentsCheck));
}

TEST("caught: a pool that swallows NaN") {
  const Kernels wrong = broken([](Kernels& table) {
    table.maxPool = [](const Map& inMap, const float* in, int kernel, int stride, const Map& outMap, float* out) {
      std::vector<float> clean(in, in + inMap.size());
      for (float& value : clean) value = value == value ? value : -std::numeric_limits<float>::infinity();
      kernels().maxPool(inMap, clean.data(), kernel, stride, outMap, out);
    };
  });
  CHECK_PASSES(mustCatch(wrong, maxPoolCheck));
}

TEST("caught: a shortcut that puts all its zeros last, and a mean over the border") {
  const Kernels wrong = broken([](Kernels& table) {
    table.subsample = [](const Map& inMap, const float* in, int stride, const Map& outMap, float* out) {
      std::vector<float> centred(outMap.size());
      kernels().subsample(inMap, in, stride, outMap, centred.data());
      const std::ptrdiff_t before = (outMap.channels - inMap.channels) / 2 * outMap.planeStride();
      std::copy(centred.begin() + before, centred.end(), out);
      std::fill_n(out + outMap.size() - before, before, 0.0f);
    };
    table.averagePool = [](const Map& inMap, const float* in, const Map& outMap, float* out) {
      const Map wide = {inMap.channels, inMap.height + 2 * inMap.border, inMap.width + 2 * inMap.border, 0};
      kernels().averagePool(wide, in, outMap, out);
    };
  });
  CHECK_PASSES(mustCatch(wrong, subsampleCheck));
  CHECK_PASSES(mustCatch(wrong, averagePoolCheck));
}

}  // namespace
}  // namespace deepzero::test
