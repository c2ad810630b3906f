// A compiled network with its buffers: the passes that estimators are made of.
#pragma once

#include <memory>
#include <vector>

#include "network/backward/backward_pass.hpp"
#include "network/changes/change_base.hpp"
#include "network/changes/change_pass.hpp"
#include "network/changes/input_products.hpp"
#include "network/changes/loss_change.hpp"
#include "network/pass.hpp"
#include "network/plan/graph.hpp"
#include "network/plan/plan.hpp"
#include "network/problem.hpp"
#include "network/weights.hpp"
#include "runtime/results.hpp"
#include "support/control.hpp"

namespace deepzero {

// Of activations and their gradients: float32 or float64.
enum class Precision { Single, Double };

// What queries compute: the perturbed values, or what the perturbation of one parameter, or of all, changes of them;
// None where there are no queries. Instead of queries, back-propagation in either precision.
enum class QueryKind { None, Values, Changes, AllChange, Gradient, Float64Gradient };

// Not thread-safe, one computation at a time; each uses as many threads as its Control says.
class Engine {
 public:
  Engine(Graph graph, const Kernels& kernels);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const Graph& graph() const { return graph_; }
  const Plan& plan() const { return plan_; }
  const Kernels& kernels() const { return kernels_; }

  // One forward pass over the batch.
  Evaluation evaluate(const Problem& problem, const Control& control);

  static QueryKind kindOf(Precision precision) {
    return precision == Precision::Single ? QueryKind::Gradient : QueryKind::Float64Gradient;
  }
  // One forward pass, and ∂loss/∂parameters by back-propagation through it.
  Gradient gradient(const Problem& problem, const Control& control, Precision precision);

  // The unperturbed pass, its stored values kept; then each thread's queries, of this kind, start from them. Of
  // AllChange, `queries` says about how many: many are worth more preparation.
  Evaluation begin(const Problem& problem, const Control& control, QueryKind kind, std::size_t queries = 1);

  // A thread's own copy of the parameters, equal to the problem's after begin().
  Weights& weights(int thread) { return valueQueries_[thread]->weights; }
  // The mean loss under that copy, of a pass restarted at segment `from` >= 1. NaN if stopped.
  double lossFrom(int thread, int from, const Problem& problem, const Control& control);

  // The change of the mean loss when one parameter changes by `step`. NaN if stopped.
  double lossChange(int thread, std::size_t coordinate, float step, const Problem& problem, const Control& control);
  // The same when every parameter changes by its entry of `steps`.
  double lossChange(int thread, const float* steps, const Problem& problem, const Control& control);

  // Frees the buffers; the next computation allocates them again.
  void release();

  // Bytes that evaluate(), gradient() or, with queries, begin() and what follows it allocate on `count` images with
  // nothing there from before: of what they compute with and of the result, but for some bytes a channel. Nothing is
  // allocated.
  std::size_t footprint(QueryKind kind, int count, int threads) const;

 private:
  struct ValueQuery {
    Weights weights;
    Pass pass;
  };
  struct ChangeQuery {
    std::unique_ptr<Weights> steps;
    ChangePass pass;
  };
  template <typename Scalar>
  struct BackPropagation {
    PassOf<Scalar> pass;
    BackwardPassOf<Scalar> backward;
  };
  void reserve(QueryKind kind, int count, int threads);
  template <typename Scalar>
  void reserveGradient(std::unique_ptr<BackPropagation<Scalar>>& made, std::vector<WorkspaceOf<Scalar>>& workspaces,
                       int threads);
  template <typename Scalar>
  Gradient gradient(BackPropagation<Scalar>& passes, std::vector<WorkspaceOf<Scalar>>& workspaces,
                    const Problem& problem, const Control& control);
  void reserveValueQueries(int count);
  void reserveScratch(int threads);
  void reserveChangeQueries(int count, bool allChange);
  Evaluation beginValues(const Problem& problem, const Control& control);
  Evaluation beginChanges(const Problem& problem, const Control& control);

  Graph graph_;
  Plan plan_;
  const Kernels& kernels_;
  int blocks_ = 0;
  std::unique_ptr<Weights> unperturbed_;
  std::unique_ptr<Pass> base_;               // of values
  std::unique_ptr<ChangeBase> changeBase_;   // of changes
  std::unique_ptr<InputProducts> products_;  // where all change
  // What the pass in double and, after it, each thread's changes are stored in: a double is as long as two threads'.
  Aligned<double> scratch_;
  std::unique_ptr<Float64Pass> float64Pass_;
  std::unique_ptr<LossChange> lossBase_;
  std::unique_ptr<Weights> transposed_;
  std::unique_ptr<BackPropagation<float>> backPropagation_;
  std::unique_ptr<BackPropagation<double>> float64BackPropagation_;
  // By thread.
  std::vector<std::unique_ptr<ValueQuery>> valueQueries_;
  std::vector<std::unique_ptr<ChangeQuery>> changeQueries_;
  std::vector<Workspace> workspaces_;
  std::vector<WorkspaceOf<double>> float64Workspaces_;
};

}  // namespace deepzero
