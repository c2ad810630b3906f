// How the rollouts of an estimate lie in blocks of sixteen lanes, and which rank makes which.
#pragma once

#include <cstddef>
#include <vector>

#include "estimators/estimators.hpp"

namespace deepzero {

// The losses of an estimate's queries, [query][side][trajectory], one behind the other.
struct LossRow {
  std::size_t trajectories = 1;
  std::size_t perQuery = 1;  // sides · trajectories
  std::size_t count = 0;
  // Losses that may share blocks, counted from the first: all of CGE's, those along one direction of RGE's.
  std::size_t together = 1;
};

LossRow rowOf(const CoordinatewiseOptions& options, int trajectories);
LossRow rowOf(const RandomizedOptions& options, int trajectories);

// The tasks of a part of a row, in blocks: the first `unperturbed` trajectories under the network itself, which may
// share blocks with any query's, then the part's losses.
class Blocks {
 public:
  Blocks(const LossRow& row, Range losses, std::size_t unperturbed);

  std::size_t count() const;
  // The tasks of a block, at most kLanes.
  Range at(std::size_t block) const;
  // How many losses the first so many blocks make.
  std::size_t lossesOf(std::size_t blocks) const;

 private:
  std::size_t together_, unperturbed_;
  std::size_t front_;  // tasks before the first end of losses that may share blocks
  std::size_t total_;
};

// The losses of each rank, which are neighbours and need not begin with a query. Rank 0 makes the unperturbed
// evaluation too, and each other one that has losses a rollout of its first trajectory, by which ranks are compared.
// The rank with most blocks has as few as can be, since a network takes as long for one lane as for all; and then the
// one with most rollouts, since a simulator may take longer for more.
std::vector<Range> lossShares(const LossRow& row, int ranks);

}  // namespace deepzero
