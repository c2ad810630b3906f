#include "rollouts/blocks.hpp"

#include <algorithm>

#include "kernels/kernels.hpp"
#include "support/aligned.hpp"

namespace deepzero {

namespace {

constexpr std::size_t kWidth = kLanes;

std::size_t blocksOf(std::size_t tasks) { return (tasks + kWidth - 1) / kWidth; }

// How many losses, from `first` on, fit into so many blocks behind the unperturbed rollouts.
std::size_t lossesWithin(const LossRow& row, std::size_t first, std::size_t unperturbed, std::size_t blocks) {
  const std::size_t left = row.count - first;
  const std::size_t front = unperturbed + std::min(left, row.together - first % row.together);
  std::size_t tasks = std::min(front, blocks * kWidth);
  if (blocks > blocksOf(front)) {
    const std::size_t more = blocks - blocksOf(front), each = blocksOf(row.together);
    tasks = front + more / each * row.together + more % each * kWidth;
  }
  return std::min(left, std::max(tasks, unperturbed) - unperturbed);
}

// Gives each rank in turn what fits into so many blocks and rollouts; whether that is all.
bool share(const LossRow& row, std::size_t blocks, std::size_t rollouts, std::vector<Range>& shares) {
  std::size_t next = 0;
  for (std::size_t rank = 0; rank < shares.size(); ++rank) {
    const std::size_t unperturbed = rank == 0 ? row.trajectories : 1;
    const std::size_t most = std::max(rollouts, unperturbed) - unperturbed;
    shares[rank] = {next, std::min(most, lossesWithin(row, next, unperturbed, blocks))};
    next += shares[rank].count;
  }
  return next == row.count;
}

}  // namespace

LossRow rowOf(const CoordinatewiseOptions& options, int trajectories) {
  LossRow row;
  row.trajectories = trajectories;
  row.perQuery = row.trajectories * (options.central ? 2 : 1);
  row.count = checkedTimes(options.count, row.perQuery);
  row.together = std::max<std::size_t>(row.count, 1);
  return row;
}

LossRow rowOf(const RandomizedOptions& options, int trajectories) {
  LossRow row;
  row.trajectories = trajectories;
  row.perQuery = row.trajectories * (options.central ? 2 : 1);
  row.count = checkedTimes(options.queries, row.perQuery);
  row.together = row.perQuery;
  return row;
}

Blocks::Blocks(const LossRow& row, Range losses, std::size_t unperturbed)
    : together_(row.together),
      unperturbed_(unperturbed),
      front_(unperturbed + std::min(losses.count, row.together - losses.first % row.together)),
      total_(unperturbed + losses.count) {}

std::size_t Blocks::count() const {
  const std::size_t behind = total_ - front_;
  return blocksOf(front_) + behind / together_ * blocksOf(together_) + blocksOf(behind % together_);
}

Range Blocks::at(std::size_t block) const {
  std::size_t first = block * kWidth, end = front_;
  if (block >= blocksOf(front_)) {
    const std::size_t behind = block - blocksOf(front_), each = blocksOf(together_);
    const std::size_t start = front_ + behind / each * together_;
    first = start + behind % each * kWidth;
    end = std::min(start + together_, total_);
  }
  return {first, std::min(kWidth, end - first)};
}

std::size_t Blocks::lossesOf(std::size_t blocks) const {
  if (blocks == 0) return 0;
  const Range last = at(blocks - 1);
  return std::max(last.first + last.count, unperturbed_) - unperturbed_;
}

std::vector<Range> lossShares(const LossRow& row, int ranks) {
  std::vector<Range> shares(ranks);
  const std::size_t alone = Blocks(row, {0, row.count}, row.trajectories).count();
  std::size_t blocks = std::max(alone / ranks, blocksOf(row.trajectories));
  while (!share(row, blocks, blocks * kWidth, shares)) ++blocks;
  std::size_t few = 0, enough = blocks * kWidth;
  while (enough - few > 1) {
    const std::size_t middle = few + (enough - few) / 2;
    (share(row, blocks, middle, shares) ? enough : few) = middle;
  }
  share(row, blocks, enough, shares);
  return shares;
}

}  // namespace deepzero
