// The unperturbed pass as queries that carry changes start from it: computed in double, kept in float.
//
// A ReLU should open in float exactly where it does in double. So where only batch norms read a value, it is kept as
// its distance from where the ReLU behind the first of them opens, unless that is far from all values; and a sum with a
// residual is kept as it is. Near zero, where it matters, a float is exact. All else is rounded.
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

  // Of a value whose base is kept: its distance from the channel's center, 0 unless only batch norms read it.
  const float* base(int value, int channel, int block) const {
    return bases_.at(value, block) + channel * plan_.map(value).planeStride();
  }
  // What an activation with a residual sums up, before floor and pool, in a map like its input's.
  const float* sum(const Step& step, int channel, int block) const {
    return sums_.at(step.output, block) + channel * plan_.map(step.inputs[0]).planeStride();
  }

  // What a batch norm did to a channel.
  struct Normalisation {
    double mean = 0, variance = 0;
    double offset = 0;           // the center minus the mean
    float scale = 1, shift = 0;  // of distances from the center
  };
  // By channel; of an activation without batch norm, nothing is done.
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
