// Deliberately wrong kernels of values: each check passes the real table and must catch the mistake made in a copy of
// it.
#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "wrong_kernels.hpp"

namespace deepzero::test {
namespace {

ActivationCase activation(int poolKernel, bool affine, bool residual) {
  ActivationCase result;
  result.poolKernel = result.poolStride = poolKernel;
  result.affine = affine;
  result.residual = residual;
  result.specials = true;
  return result;
}

std::string convolutionCheck(const Kernels& table) { return checkConvolution(table, ConvolutionCase{}); }
std::string reluCheck(const Kernels& table) { return checkActivate(table, activation(1, false, false)); }
std::string poolCheck(const Kernels& table) { return checkActivate(table, activation(2, false, false)); }
std::string bentCheck(const Kernels& table, Nonlinearity nonlinearity) {
  ActivationCase given = activation(2, false, false);
  given.nonlinearity = nonlinearity;
  return checkActivate(table, given);
}
std::string normalizeCheck(const Kernels& table) { return checkActivate(table, activation(1, true, false)); }
std::string residualCheck(const Kernels& table) { return checkActivate(table, activation(1, true, true)); }
std::string momentsCheck(const Kernels& table) { return checkMoments(table, {2, 4, 5, 1}, 15, 1000.0f); }
// Overlapping windows, which leave the last row and column of their map.
std::string averagePoolCheck(const Kernels& table) {
  ConvolutionCase given;
  given.height = 6;
  given.width = 9;
  given.kernelHeight = 3;
  given.kernelWidth = 4;
  given.stride = 2;
  given.padding = 0;
  given.extraBorder = given.outBorder = 1;
  return checkAveragePool(table, given);
}

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

TEST("caught: an added convolution that overwrites, or forgets its bias") {
  const auto check = [](const Kernels& table) { return checkAddConvolution(table, ConvolutionCase{}); };
  const Kernels overwriting = broken([](Kernels& table) { table.addConvolution = table.convolution; });
  CHECK_PASSES(mustCatch(overwriting, check));

  const Kernels unbiased = broken([](Kernels& table) {
    table.addConvolution = [](const ConvolutionShape& shape, const float* in, const float* packed, const float*,
                              float* out) { kernels().addConvolution(shape, in, packed, nullptr, out); };
  });
  CHECK_PASSES(mustCatch(unbiased, check));
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

TEST("caught: an activation that swallows NaN") {
  const Kernels wrong = broken([](Kernels& table) {
    table.activate = [](const Activation& shape, const Affine* affine, const float* in, const float* residual,
                        float* out) {
      std::vector<float> clean(in, in + shape.in.size());
      for (float& value : clean) value = value == value ? value : -std::numeric_limits<float>::infinity();
      kernels().activate(shape, affine, clean.data(), residual, out);
    };
  });
  CHECK_PASSES(mustCatch(wrong, reluCheck));
  CHECK_PASSES(mustCatch(wrong, poolCheck));
}

TEST("caught: an activation that writes its border") {
  const Kernels wrong = broken([](Kernels& table) {
    table.activate = [](const Activation& shape, const Affine* affine, const float* in, const float* residual,
                        float* out) {
      kernels().activate(shape, affine, in, residual, out);
      out[shape.out.at(1, -1, 2)] = 0;
    };
  });
  CHECK_PASSES(mustCatch(wrong, reluCheck));
}

TEST("caught: an activation that mixes up its channels, or reads its residual by the input's map") {
  const Kernels wrong = broken([](Kernels& table) {
    table.activate = [](const Activation& shape, const Affine* affine, const float* in, const float* residual,
                        float* out) {
      std::vector<Affine> first(affine, affine + shape.out.channels);
      for (Affine& map : first) map.shift = affine[0].shift;
      kernels().activate(shape, first.data(), in, residual, out);
    };
  });
  CHECK_PASSES(mustCatch(wrong, normalizeCheck));

  const Kernels shifted = broken([](Kernels& table) {
    table.activate = [](const Activation& shape, const Affine* affine, const float* in, const float* residual,
                        float* out) {
      std::vector<float> padded(shape.in.size(), 0.0f);
      std::copy_n(residual, std::min(shape.residual.size(), padded.size()), padded.begin());
      Activation wrongShape = shape;
      wrongShape.residual = shape.in;
      kernels().activate(wrongShape, affine, in, padded.data(), out);
    };
  });
  CHECK_PASSES(mustCatch(shifted, residualCheck));
}

TEST("caught: an activation that adds its residual after the nonlinearity, or takes another one") {
  const Kernels late = broken([](Kernels& table) {
    table.activate = [](const Activation& shape, const Affine* affine, const float* in, const float* residual,
                        float* out) {
      kernels().activate(shape, affine, in, nullptr, out);
      for (int c = 0; c < shape.out.channels; ++c) {
        for (int y = 0; y < shape.out.height; ++y) {
          const float* from = residual + shape.residual.at(c, y, 0);
          float* to = out + shape.out.at(c, y, 0);
          for (int i = 0; i < shape.out.width * kLanes; ++i) to[i] += from[i];
        }
      }
    };
  });
  CHECK_PASSES(mustCatch(late, residualCheck));

  static Nonlinearity taken;
  const Kernels other = broken([](Kernels& table) {
    table.activate = [](const Activation& shape, const Affine* affine, const float* in, const float* residual,
                        float* out) {
      Activation wrong = shape;
      wrong.nonlinearity = taken;
      kernels().activate(wrong, affine, in, residual, out);
    };
  });
  for (const Nonlinearity wanted : kNonlinearities) {
    for (const Nonlinearity wrong : kNonlinearities) {
      taken = wrong;
      if (wrong == wanted) continue;
      CHECK_PASSES(mustCatch(other, [&](const Kernels& table) { return bentCheck(table, wanted); }));
    }
  }
}

TEST("caught: a pool whose windows lack their last column") {
  const Kernels wrong = broken([](Kernels& table) {
    table.activate = [](const Activation& shape, const Affine* affine, const float* in, const float* residual,
                        float* out) {
      // Every column repeats the one before it where a window ends.
      std::vector<float> copied(in, in + shape.in.size());
      for (int c = 0; c < shape.in.channels; ++c) {
        for (int y = 0; y < shape.in.height; ++y) {
          for (int x = 1; x < shape.in.width; x += 2) {
            std::copy_n(in + shape.in.at(c, y, x - 1), kLanes, copied.data() + shape.in.at(c, y, x));
          }
        }
      }
      kernels().activate(shape, affine, copied.data(), residual, out);
    };
  });
  CHECK_PASSES(mustCatch(wrong, poolCheck));
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

using AveragePool = decltype(Kernels::averagePool);

TEST("caught: an average pool with wrong windows") {
  const AveragePool wrongs[] = {
      // They start in the border.
      [](const ConvolutionShape& shape, const float* plane, float* out) {
        const Map& in = shape.in;
        ConvolutionShape wide = shape;
        wide.in = {in.channels, in.height + 2 * in.border, in.width + 2 * in.border, 0};
        kernels().averagePool(wide, plane, out);
      },
      // They lack their last column.
      [](const ConvolutionShape& shape, const float* plane, float* out) {
        ConvolutionShape narrow = shape;
        --narrow.kernelWidth;
        kernels().averagePool(narrow, plane, out);
      },
      // Their rows and columns are mixed up.
      [](const ConvolutionShape& shape, const float* plane, float* out) {
        ConvolutionShape transposed = shape;
        transposed.kernelHeight = shape.kernelWidth;
        transposed.kernelWidth = shape.kernelHeight;
        kernels().averagePool(transposed, plane, out);
      },
      // They are one pixel apart.
      [](const ConvolutionShape& shape, const float* plane, float* out) {
        ConvolutionShape dense = shape;
        dense.stride = 1;
        kernels().averagePool(dense, plane, out);
      },
      // They leave the first row instead of the last.
      [](const ConvolutionShape& shape, const float* plane, float* out) {
        kernels().averagePool(shape, plane + shape.in.rowStride(), out);
      },
  };
  for (const AveragePool wrong : wrongs) {
    CHECK_PASSES(mustCatch(broken([&](Kernels& table) { table.averagePool = wrong; }), averagePoolCheck));
  }
}

TEST("caught: an average pool that divides by the map's size, and one that writes its border") {
  const AveragePool wrongs[] = {
      [](const ConvolutionShape& shape, const float* plane, float* out) {
        kernels().averagePool(shape, plane, out);
        const int window = shape.kernelHeight * shape.kernelWidth, pixels = shape.in.height * shape.in.width;
        for (int y = 0; y < shape.out.height; ++y) {
          float* row = out + shape.out.at(0, y, 0);
          for (int i = 0; i < shape.out.width * kLanes; ++i) row[i] *= static_cast<float>(window) / pixels;
        }
      },
      [](const ConvolutionShape& shape, const float* plane, float* out) {
        kernels().averagePool(shape, plane, out);
        out[shape.out.at(0, 1, shape.out.width)] = 0;
      },
  };
  for (const AveragePool wrong : wrongs) {
    CHECK_PASSES(mustCatch(broken([&](Kernels& table) { table.averagePool = wrong; }), averagePoolCheck));
  }
}

}  // namespace
}  // namespace deepzero::test
