// Which rank makes which queries of an estimate.
#pragma once

#include <cstddef>
#include <vector>

#include "estimators/estimators.hpp"
#include "runtime/engine.hpp"

namespace deepzero {

// For each rank the places of its coordinates in the options, in the order of the coordinates. Of every tensor a rank
// has a run of neighbours, who share cached data: ⌊n/R⌋ of n. What remains goes, one each, to the ranks with the least
// work so far. Tensors with the dearest queries come first, so that cheap ones even out what is left.
std::vector<std::vector<std::size_t>> sharesOf(const Engine& engine, const CoordinatewiseOptions& options, int ranks);

// Of `count` neighbours those of a rank.
Range rangeOf(std::size_t count, int rank, int ranks);

}  // namespace deepzero
