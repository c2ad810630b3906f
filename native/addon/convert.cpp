#include "addon/convert.hpp"

#include <cmath>
#include <new>
#include <stdexcept>
#include <utility>

namespace deepzero {

namespace {

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
                                   {"leakyRelu", Kind::LeakyRelu},
                                   {"tanh", Kind::Tanh},
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
    case Kind::LeakyRelu: operation.slope = toFinite(from, "slope"); break;
    case Kind::Relu:
    case Kind::Tanh:
    case Kind::Flatten: break;
  }
  return operation;
}

}  // namespace

Napi::Error invalidArgument(Napi::Env env, const std::string& message) {
  Napi::Error error = Napi::TypeError::New(env, message);
  error.Set("code", "DEEPZERO_INVALID_ARGUMENT");
  return error;
}

std::string messageOf(const std::exception& error) {
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ? "Not enough memory" : error.what();
}

Napi::Error expected(Napi::Env env, const std::string& what, const std::string& constraint) {
  return invalidArgument(env, "Expected " + what + " to be " + constraint);
}

Napi::Error nativeError(Napi::Env env, const std::exception& error) {
  Napi::Error result = Napi::Error::New(env, messageOf(error));
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

int toThreads(Napi::Object from) { return static_cast<int>(toInteger(from.Get("threads"), "threads", 1, kMaxThreads)); }

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

}  // namespace deepzero
