#include "network/loss.hpp"

#include <algorithm>
#include <cmath>

namespace deepzero {

namespace {

// log Σ exp(outputs) − outputs[label] of one image.
template <typename Scalar>
double crossEntropy(const Map& map, const Scalar* outputs, int lane, int label) {
  // Started from the first class, not −∞, so that a NaN anywhere reaches the result.
  double largest = outputs[map.at(0, 0, 0) + lane];
  for (int c = 1; c < map.channels; ++c) largest = std::max<double>(largest, outputs[map.at(c, 0, 0) + lane]);
  double sum = 0;
  for (int c = 0; c < map.channels; ++c) sum += std::exp(outputs[map.at(c, 0, 0) + lane] - largest);
  return std::log(sum) + largest - outputs[map.at(label, 0, 0) + lane];
}

template <typename Scalar, typename Term>
double sumOverElements(const Map& map, const Scalar* outputs, int lane, const float* targets, Term term) {
  double sum = 0;
  for (int c = 0; c < map.channels; ++c) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) {
        sum += term(static_cast<double>(outputs[map.at(c, y, x) + lane]) - *targets++);
      }
    }
  }
  return sum;
}

std::size_t elements(const Map& map) { return static_cast<std::size_t>(map.channels) * map.height * map.width; }

// 0, or NaN if an output of the image is not finite.
template <typename Scalar>
double finiteness(const Map& map, const Scalar* outputs, int lane) {
  double sum = 0;
  for (int c = 0; c < map.channels; ++c) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) sum += outputs[map.at(c, y, x) + lane] - outputs[map.at(c, y, x) + lane];
    }
  }
  return sum;
}

}  // namespace

template <typename Scalar>
double blockLoss(const Problem& problem, const Map& map, const Scalar* outputs, int block) {
  const int first = block * kLanes, lanes = lanesOf(problem, block);
  double sum = 0;
  for (int lane = 0; lane < lanes; ++lane) {
    const int image = first + lane;
    switch (problem.loss) {
      case Loss::CrossEntropy: sum += crossEntropy(map, outputs, lane, problem.labels[image]); break;
      case Loss::MeanSquaredError:
        sum += sumOverElements(map, outputs, lane, problem.targets + image * elements(map),
                               [](double error) { return error * error; });
        break;
      case Loss::MeanAbsoluteError:
        sum += sumOverElements(map, outputs, lane, problem.targets + image * elements(map),
                               [](double error) { return std::abs(error); });
        break;
      case Loss::None: sum += finiteness(map, outputs, lane); break;
    }
  }
  return sum;
}

template double blockLoss(const Problem&, const Map&, const float*, int);
template double blockLoss(const Problem&, const Map&, const double*, int);

namespace {

// d/doutput of a term of the losses over elements, from the error.
double slopeOf(Loss loss, double error) {
  if (loss == Loss::MeanSquaredError) return 2 * error;
  return error > 0 ? 1 : error < 0 ? -1 : 0;
}

// softmax − one-hot.
template <typename Scalar>
void crossEntropyGradient(const Map& map, const Scalar* outputs, int lane, int label, double count, Scalar* gradient) {
  double largest = outputs[map.at(0, 0, 0) + lane], sum = 0;
  for (int c = 1; c < map.channels; ++c) largest = std::max<double>(largest, outputs[map.at(c, 0, 0) + lane]);
  for (int c = 0; c < map.channels; ++c) sum += std::exp(outputs[map.at(c, 0, 0) + lane] - largest);
  for (int c = 0; c < map.channels; ++c) {
    const double probability = std::exp(outputs[map.at(c, 0, 0) + lane] - largest) / sum;
    gradient[c * kLanes + lane] = static_cast<Scalar>((probability - (c == label ? 1 : 0)) / count);
  }
}

}  // namespace

template <typename Scalar>
void blockLossGradient(const Problem& problem, const Map& map, const Scalar* outputs, int block, Scalar* gradient) {
  const int first = block * kLanes, lanes = lanesOf(problem, block);
  const double count = lossCount(problem, map);
  std::fill_n(gradient, elements(map) * kLanes, Scalar{0});
  if (problem.loss == Loss::None) return;
  for (int lane = 0; lane < lanes; ++lane) {
    const int image = first + lane;
    if (problem.loss == Loss::CrossEntropy) {
      crossEntropyGradient(map, outputs, lane, problem.labels[image], count, gradient);
      continue;
    }
    const float* target = problem.targets + image * elements(map);
    Scalar* to = gradient + lane;
    for (int c = 0; c < map.channels; ++c) {
      for (int y = 0; y < map.height; ++y) {
        for (int x = 0; x < map.width; ++x, ++target, to += kLanes) {
          const double error = static_cast<double>(outputs[map.at(c, y, x) + lane]) - *target;
          *to = static_cast<Scalar>(slopeOf(problem.loss, error) / count);
        }
      }
    }
  }
}

template void blockLossGradient(const Problem&, const Map&, const float*, int, float*);
template void blockLossGradient(const Problem&, const Map&, const double*, int, double*);

double lossCount(const Problem& problem, const Map& map) {
  const bool perImage = problem.loss == Loss::CrossEntropy || problem.loss == Loss::None;
  return perImage ? problem.count : problem.count * static_cast<double>(elements(map));
}

}  // namespace deepzero
