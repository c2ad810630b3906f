// Results of computations.
#pragma once

#include <vector>

namespace deepzero {

struct Evaluation {
  double loss = 0;                // mean over the mini-batch
  std::vector<float> outputs;     // [image][output]
  std::vector<float> statistics;  // running statistics after this mini-batch, [Graph::statisticsCount()]
};

// With ∂loss/∂parameters by back-propagation.
struct Gradient : Evaluation {
  std::vector<double> values;  // [Graph::parameterCount()]
};

}  // namespace deepzero
