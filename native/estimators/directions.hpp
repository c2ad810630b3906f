// Random directions over all parameters. Any part of one can be drawn alone.
#pragma once

#include <cstddef>
#include <vector>

#include "estimators/estimators.hpp"
#include "network/plan/graph.hpp"

namespace deepzero {

class Directions {
 public:
  Directions(const Graph& graph, const RandomizedOptions& options) : graph_(graph), options_(options) {}

  // Entries [first, first + count) of query `query`'s direction before normalisation; `first` is a multiple of 4.
  void draw(std::size_t query, std::size_t first, std::size_t count, double* out) const;
  // Whether any of the factors below may differ from 1.
  bool normalised() const { return options_.distribution == Distribution::Sphere || options_.perTensor; }
  // The factor that normalises the entries of each parameter tensor: 1, or 1 over a norm. Reads no entries unless
  // normalised().
  std::vector<double> factors(const double* direction) const;
  void factors(const double* direction, double* out) const;

 private:
  const Graph& graph_;
  const RandomizedOptions& options_;
};

}  // namespace deepzero
