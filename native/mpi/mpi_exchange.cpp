#include "mpi/mpi_exchange.hpp"

#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "mpi/library.hpp"
#include "support/text.hpp"

namespace deepzero {

namespace {

// At least what the implementations call MPI_MAX_ERROR_STRING and MPI_MAX_LIBRARY_VERSION_STRING.
constexpr int kMaxText = 8192;
// Of equal value in both dialects.
constexpr int kSuccess = 0;
constexpr int kThreadSerialized = 2;
constexpr int kRoot = 0;

template <typename Dialect>
struct Functions {
  using Communicator = typename Dialect::Communicator;
  using Datatype = typename Dialect::Datatype;
  using ErrorHandler = typename Dialect::ErrorHandler;
  using Request = typename Dialect::Request;

  explicit Functions(const MpiLibrary& library)
      : initThread(library.function("MPI_Init_thread")),
        barrier(library.function("MPI_Barrier")),
        finalize(library.function("MPI_Finalize")),
        abort(library.function("MPI_Abort")),
        rank(library.function("MPI_Comm_rank")),
        size(library.function("MPI_Comm_size")),
        duplicate(library.function("MPI_Comm_dup")),
        setErrorHandler(library.function("MPI_Comm_set_errhandler")),
        errorString(library.function("MPI_Error_string")),
        libraryVersion(library.function("MPI_Get_library_version")),
        broadcast(library.function("MPI_Ibcast")),
        gather(library.function("MPI_Igatherv")),
        test(library.function("MPI_Test")) {}

  void check(const char* function, int status) const {
    if (status == kSuccess) return;
    std::vector<char> text(kMaxText);
    int length = 0;
    errorString(status, text.data(), &length);
    throw RanksLost(std::string(function) + " failed: " + inOneLine(text.data()));
  }

  int (*initThread)(int* argc, char*** argv, int required, int* provided);
  int (*barrier)(Communicator);
  int (*finalize)();
  int (*abort)(Communicator, int code);
  int (*rank)(Communicator, int* rank);
  int (*size)(Communicator, int* size);
  int (*duplicate)(Communicator, Communicator* copy);
  int (*setErrorHandler)(Communicator, ErrorHandler);
  int (*errorString)(int code, char* text, int* length);
  int (*libraryVersion)(char* text, int* length);
  int (*broadcast)(void* numbers, int count, Datatype, int root, Communicator, Request*);
  int (*gather)(const void* from, int count, Datatype, void* to, const int* counts, const int* offsets, Datatype,
                int root, Communicator, Request*);
  int (*test)(Request*, int* done, void* status);
};

// What MPI uses until an operation has ended.
template <typename Dialect>
struct Transfer {
  Numbers mine, all;
  std::vector<int> counts, offsets;
  typename Dialect::Request request{};
};

template <typename Dialect>
class MpiPending final : public Pending {
 public:
  MpiPending(const Functions<Dialect>& functions, std::unique_ptr<Transfer<Dialect>> transfer)
      : functions_(functions), transfer_(std::move(transfer)) {}

  // MPI may go on to read and write the buffers of an unfinished operation.
  ~MpiPending() override { static_cast<void>(transfer_.release()); }

  bool done() override {
    if (!transfer_) return true;
    int done = 0;
    functions_.check("MPI_Test", functions_.test(&transfer_->request, &done, Dialect::noStatus()));
    if (done != 0) transfer_.reset();
    return done != 0;
  }

 private:
  const Functions<Dialect>& functions_;
  std::unique_ptr<Transfer<Dialect>> transfer_;  // null once it is done
};

template <typename Dialect>
class Session final : public MpiExchange {
 public:
  explicit Session(MpiLibrary library) : functions_(library), handles_(library) {
    library.keep();
    int provided = 0;
    // MPI_Error_string may be called only after this.
    const int status = functions_.initThread(nullptr, nullptr, kThreadSerialized, &provided);
    if (status != kSuccess) throw std::runtime_error("MPI_Init_thread failed with code " + std::to_string(status));
    if (provided < kThreadSerialized) {
      functions_.finalize();
      throw std::runtime_error(
          "Expected the MPI library to support MPI_THREAD_SERIALIZED, received one without threads");
    }
    functions_.check("MPI_Comm_set_errhandler", functions_.setErrorHandler(handles_.world, handles_.errorsReturn));
    functions_.check("MPI_Comm_rank", functions_.rank(handles_.world, &rank_));
    functions_.check("MPI_Comm_size", functions_.size(handles_.world, &count_));
    // A copy has the error handler of its original, and operations of its own order.
    for (auto& channel : channels_) functions_.check("MPI_Comm_dup", functions_.duplicate(handles_.world, &channel));
    std::vector<char> text(kMaxText);
    int length = 0;
    functions_.check("MPI_Get_library_version", functions_.libraryVersion(text.data(), &length));
    const std::string version(text.data());
    library_ = inOneLine(version.substr(0, version.find('\n')));
  }

  std::unique_ptr<Pending> broadcast(Channel channel, Numbers numbers) override {
    auto transfer = std::make_unique<Transfer<Dialect>>();
    transfer->mine = std::move(numbers);
    functions_.check("MPI_Ibcast",
                     functions_.broadcast(transfer->mine->data(), sizeOf(transfer->mine), handles_.real, kRoot,
                                          channels_[static_cast<int>(channel)], &transfer->request));
    return std::make_unique<MpiPending<Dialect>>(functions_, std::move(transfer));
  }

  std::unique_ptr<Pending> gather(Numbers mine, const std::vector<std::size_t>& counts, Numbers all) override {
    auto transfer = std::make_unique<Transfer<Dialect>>();
    transfer->mine = std::move(mine);
    transfer->all = std::move(all);
    if (rank_ == kRoot) {
      transfer->counts.assign(counts.begin(), counts.end());
      transfer->offsets.resize(counts.size());
      std::partial_sum(transfer->counts.begin(), transfer->counts.end() - 1, transfer->offsets.begin() + 1);
    }
    functions_.check("MPI_Igatherv",
                     functions_.gather(transfer->mine->data(), sizeOf(transfer->mine), handles_.real,
                                       transfer->all ? transfer->all->data() : nullptr, transfer->counts.data(),
                                       transfer->offsets.data(), handles_.real, kRoot,
                                       channels_[static_cast<int>(Channel::Work)], &transfer->request));
    return std::make_unique<MpiPending<Dialect>>(functions_, std::move(transfer));
  }

  void finish() override {
    // Over TCP, MPICH before 4.2 waits for ever for a rank that was much earlier in MPI_Finalize.
    functions_.check("MPI_Barrier", functions_.barrier(channels_[0]));
    functions_.check("MPI_Finalize", functions_.finalize());
  }

  [[noreturn]] void abort(int code) override {
    // MPI_Abort may call exit(), whose handlers would destroy what other threads use.
    static int exitCode;
    exitCode = code;
    std::atexit([] { std::_Exit(exitCode); });
    functions_.abort(handles_.world, code);
    std::_Exit(code);
  }

 private:
  static int sizeOf(const Numbers& numbers) { return static_cast<int>(numbers->size()); }

  Functions<Dialect> functions_;
  Dialect handles_;
  typename Dialect::Communicator channels_[2];
};

}  // namespace

std::unique_ptr<MpiExchange> MpiExchange::start(const std::string& path) {
  MpiLibrary library(path);
  if (library.has(OpenMpi::kMark)) return std::make_unique<Session<OpenMpi>>(std::move(library));
  return std::make_unique<Session<Mpich>>(std::move(library));
}

}  // namespace deepzero
