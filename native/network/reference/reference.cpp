#include "network/reference/reference.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace deepzero {
namespace {

// Runs body(0) … body(count − 1) on all threads; the bodies are independent and must not throw.
template <typename Body>
void forEach(std::size_t count, const Control& control, const Body& body) {
#pragma omp parallel for num_threads(control.threads) schedule(dynamic)
  for (std::size_t i = 0; i < count; ++i) {
    if (!control.stop()) body(i);
  }
  if (control.stop()) throw Cancelled();
}

inline void accumulateRow(int first, int last, double weight, const double* in, int stride, int shift, double* out) {
#pragma omp simd
  for (int x = first; x < last; ++x) out[x] += weight * in[x * stride + shift];
}

// One output plane; `weights` are this output channel's, [input channel][row][column].
void convolutionPlane(const Operation& operation, const Shape& inShape, const double* in, const double* weights,
                      double bias, const Shape& outShape, double* out) {
  const int stride = operation.stride;
  std::fill_n(out, outShape.height * outShape.width, bias);
  for (int channel = 0; channel < inShape.channels; ++channel, in += inShape.height * inShape.width) {
    for (int i = 0; i < operation.kernelHeight; ++i) {
      for (int j = 0; j < operation.kernelWidth; ++j) {
        const double weight = *weights++;
        // Output columns whose tap lies inside the input: 0 <= x·stride + shift < width.
        const int shift = j - operation.padding;
        const int first = shift < 0 ? (stride - 1 - shift) / stride : 0;
        const int last = std::min(outShape.width, (inShape.width - shift + stride - 1) / stride);
        for (int y = 0; y < outShape.height; ++y) {
          const int row = y * stride + i - operation.padding;
          if (row < 0 || row >= inShape.height) continue;
          const double* inRow = in + row * inShape.width;
          double* outRow = out + y * outShape.width;
          // A constant stride of 1 lets the compiler vectorise along the row.
          if (stride == 1) {
            accumulateRow(first, last, weight, inRow, 1, shift, outRow);
          } else {
            accumulateRow(first, last, weight, inRow, stride, shift, outRow);
          }
        }
      }
    }
  }
}

double maxOfWindow(const double* in, int rowStride, int kernel) {
  double best = in[0];
  for (int i = 0; i < kernel; ++i) {
    for (int j = 0; j < kernel; ++j) {
      const double value = in[i * rowStride + j];
      if (value > best || std::isnan(value)) best = value;
    }
  }
  return best;
}

double meanOfWindow(const double* in, int rowStride, int kernelHeight, int kernelWidth) {
  double sum = 0;
  for (int i = 0; i < kernelHeight; ++i) {
    for (int j = 0; j < kernelWidth; ++j) sum += in[i * rowStride + j];
  }
  return sum / (static_cast<double>(kernelHeight) * kernelWidth);
}

// One forward pass; the next one reuses its buffers without allocating.
class ReferencePass {
 public:
  ReferencePass(const Graph& graph, const Problem& problem, const Control& control)
      : graph_(graph), problem_(problem), control_(control) {
    for (const Shape& shape : graph.shapes()) {
      if (control.stop()) throw Cancelled();
      result_.values.emplace_back(problem.count * shape.size());
    }
    if (problem.images != nullptr) {
      std::copy_n(problem.images, result_.values[0].size(), result_.values[0].begin());
    }
  }

  // The loss, finite or not.
  double evaluate(const std::vector<double>& parameters) {
    forward(parameters);
    return result_.loss = loss();
  }

  // Computes all values from the input's.
  void forward(const std::vector<double>& parameters) {
    result_.statistics.assign(problem_.statistics, problem_.statistics + graph_.statisticsCount());
    for (int i = 0; i < static_cast<int>(graph_.operations().size()); ++i) {
      if (graph_.operations()[i].kind == Kind::BatchNorm) {
        batchNorm(i, parameters);
      } else {
        const std::size_t channels = graph_.shapes()[i + 1].channels;
        forEach(problem_.count * channels, control_,
                [&](std::size_t task) { plane(i, parameters, task / channels, static_cast<int>(task % channels)); });
      }
    }
  }

  ReferenceEvaluation& result() { return result_; }

 private:
  // The operation's weights and biases; null where it has none.
  const double* tensor(int number, const std::vector<double>& parameters) const {
    return number < 0 ? nullptr : parameters.data() + graph_.parameters()[number].offset;
  }

  // Computes one channel of one image of an operation's output.
  void plane(int number, const std::vector<double>& parameters, std::size_t image, int channel) {
    const Operation& operation = graph_.operations()[number];
    const Shape& inShape = graph_.shapes()[operation.inputs[0]];
    const Shape& outShape = graph_.shapes()[number + 1];
    const double* in = result_.values[operation.inputs[0]].data() + image * inShape.size();
    const int inPixels = inShape.height * inShape.width;
    const int pixels = outShape.height * outShape.width;
    const std::size_t offset = image * outShape.size() + static_cast<std::size_t>(channel) * pixels;
    double* out = result_.values[number + 1].data() + offset;
    const double* weights = tensor(graph_.weightOf(number), parameters);
    const double* biases = tensor(graph_.biasOf(number), parameters);
    const double bias = biases == nullptr ? 0 : biases[channel];

    switch (operation.kind) {
      case Kind::Convolution: {
        const std::size_t taps =
            static_cast<std::size_t>(inShape.channels) * operation.kernelHeight * operation.kernelWidth;
        convolutionPlane(operation, inShape, in, weights + channel * taps, bias, outShape, out);
        break;
      }
      case Kind::Linear: {
        const double* row = weights + channel * inShape.size();
        *out = bias;
        for (std::size_t j = 0; j < inShape.size(); ++j) *out += row[j] * in[j];
        break;
      }
      case Kind::Relu:
        // NaN fails the comparison and passes.
        for (int p = 0; p < pixels; ++p) out[p] = in[channel * pixels + p] < 0 ? 0 : in[channel * pixels + p];
        break;
      case Kind::LeakyRelu:
        for (int p = 0; p < pixels; ++p) {
          const double z = in[channel * pixels + p];
          out[p] = z > 0 ? z : operation.slope * z;
        }
        break;
      case Kind::Tanh:
        for (int p = 0; p < pixels; ++p) out[p] = std::tanh(in[channel * pixels + p]);
        break;
      case Kind::Add: {
        const double* other = result_.values[operation.inputs[1]].data() + offset;
        for (int p = 0; p < pixels; ++p) out[p] = in[channel * pixels + p] + other[p];
        break;
      }
      case Kind::OptionA: {
        const int source = channel - (outShape.channels - inShape.channels) / 2;
        const bool padded = source < 0 || source >= inShape.channels;
        for (int p = 0; p < pixels; ++p) {
          const int row = p / outShape.width * operation.stride;
          const int column = p % outShape.width * operation.stride;
          out[p] = padded ? 0 : in[source * inPixels + row * inShape.width + column];
        }
        break;
      }
      case Kind::MaxPool:
        for (int p = 0; p < pixels; ++p) {
          const int row = p / outShape.width * operation.stride;
          const int column = p % outShape.width * operation.stride;
          const double* window = in + channel * inPixels + row * inShape.width + column;
          out[p] = maxOfWindow(window, inShape.width, operation.kernel);
        }
        break;
      case Kind::AveragePool:
        for (int p = 0; p < pixels; ++p) {
          const int row = p / outShape.width * operation.stride;
          const int column = p % outShape.width * operation.stride;
          const double* window = in + channel * inPixels + row * inShape.width + column;
          out[p] = meanOfWindow(window, inShape.width, operation.kernelHeight, operation.kernelWidth);
        }
        break;
      case Kind::Flatten: *out = in[channel]; break;
      case Kind::BatchNorm: break;  // not a function of one image
    }
  }

  // PyTorch's: the batch's biased variance normalises, its unbiased one enters the running variance.
  void batchNorm(int number, const std::vector<double>& parameters) {
    const Operation& operation = graph_.operations()[number];
    const Shape& shape = graph_.shapes()[number + 1];
    const std::vector<double>& in = result_.values[operation.inputs[0]];
    std::vector<double>& out = result_.values[number + 1];
    const double* gamma = tensor(graph_.weightOf(number), parameters);
    const double* beta = tensor(graph_.biasOf(number), parameters);
    double* runningMean = result_.statistics.data() + graph_.statisticsOffset(number);
    double* runningVariance = runningMean + shape.channels;
    const std::size_t pixels = static_cast<std::size_t>(shape.height) * shape.width;

    forEach(shape.channels, control_, [&](std::size_t channel) {
      const auto forEachElement = [&](const auto& body) {
        for (int image = 0; image < problem_.count; ++image) {
          const std::size_t start = image * shape.size() + channel * pixels;
          for (std::size_t p = start; p < start + pixels; ++p) body(p);
        }
      };
      double mean = runningMean[channel];
      double variance = runningVariance[channel];
      if (problem_.training) {
        const double elements = static_cast<double>(problem_.count * pixels);
        double sum = 0;
        forEachElement([&](std::size_t p) { sum += in[p]; });
        mean = sum / elements;
        double squares = 0;
        forEachElement([&](std::size_t p) { squares += (in[p] - mean) * (in[p] - mean); });
        variance = squares / elements;
        const double momentum = 0.1;
        runningMean[channel] += momentum * (mean - runningMean[channel]);
        // A single element has no unbiased variance; its squares are 0.
        runningVariance[channel] += momentum * (squares / std::max(elements - 1, 1.0) - runningVariance[channel]);
      }
      const double scale = gamma[channel] / std::sqrt(variance + operation.epsilon);
      forEachElement([&](std::size_t p) { out[p] = (in[p] - mean) * scale + beta[channel]; });
    });
  }

  double loss() const {
    const std::vector<double>& outputs = result_.values.back();
    const std::size_t width = graph_.output().size();
    double sum = 0;
    if (problem_.loss == Loss::None) {
      for (const double output : outputs) sum += output - output;
      return sum;
    }
    if (problem_.loss == Loss::CrossEntropy) {
      for (int image = 0; image < problem_.count; ++image) {
        const double* logits = outputs.data() + image * width;
        const double largest = *std::max_element(logits, logits + width);
        double exponentials = 0;
        for (std::size_t k = 0; k < width; ++k) exponentials += std::exp(logits[k] - largest);
        sum += largest + std::log(exponentials) - logits[problem_.labels[image]];
      }
      return sum / problem_.count;
    }
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      const double difference = outputs[k] - problem_.targets[k];
      sum += problem_.loss == Loss::MeanSquaredError ? difference * difference : std::abs(difference);
    }
    return sum / static_cast<double>(outputs.size());
  }

  const Graph& graph_;
  const Problem& problem_;
  const Control& control_;
  ReferenceEvaluation result_;
};

}  // namespace

ReferenceEvaluation referenceEvaluate(const Graph& graph, const Problem& problem, const std::vector<double>& parameters,
                                      const Control& control) {
  ReferencePass pass(graph, problem, control);
  if (!std::isfinite(pass.evaluate(parameters))) throw NonFinite(-1);
  return std::move(pass.result());
}

std::vector<double> referenceForward(const Graph& graph, const std::vector<double>& parameters,
                                     const std::vector<double>& input, const Control& control) {
  Problem problem;
  problem.count = 1;
  ReferencePass pass(graph, problem, control);
  pass.result().values[0] = input;
  pass.forward(parameters);
  return std::move(pass.result().values.back());
}

std::size_t referenceBytes(const Graph& graph, int count, std::size_t coordinates) {
  std::size_t numbers = graph.parameterCount() + graph.statisticsCount() + coordinates;
  for (const Shape& shape : graph.shapes()) numbers += count * shape.size();
  return numbers * sizeof(double);
}

namespace {

// Evaluates the loss at θ and then at θ + μeᵢ and, if central, at θ − μeᵢ for each coordinate. After each calls
// `visit(position, side, result)`; −1 is θ's position.
template <typename Visit>
void evaluateAlong(const Graph& graph, const Problem& problem, const std::uint32_t* coordinates, std::size_t count,
                   double mu, bool central, const Control& control, Visit visit) {
  std::vector<double> parameters(problem.parameters, problem.parameters + graph.parameterCount());
  const std::size_t total = 1 + count * (central ? 2 : 1);
  std::size_t done = 0;
  ReferencePass pass(graph, problem, control);
  const auto query = [&](std::ptrdiff_t position, int side) {
    if (!std::isfinite(pass.evaluate(parameters))) throw NonFinite(position < 0 ? -1LL : coordinates[position]);
    if (control.progress) control.progress(++done, total);
    visit(position, side, pass.result());
  };
  query(-1, 0);
  for (std::size_t i = 0; i < count; ++i) {
    double& parameter = parameters[coordinates[i]];
    const double unperturbed = parameter;
    for (int side = 0; side < (central ? 2 : 1); ++side) {
      parameter = side == 0 ? unperturbed + mu : unperturbed - mu;
      query(static_cast<std::ptrdiff_t>(i), side);
    }
    parameter = unperturbed;
  }
}

}  // namespace

std::vector<double> referenceCoordinatewise(const Graph& graph, const Problem& problem,
                                            const std::uint32_t* coordinates, std::size_t count, double mu,
                                            bool central, const Control& control, double* loss) {
  double base = 0, above = 0;
  std::vector<double> values;
  values.reserve(count);
  evaluateAlong(graph, problem, coordinates, count, mu, central, control,
                [&](std::ptrdiff_t position, int side, const ReferenceEvaluation& result) {
                  if (position < 0) {
                    base = result.loss;
                  } else if (central && side == 0) {
                    above = result.loss;
                  } else {
                    values.push_back(central ? (above - result.loss) / (2 * mu) : (result.loss - base) / mu);
                  }
                });
  if (loss != nullptr) *loss = base;
  return values;
}

void referenceOutputs(const Graph& graph, const Problem& problem, const std::uint32_t* coordinates, std::size_t count,
                      double mu, bool central, const Control& control, double* unperturbed, double* perturbed) {
  evaluateAlong(graph, problem, coordinates, count, mu, central, control,
                [&](std::ptrdiff_t position, int, const ReferenceEvaluation& result) {
                  const std::vector<double>& outputs = result.values.back();
                  if (position < 0) {
                    std::copy(outputs.begin(), outputs.end(), unperturbed);
                  } else {
                    perturbed = std::copy(outputs.begin(), outputs.end(), perturbed);
                  }
                });
}

}  // namespace deepzero
