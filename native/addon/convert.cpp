#include "addon/convert.hpp"

#include <cmath>
#include <cstring>
#include <initializer_list>
#include <new>
#include <stdexcept>
#include <utility>

namespace deepzero {

namespace {

constexpr int kMaxThreads = 1024;
constexpr int kMaxKernelExtent = 1024;

Napi::Error expected(Napi::Env env, const std::string& what, const std::string& constraint) {
  return invalidArgument(env, "Expected " + what + " to be " + constraint);
}

Napi::Object toObject(Napi::Value value, const std::string& what) {
  if (!value.IsObject()) throw expected(value.Env(), what, "an object");
  return value.As<Napi::Object>();
}

int toInt(Napi::Object from, const char* key, int low) {
  return static_cast<int>(toInteger(from.Get(key), key, low, INT32_MAX));
}

double toFinite(Napi::Object from, const char* key) {
  const Napi::Value value = from.Get(key);
  if (!value.IsNumber() || !std::isfinite(value.As<Napi::Number>().DoubleValue())) {
    throw expected(from.Env(), key, "a finite number");
  }
  return value.As<Napi::Number>().DoubleValue();
}

bool toBoolean(Napi::Object from, const char* key) {
  const Napi::Value value = from.Get(key);
  if (!value.IsBoolean()) throw expected(from.Env(), key, "true or false");
  return value.As<Napi::Boolean>().Value();
}

// One of a list of names, each with what it stands for.
template <typename T>
T toChoice(Napi::Value value, const char* what, std::initializer_list<std::pair<const char*, T>> choices) {
  std::string names;
  for (const auto& [name, meaning] : choices) {
    if (value.IsString() && value.As<Napi::String>().Utf8Value() == name) return meaning;
    names.append(names.empty() ? "" : ", ").append(name);
  }
  throw expected(value.Env(), what, "one of " + names);
}

template <typename T>
T toChoice(Napi::Object from, const char* key, std::initializer_list<std::pair<const char*, T>> choices) {
  return toChoice(from.Get(key), key, choices);
}

// The name that Node-API has for the element type of a typed array.
template <typename T>
constexpr napi_typedarray_type kElementType = napi_float32_array;
template <>
constexpr napi_typedarray_type kElementType<std::int32_t> = napi_int32_array;
template <>
constexpr napi_typedarray_type kElementType<std::uint32_t> = napi_uint32_array;

// Copies before anything is checked: another thread may be writing to shared memory.
template <typename T>
std::vector<T> toVector(Napi::Object from, const char* key) {
  const Napi::Value value = from.Get(key);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != kElementType<T>) {
    throw expected(from.Env(), key, "a typed array of the right type");
  }
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  const std::size_t length = array.ElementLength();
  std::vector<T> result(length);
  if (length > 0) std::memcpy(result.data(), array.Data(), length * sizeof(T));
  return result;
}

template <typename T>
std::vector<T> toVector(Napi::Object from, const char* key, std::size_t length) {
  std::vector<T> result = toVector<T>(from, key);
  if (result.size() != length) {
    throw expected(from.Env(), key, std::to_string(length) + " long, received " + std::to_string(result.size()));
  }
  return result;
}

// Every element must be in [0, bound).
template <typename T>
std::vector<T> toIndices(Napi::Env env, const char* key, std::vector<T> values, std::size_t bound) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= T{0} && static_cast<std::size_t>(values[i]) < bound) continue;
    throw expected(env, std::string(key) + "[" + std::to_string(i) + "]",
                   ">= 0 and < " + std::to_string(bound) + ", received " + std::to_string(values[i]));
  }
  return values;
}

void setWindow(Operation& operation, Napi::Object from) {
  const Napi::Object kernel = toObject(from.Get("kernel"), "kernel");
  operation.kernelHeight = static_cast<int>(toInteger(kernel.Get(0u), "kernel[0]", 1, INT32_MAX));
  operation.kernelWidth = static_cast<int>(toInteger(kernel.Get(1u), "kernel[1]", 1, INT32_MAX));
  operation.stride = toInt(from, "stride", 1);
}

Operation toOperation(Napi::Object from) {
  Operation operation;
  operation.kind = toChoice<Kind>(from, "kind",
                                  {{"conv2d", Kind::Convolution},
                                   {"batchNorm", Kind::BatchNorm},
                                   {"relu", Kind::Relu},
                                   {"add", Kind::Add},
                                   {"optionA", Kind::OptionA},
                                   {"maxPool", Kind::MaxPool},
                                   {"averagePool", Kind::AveragePool},
                                   {"flatten", Kind::Flatten},
                                   {"linear", Kind::Linear}});
  const Napi::Object inputs = toObject(from.Get("inputs"), "inputs");
  operation.inputs[0] = static_cast<int>(toInteger(inputs.Get(0u), "inputs[0]", 0, INT32_MAX));
  switch (operation.kind) {
    case Kind::Convolution:
      operation.channels = toInt(from, "channels", 1);
      setWindow(operation, from);
      operation.padding = toInt(from, "padding", 0);
      operation.bias = toBoolean(from, "bias");
      break;
    case Kind::BatchNorm: operation.epsilon = toFinite(from, "eps"); break;
    case Kind::Add: operation.inputs[1] = static_cast<int>(toInteger(inputs.Get(1u), "inputs[1]", 0, INT32_MAX)); break;
    case Kind::OptionA:
      operation.channels = toInt(from, "channels", 1);
      operation.stride = toInt(from, "stride", 1);
      break;
    case Kind::MaxPool:
      operation.kernel = toInt(from, "kernel", 1);
      operation.stride = toInt(from, "stride", 1);
      break;
    case Kind::AveragePool: setWindow(operation, from); break;
    case Kind::Linear:
      operation.channels = toInt(from, "features", 1);
      operation.bias = toBoolean(from, "bias");
      break;
    case Kind::Relu:
    case Kind::Flatten: break;
  }
  return operation;
}

void fill(Request& request, Napi::Object from, const Graph& graph) {
  const std::size_t outputs = graph.output().size();
  request.count = toInt(from, "count", 1);
  request.threads = static_cast<int>(toInteger(from.Get("threads"), "threads", 1, kMaxThreads));
  request.training = toBoolean(from, "training");
  request.loss = toChoice<Loss>(from, "loss",
                                {{"cross-entropy", Loss::CrossEntropy},
                                 {"mean-squared-error", Loss::MeanSquaredError},
                                 {"mean-absolute-error", Loss::MeanAbsoluteError}});
  const auto count = static_cast<std::size_t>(request.count);
  request.parameters = toVector<float>(from, "parameters", graph.parameterCount());
  request.statistics = toVector<float>(from, "statistics", graph.statisticsCount());
  request.images = toVector<float>(from, "images", count * graph.shapes()[0].size());
  if (request.loss == Loss::CrossEntropy) {
    if (outputs != static_cast<std::size_t>(graph.output().channels)) {
      throw expected(from.Env(), "the network's output", "1×1 for the cross-entropy");
    }
    request.labels = toIndices(from.Env(), "labels", toVector<std::int32_t>(from, "labels", count), outputs);
  } else {
    request.targets = toVector<float>(from, "targets", count * outputs);
  }
}

}  // namespace

Napi::Error invalidArgument(Napi::Env env, const std::string& message) {
  Napi::Error error = Napi::TypeError::New(env, message);
  error.Set("code", "DEEPZERO_INVALID_ARGUMENT");
  return error;
}

std::string describe(const std::exception& error) {
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ? "Not enough memory" : error.what();
}

Napi::Error nativeError(Napi::Env env, const std::exception& error) {
  Napi::Error result = Napi::Error::New(env, describe(error));
  result.Set("code", kNativeCode);
  return result;
}

std::int64_t toInteger(Napi::Value value, const std::string& what, std::int64_t low, std::int64_t high) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high) && number == std::floor(number))) {
    throw expected(value.Env(), what, "an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return static_cast<std::int64_t>(number);
}

Graph toGraph(Napi::Value input, Napi::Value operations) {
  const Napi::Env env = input.Env();
  const Napi::Object sizes = toObject(input, "input");
  Shape shape;
  shape.channels = static_cast<int>(toInteger(sizes.Get(0u), "input[0]", 1, INT32_MAX));
  shape.height = static_cast<int>(toInteger(sizes.Get(1u), "input[1]", 1, INT32_MAX));
  shape.width = static_cast<int>(toInteger(sizes.Get(2u), "input[2]", 1, INT32_MAX));
  if (!operations.IsArray()) throw expected(env, "operations", "an array");
  const auto list = operations.As<Napi::Array>();
  std::vector<Operation> result;
  for (std::uint32_t i = 0; i < list.Length(); ++i) {
    result.push_back(toOperation(toObject(list.Get(i), "operations[" + std::to_string(i) + "]")));
  }
  try {
    return Graph(shape, std::move(result));
  } catch (const std::invalid_argument& error) {
    throw invalidArgument(env, error.what());
  }
}

Problem Request::problem() const {
  Problem problem;
  problem.parameters = parameters.data();
  problem.statistics = statistics.data();
  problem.images = images.data();
  problem.count = count;
  problem.loss = loss;
  problem.labels = labels.data();
  problem.targets = targets.data();
  problem.training = training;
  return problem;
}

static Reuse toReuse(Napi::Object from) {
  return toChoice<Reuse>(
      from, "reuse",
      {{"none", Reuse::None}, {"block", Reuse::Block}, {"layer", Reuse::Layer}, {"incremental", Reuse::Incremental}});
}

static Precision toPrecision(Napi::Object from) {
  return toChoice<Precision>(from, "precision", {{"single", Precision::Single}, {"double", Precision::Double}});
}

Request toRequest(Napi::Object from, const Graph& graph) {
  Request request;
  fill(request, from, graph);
  return request;
}

CoordinatewiseOptions CoordinatewiseRequest::options() const {
  CoordinatewiseOptions options;
  options.mu = mu;
  options.central = central;
  options.reuse = reuse;
  options.coordinates = coordinates.data();
  options.count = coordinates.size();
  return options;
}

CoordinatewiseRequest toCoordinatewise(Napi::Object from, const Graph& graph) {
  CoordinatewiseRequest request;
  fill(request, from, graph);
  request.coordinates =
      toIndices(from.Env(), "coordinates", toVector<std::uint32_t>(from, "coordinates"), graph.parameterCount());
  request.mu = toFinite(from, "mu");
  request.central = toBoolean(from, "central");
  if (from.Has("reuse")) request.reuse = toReuse(from);
  return request;
}

RandomizedRequest toRandomized(Napi::Object from, const Graph& graph) {
  RandomizedRequest request;
  fill(request, from, graph);
  RandomizedOptions& options = request.options;
  options.mu = toFinite(from, "mu");
  options.central = toBoolean(from, "central");
  options.reuse = toReuse(from);
  options.queries = static_cast<std::size_t>(toInt(from, "queries", 1));
  options.distribution = toChoice<Distribution>(from, "distribution",
                                                {{"gaussian", Distribution::Gaussian},
                                                 {"sphere", Distribution::Sphere},
                                                 {"rademacher", Distribution::Rademacher}});
  options.perTensor = toBoolean(from, "perTensor");
  options.seed = static_cast<std::uint64_t>(toInteger(from.Get("seed"), "seed", 0, kMaxSafeInteger));
  options.stream = static_cast<std::uint32_t>(toInteger(from.Get("stream"), "stream", 0, UINT32_MAX));
  options.index = static_cast<std::uint32_t>(toInteger(from.Get("index"), "index", 0, UINT32_MAX));
  return request;
}

GradientRequest toGradient(Napi::Object from, const Graph& graph) {
  GradientRequest request;
  fill(request, from, graph);
  request.precision = toPrecision(from);
  return request;
}

CostRequest toCost(Napi::Object from, const Graph& graph) {
  CostRequest request;
  request.coordinates =
      toIndices(from.Env(), "coordinates", toVector<std::uint32_t>(from, "coordinates"), graph.parameterCount());
  return request;
}

MemoryRequest toMemory(Napi::Value computation, Napi::Value from) {
  const Napi::Object request = toObject(from, "the request");
  MemoryRequest result;
  result.computation = toChoice<ComputationName>(computation, "the computation",
                                                 {{"evaluate", ComputationName::Evaluate},
                                                  {"gradient", ComputationName::Gradient},
                                                  {"coordinatewise", ComputationName::Coordinatewise},
                                                  {"randomized", ComputationName::Randomized},
                                                  {"reference", ComputationName::Reference}});
  result.count = toInt(request, "count", 1);
  result.threads = static_cast<int>(toInteger(request.Get("threads"), "threads", 1, kMaxThreads));
  for (const char* key : {"parameters", "statistics", "images", "labels", "targets", "coordinates"}) {
    const Napi::Value value = request.Get(key);
    if (!value.IsTypedArray()) continue;
    const auto array = value.As<Napi::TypedArray>();
    result.copied += array.ByteLength();
    if (key == std::string("coordinates")) result.coordinatewise.count = array.ElementLength();
  }
  if (result.computation == ComputationName::Coordinatewise) {
    result.coordinatewise.reuse = toReuse(request);
  } else if (result.computation == ComputationName::Randomized) {
    result.randomized.reuse = toReuse(request);
    result.randomized.queries = static_cast<std::size_t>(toInt(request, "queries", 1));
  } else if (result.computation == ComputationName::Gradient) {
    result.precision = toPrecision(request);
  }
  return result;
}

KernelRequest toKernelRun(Napi::Object from) {
  KernelRequest request;
  request.kernel = toChoice<KernelName>(from, "kernel",
                                        {{"multiplyAdds", KernelName::MultiplyAdds},
                                         {"convolution", KernelName::Convolution},
                                         {"winograd", KernelName::Winograd},
                                         {"activate", KernelName::Activate},
                                         {"activateChange", KernelName::ActivateChange},
                                         {"changeMoments", KernelName::ChangeMoments}});
  const auto extent = [&](const char* key) {
    return static_cast<int>(toInteger(from.Get(key), key, 1, kMaxKernelExtent));
  };
  request.channels = extent("channels");
  request.outputs = extent("outputs");
  request.size = extent("size");
  request.stride = extent("stride");
  request.calls = toInt(from, "calls", 1);
  request.threads = static_cast<int>(toInteger(from.Get("threads"), "threads", 1, kMaxThreads));
  if (request.kernel == KernelName::Winograd && !request.convolution().supportsWinograd()) {
    throw expected(from.Env(), "the shape", "one of stride 1 and whole tiles of 4×4 for Winograd");
  }
  return request;
}

}  // namespace deepzero
