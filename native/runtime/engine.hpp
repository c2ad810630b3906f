// A network with its buffers, and the passes that estimators consist of.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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

// How the queries of a computation run: on perturbed values, or on the changes that the perturbation of one parameter
// (Changes) or of all (AllChange) makes. None for a forward pass alone, Gradient and Float64Gradient for
// back-propagation.
enum class QueryKind { None, Values, Changes, AllChange, Gradient, Float64Gradient };

// Not thread-safe: one computation at a time, on as many threads as its Control says.
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
  // One forward pass, and ∂loss/∂parameters by back-propagation.
  Gradient gradient(const Problem& problem, const Control& control, Precision precision);

  // Runs the unperturbed pass, from whose stored values the queries of each thread then start. For AllChange, `queries`
  // is about how many there will be: more are worth more preparation.
  Evaluation begin(const Problem& problem, const Control& control, QueryKind kind, std::size_t queries = 1);
  // The same, unless the unperturbed pass is still there from the last computation: one that began with the same mark,
  // kind, images and threads. The caller gives equal marks for equal problems alone.
  std::optional<Evaluation> beginOnce(std::uint64_t mark, const Problem& problem, const Control& control,
                                      QueryKind kind, std::size_t queries = 1);
  // Another problem may have the same marks from now on.
  void forget();

  // A thread's copy of the parameters; begin() sets it to the problem's.
  Weights& weights(int thread) { return valueQueries_[thread]->weights; }
  // The mean loss at that copy, by a pass restarted at segment `from` >= 1; NaN if stopped.
  double lossFrom(int thread, int from, const Problem& problem, const Control& control);

  // The change of the mean loss when one parameter changes by `step`; NaN if stopped.
  double lossChange(int thread, std::size_t coordinate, float step, const Problem& problem, const Control& control);
  // The same when every parameter changes by its entry of `steps`.
  double lossChange(int thread, const float* steps, const Problem& problem, const Control& control);

  // Write outputs, `count` rows: those of the unperturbed pass that began, and of a thread's last query.
  void baseOutputs(QueryKind kind, const Problem& problem, double* rows) const;
  void outputs(QueryKind kind, int thread, const Problem& problem, double* rows) const;

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
  // What beginOnce() began.
  struct Begun {
    std::uint64_t mark = 0;
    QueryKind kind = QueryKind::None;
    int count = 0, threads = 0;

    bool operator==(const Begun& other) const {
      return mark == other.mark && kind == other.kind && count == other.count && threads == other.threads;
    }
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
  std::optional<Begun> begun_;  // if nothing was computed since
  std::unique_ptr<Weights> unperturbed_;
  std::unique_ptr<Pass> base_;               // for Values
  std::unique_ptr<ChangeBase> changeBase_;   // for Changes and AllChange
  std::unique_ptr<InputProducts> products_;  // for AllChange
  // The values of the float64 pass and, after it, the changes of the threads: two threads' floats take one double each.
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
