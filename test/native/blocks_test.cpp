// Blocks of rollouts, and how ranks share them.
#include "rollouts/blocks.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

#include "harness.hpp"
#include "ranks/commands/shares.hpp"

namespace deepzero::test {
namespace {

// Rows of CGE and of RGE, of few and of many losses.
void forRows(const std::function<void(const LossRow&)>& use) {
  for (const int trajectories : {1, 3, 15, 16, 17, 40}) {
    for (const std::size_t queries : {1, 5, 16, 33, 200}) {
      for (const bool central : {false, true}) {
        CoordinatewiseOptions coordinates;
        coordinates.central = central;
        coordinates.count = queries;
        use(rowOf(coordinates, trajectories));
        RandomizedOptions directions;
        directions.central = central;
        directions.queries = queries;
        use(rowOf(directions, trajectories));
      }
    }
  }
}

// The most blocks of a rank; `all` if each makes the whole unperturbed evaluation.
std::size_t mostBlocks(const LossRow& row, const std::vector<Range>& shares, bool all) {
  std::size_t most = 0;
  for (std::size_t rank = 0; rank < shares.size(); ++rank) {
    const std::size_t unperturbed = all || rank == 0 ? row.trajectories : 1;
    if (shares[rank].count == 0 && rank > 0) continue;
    most = std::max(most, Blocks(row, shares[rank], unperturbed).count());
  }
  return most;
}

}  // namespace

TEST("blocks hold every task once, and of losses only those that may be together") {
  forRows([](const LossRow& row) {
    const std::vector<Range> ranges{
        {0, row.count}, {0, 0}, {row.count / 3, row.count / 2}, {row.count - 1, 1}, {row.count, 0}};
    for (const Range range : ranges) {
      for (const std::size_t unperturbed : {std::size_t{0}, std::size_t{1}, row.trajectories}) {
        const Blocks blocks(row, range, unperturbed);
        std::size_t next = 0;
        for (std::size_t block = 0; block < blocks.count(); ++block) {
          const Range tasks = blocks.at(block);
          CHECK(tasks.first == next && tasks.count > 0 && tasks.count <= kLanes);
          next += tasks.count;
          CHECK(blocks.lossesOf(block + 1) == std::max(next, unperturbed) - unperturbed);
          if (next <= unperturbed) continue;
          const std::size_t first = range.first + std::max(tasks.first, unperturbed) - unperturbed;
          const std::size_t last = range.first + next - 1 - unperturbed;
          CHECK(first / row.together == last / row.together);
        }
        CHECK(next == unperturbed + range.count && blocks.lossesOf(0) == 0);
      }
    }
  });
}

TEST("coordinates and the unperturbed trajectories leave lanes idle in the last block alone") {
  forRows([](const LossRow& row) {
    const std::size_t tasks = row.trajectories + row.count;
    const Blocks blocks(row, {0, row.count}, row.trajectories);
    if (row.together == row.count) CHECK(blocks.count() == (tasks + kLanes - 1) / kLanes);
  });
}

TEST("ranks share every loss once, evenly, in no more blocks than whole queries on each would take") {
  forRows([](const LossRow& row) {
    for (const int ranks : {1, 2, 3, 5, 17, 300}) {
      const std::vector<Range> shares = lossShares(row, ranks);
      CHECK(static_cast<int>(shares.size()) == ranks);
      std::size_t next = 0;
      std::vector<Range> whole;
      for (int rank = 0; rank < ranks; ++rank) {
        CHECK(shares[rank].first == next);
        next += shares[rank].count;
        const Range queries = rangeOf(row.count / row.perQuery, rank, ranks);
        whole.push_back({queries.first * row.perQuery, queries.count * row.perQuery});
      }
      CHECK(next == row.count);
      const std::size_t most = mostBlocks(row, shares, false);
      CHECK(most <= mostBlocks(row, whole, true));
      if (row.together < row.count) continue;
      // Coordinates' rollouts are as many on every rank as can be, but for rank 0 if its own are more.
      const std::size_t tasks = row.trajectories + row.count + ranks - 1;
      std::size_t even = (tasks + ranks - 1) / ranks;
      if (row.trajectories > even) even = (row.count + ranks - 1) / std::max(1, ranks - 1) + 1;
      for (int rank = 0; rank < ranks; ++rank) {
        if (shares[rank].count > 0) CHECK(shares[rank].count + (rank == 0 ? row.trajectories : 1) <= even);
      }
      CHECK(most <= (std::max(even, row.trajectories) + kLanes - 1) / kLanes);
    }
  });
}

}  // namespace deepzero::test
