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

}  // namespace

template <typename Scalar>
double blockLoss(const Problem& problem, const Map& map, const Scalar* outputs, int block) {
  const int first = block * kLanes, lanes = std::min(kLanes, problem.count - first);
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
    }
  }
  return sum;
}

template double blockLoss(const Problem&, const Map&, const float*, int);
template double blockLoss(const Problem&, const Map&, const double*, int);

double lossCount(const Problem& problem, const Map& map) {
  return problem.loss == Loss::CrossEntropy ? problem.count : problem.count * static_cast<double>(elements(map));
}

}  // namespace deepzero
