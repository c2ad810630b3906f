// Deliberately wrong Winograd kernels: the check passes the real one and must catch the mistake made in a copy of it.
#include <algorithm>
#include <cstring>
#include <vector>

#include "wrong_kernels.hpp"

namespace deepzero::test {
namespace {

ConvolutionCase winogradCase() {
  ConvolutionCase given;
  given.height = 12;
  given.width = 12;
  return given;
}

std::string winogradCheck(const Kernels& table) { return checkWinograd(table, winogradCase()); }

// Runs the real kernel with other weights.
template <typename Change>
void winogradWith(const ConvolutionShape& shape, const float* in, const float* weights, const Epilogue& epilogue,
                  float* scratch, float* out, Change change) {
  std::vector<float> changed(weights, weights + shape.winogradSize());
  change(changed);
  kernels().winograd(shape, in, changed.data(), epilogue, scratch, out);
}

TEST("caught: a Winograd that drops its last frequency, or rounds its weights to sixteen bits") {
  const Kernels wrong = broken([](Kernels& table) {
    table.winograd = [](const ConvolutionShape& shape, const float* in, const float* weights, const Epilogue& epilogue,
                        float* scratch, float* out) {
      winogradWith(shape, in, weights, epilogue, scratch, out, [](std::vector<float>& changed) {
        std::fill(changed.end() - static_cast<std::ptrdiff_t>(changed.size() / 36), changed.end(), 0.0f);
      });
    };
  });
  CHECK_PASSES(mustCatch(wrong, winogradCheck));

  const Kernels rounded = broken([](Kernels& table) {
    table.winograd = [](const ConvolutionShape& shape, const float* in, const float* weights, const Epilogue& epilogue,
                        float* scratch, float* out) {
      winogradWith(shape, in, weights, epilogue, scratch, out, [](std::vector<float>& changed) {
        for (float& weight : changed) {
          std::uint32_t bits;
          std::memcpy(&bits, &weight, sizeof bits);
          bits &= 0xFFFF0000u;
          std::memcpy(&weight, &bits, sizeof bits);
        }
      });
    };
  });
  CHECK_PASSES(mustCatch(rounded, winogradCheck));
}

TEST("caught: a Winograd that skips its last odd tile, or writes beyond its scratch") {
  const Kernels wrong = broken([](Kernels& table) {
    table.winograd = [](const ConvolutionShape& shape, const float* in, const float* weights, const Epilogue& epilogue,
                        float* scratch, float* out) {
      std::vector<float> whole(shape.out.size());
      kernels().winograd(shape, in, weights, epilogue, scratch, whole.data());
      const int columns = shape.out.width / 4, tiles = columns * (shape.out.height / 4);
      for (int o = 0; o < shape.out.channels; ++o) {
        for (int tile = 0; tile < tiles / kWinogradTiles * kWinogradTiles; ++tile) {
          for (int y = 0; y < 4; ++y) {
            const std::ptrdiff_t at = shape.out.at(o, tile / columns * 4 + y, tile % columns * 4);
            std::copy_n(whole.data() + at, 4 * kLanes, out + at);
          }
        }
      }
    };
  });
  CHECK_PASSES(mustCatch(wrong, winogradCheck));

  const Kernels beyond = broken([](Kernels& table) {
    table.winograd = [](const ConvolutionShape& shape, const float* in, const float* weights, const Epilogue& epilogue,
                        float* scratch, float* out) {
      kernels().winograd(shape, in, weights, epilogue, scratch, out);
      scratch[shape.winogradScratch()] = 0;
    };
  });
  CHECK_PASSES(mustCatch(beyond, winogradCheck));
}

TEST("caught: a Winograd that never adds, or without its bias") {
  const Kernels replacing = broken([](Kernels& table) {
    table.winograd = [](const ConvolutionShape& shape, const float* in, const float* weights, const Epilogue& epilogue,
                        float* scratch, float* out) {
      kernels().winograd(shape, in, weights, {epilogue.bias, false}, scratch, out);
    };
  });
  CHECK_PASSES(mustCatch(replacing, winogradCheck));
  const Kernels without = broken([](Kernels& table) {
    table.winograd = [](const ConvolutionShape& shape, const float* in, const float* weights, const Epilogue& epilogue,
                        float* scratch, float* out) {
      kernels().winograd(shape, in, weights, {nullptr, epilogue.add}, scratch, out);
    };
  });
  CHECK_PASSES(mustCatch(without, winogradCheck));
}

}  // namespace
}  // namespace deepzero::test
