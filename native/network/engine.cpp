#include "network/engine.hpp"

#include <cmath>
#include <utility>

namespace deepzero {

Engine::Engine(Graph graph, const Kernels& kernels) : graph_(std::move(graph)), plan_(graph_), kernels_(kernels) {}

void Engine::release() {
  base_.reset();
  queries_.clear();
  locals_.clear();
}

void Engine::reserve(const Problem& problem, int threads, int queries) {
  const int blocks = (problem.count + kLanes - 1) / kLanes;
  if (blocks != blocks_) release();
  blocks_ = blocks;
  while (static_cast<int>(locals_.size()) < threads) locals_.emplace_back(plan_.locals(), 1);
  while (static_cast<int>(queries_.size()) < queries) {
    queries_.push_back(std::make_unique<Query>(
        Query{Weights(graph_, plan_), Pass(graph_, plan_, kernels_, plan_.scratch(), blocks)}));
  }
}

Evaluation Engine::result(double loss, const Pass& pass, const Problem& problem) {
  if (!std::isfinite(loss)) throw NonFinite(-1);
  Evaluation evaluation;
  evaluation.loss = loss;
  evaluation.outputs = pass.outputs(problem);
  evaluation.statistics = pass.runningStatistics(problem);
  return evaluation;
}

Evaluation Engine::evaluate(const Problem& problem, const Control& control) {
  reserve(problem, control.threads, 1);
  Query& query = *queries_[0];
  query.weights.assign(problem.parameters);
  return result(query.pass.run(problem, query.weights, locals_, control), query.pass, problem);
}

Evaluation Engine::begin(const Problem& problem, const Control& control) {
  reserve(problem, control.threads, control.threads);
  if (base_ == nullptr) base_ = std::make_unique<Pass>(graph_, plan_, kernels_, plan_.cache(), blocks_);
  for (auto& query : queries_) {
    query->weights.assign(problem.parameters);
    query->pass.restartsFrom(*base_);
  }
  return result(base_->run(problem, queries_[0]->weights, locals_, control), *base_, problem);
}

double Engine::query(int thread, int from, const Problem& problem, const Control& control) {
  Query& query = *queries_[thread];
  return query.pass.restart(from, problem, query.weights, locals_[thread], control);
}

}  // namespace deepzero
