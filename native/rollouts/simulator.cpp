#include "rollouts/simulator.hpp"

#include <dlfcn.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support/digest.hpp"
#include "support/system.hpp"

namespace deepzero {

namespace {

// Bounds that keep every product of sizes within 63 bits.
constexpr std::int64_t kMostNumbers = std::int64_t{1} << 28;

bool sensible(std::int64_t size, std::int64_t least) { return size >= least && size <= kMostNumbers; }

bool sensible(const std::int64_t (&map)[3]) {
  return sensible(map[0], 1) && sensible(map[1], 1) && sensible(map[2], 1) && map[0] * map[1] <= kMostNumbers &&
         map[0] * map[1] * map[2] <= kMostNumbers;
}

// Calls `call(first, count)` for all trajectories, and, if that fails, for each by itself.
template <typename Call>
void callFor(int count, bool* failed, Call call) {
  if (call(0, count) == 0) return;
  for (int i = 0; i < count; ++i) {
    if (!failed[i] && call(i, 1) != 0) failed[i] = true;
  }
}

std::uint64_t contentOf(const std::string& path) {
  Digest digest;
  std::ifstream file(path, std::ios::binary);
  std::vector<char> part(1 << 16);
  while (file.good()) {
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    digest.add(part.data(), static_cast<std::size_t>(file.gcount()));
  }
  return digest.value();
}

struct Loaded {
  FileIdentity identity;
  std::uint64_t content = 0;
};

// Loads a shared object; `content` receives its digest. The system would hand out the one that it loaded before from
// that path, whatever the file holds by now.
void* load(const std::string& path, std::uint64_t& content) {
  static std::mutex mutex;
  static std::map<std::string, Loaded> loaded;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto require = [&](const FileIdentity& identity) {
    if (identity == identityOf(path)) return;
    throw std::invalid_argument(path +
                                " has changed since this process loaded it: start a new process, or give the "
                                "build another name");
  };
  const auto known = loaded.find(path);
  const Loaded found = known != loaded.end() ? known->second : Loaded{identityOf(path), contentOf(path)};
  require(found.identity);
  // Threads that a simulator has started, as by OpenMP, run its code until the process ends.
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const char* const why = dlerror();
    throw std::invalid_argument((why != nullptr ? why : path + ": cannot be loaded") +
                                "; expected a shared object, as cc -shared -fPIC makes");
  }
  loaded.emplace(path, found);
  // Another file may have been loaded than the one that was read.
  require(found.identity);
  content = found.content;
  return handle;
}

}  // namespace

void SimulatorLibrary::Close::operator()(void* handle) const { dlclose(handle); }

SimulatorLibrary::SimulatorLibrary(const std::string& path) : path_(path) {
  handle_.reset(load(path, content_));
  const char* const name = "deepzero_simulator_interface";
  using Interface = const deepzero_simulator*();
  auto* const interface = reinterpret_cast<Interface*>(dlsym(handle_.get(), name));
  if (interface == nullptr) {
    throw std::invalid_argument(path + ": expected a simulator with the function " + name +
                                ", found none of that name");
  }
  functions_ = interface();
  if (functions_ == nullptr) throw std::invalid_argument(path + ": " + name + " returned null");
  if (functions_->version != DEEPZERO_SIMULATOR_VERSION) {
    throw std::invalid_argument(path + ": expected a simulator of version " +
                                std::to_string(DEEPZERO_SIMULATOR_VERSION) +
                                " of deepzero_simulator.h, found version " + std::to_string(functions_->version));
  }
  const auto require = [&](bool there, const char* function) {
    if (!there) throw std::invalid_argument(path + ": expected a function for " + function + ", found null");
  };
  require(functions_->create != nullptr, "create");
  require(functions_->destroy != nullptr, "destroy");
  require(functions_->observe != nullptr, "observe");
  require(functions_->step != nullptr, "step");
  require(functions_->measure != nullptr, "measure");
}

Simulator::Simulator(std::shared_ptr<const SimulatorLibrary> library, std::string config)
    : library_(std::move(library)), config_(std::move(config)) {
  char message[1024] = "";
  simulator_ = functions().create(config_.c_str(), &sizes_, message, sizeof message);
  message[sizeof message - 1] = '\0';
  if (simulator_ == nullptr) {
    throw std::invalid_argument(library_->path() + ": " + (*message != '\0' ? message : "create returned null"));
  }
  const char* const wrong = !sensible(sizes_.parameters, 0) ? "parameters"
                            : !sensible(sizes_.state, 1)    ? "state"
                            : !sensible(sizes_.observation) ? "observation"
                            : !sensible(sizes_.output)      ? "output"
                            : !sensible(sizes_.values, 1)   ? "values"
                                                            : nullptr;
  if (wrong == nullptr) return;
  functions().destroy(simulator_);
  throw std::invalid_argument(library_->path() + ": create set a size of " + wrong +
                              " out of range: expected from 1 (parameters from 0) to " + std::to_string(kMostNumbers) +
                              " numbers");
}

Simulator::~Simulator() { functions().destroy(simulator_); }

void Simulator::observe(int count, const double* parameters, const double* state, double* observation, bool* failed) {
  callFor(count, failed, [&](int first, int number) {
    return functions().observe(simulator_, number, parameters + first * this->parameters(),
                               state + first * this->state(), observation + first * this->observation());
  });
}

void Simulator::step(int count, const double* parameters, const double* state, const double* output, double* next,
                     bool* failed) {
  move(functions().step, count, parameters, state, output, next, failed);
}

void Simulator::correct(int count, const double* parameters, const double* state, const double* output, double* next,
                        bool* failed) {
  move(functions().correct, count, parameters, state, output, next, failed);
}

void Simulator::move(Move* function, int count, const double* parameters, const double* state, const double* output,
                     double* next, bool* failed) {
  callFor(count, failed, [&](int first, int number) {
    return function(simulator_, number, parameters + first * this->parameters(), state + first * this->state(),
                    output == nullptr ? nullptr : output + first * this->output(), next + first * this->state());
  });
}

void Simulator::measure(int count, const double* parameters, const double* state, double* values, bool* failed) {
  callFor(count, failed, [&](int first, int number) {
    return functions().measure(simulator_, number, parameters + first * this->parameters(),
                               state + first * this->state(), values + first * this->values());
  });
}

double Simulator::loss(std::size_t steps, const double* parameters, const double* values, const float* targets) {
  double loss = 0;
  const auto count = static_cast<std::int64_t>(steps);
  const int status = functions().loss(simulator_, count, parameters, values, targets, &loss);
  return status == 0 ? loss : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace deepzero
