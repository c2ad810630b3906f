// The unperturbed values that changes are computed from: computed in double, stored in float.
//
// A ReLU should open in float exactly where it does in double. So a value that only batch norms read is stored as its
// distance from the value at which the ReLU behind the first of them opens, unless that is far from all values; and a
// sum with a residual is stored before its ReLU. Near zero, where the sign matters, a float is precise. All other
// values are rounded.
#pragma once

#include <cstddef>
#include <vector>

#include "network/arena.hpp"
#include "network/pass.hpp"
#include "network/plan/plan.hpp"
#include "network/problem.hpp"

namespace deepzero {

class ChangeBase : public ObserverOf<double> {
 public:
  ChangeBase(const Graph& graph, const Plan& plan, int blocks);

  void beforeSegment(const Float64Pass& pass, const Segment& segment, const Problem& problem) override;
  void beforeStep(const Float64Pass& pass, int step, int block, const double* in, const double* residual) override;

  // A plane of a value in Plan::bases(): distances from the channel's center, which is 0 unless Plan::centered().
  const float* base(int value, int channel, int block) const {
    return bases_.at(value, block) + channel * plan_.map(value).planeStride();
  }
  // A plane of the sum of an activation with a residual, before nonlinearity and pool, in a map like its input's.
  const float* sum(const Step& step, int channel, int block) const {
    return sums_.at(step.output, block) + channel * plan_.map(step.inputs[0]).planeStride();
  }

  // How a batch norm transformed a channel.
  struct Normalisation {
    double mean = 0, variance = 0;
    double offset = 0;           // the center minus the mean
    float scale = 1, shift = 0;  // of distances from the center
  };
  // By channel; the identity for an activation without batch norm.
  const Normalisation* normalisation(const Step& step) const {
    return (step.operation >= 0 ? normalisations_[step.operation] : identity_).data();
  }

 private:
  const Plan& plan_;
  Arena bases_, sums_;
  std::vector<std::vector<double>> centers_;                // by value, per channel; empty for 0
  std::vector<std::vector<Normalisation>> normalisations_;  // by operation, per channel; of batch norms
  std::vector<Normalisation> identity_;
};

}  // namespace deepzero
