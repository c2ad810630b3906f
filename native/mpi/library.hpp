// A loaded MPI library, and what its binary interface fixes: the types and values of handles. There are two of them,
// and MPI's functions have the same names and parameters in both.
#pragma once

#include <memory>
#include <string>

namespace deepzero {

class MpiLibrary {
 public:
  // Throws std::runtime_error with the system's reason.
  explicit MpiLibrary(const std::string& path);

  bool has(const char* symbol) const;

  // Throws std::runtime_error if there is none.
  void* find(const char* symbol) const;

  // A function; it becomes a pointer of the type that it is assigned to.
  struct Function {
    void* address;
    template <typename Signature>
    operator Signature*() const {
      return reinterpret_cast<Signature*>(address);
    }
  };
  Function function(const char* name) const { return {find(name)}; }

  // Keeps the library until the process ends: its threads and exit handlers run in it.
  void keep() { static_cast<void>(handle_.release()); }

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  std::string path_;
  std::unique_ptr<void, Close> handle_;
};

// Open MPI: handles are the addresses of its variables.
struct OpenMpi {
  static constexpr const char* kMark = "ompi_mpi_comm_world";

  using Communicator = struct ompi_communicator_t*;
  using Datatype = struct ompi_datatype_t*;
  using ErrorHandler = struct ompi_errhandler_t*;
  using Request = struct ompi_request_t*;

  explicit OpenMpi(const MpiLibrary& library)
      : world(static_cast<Communicator>(library.find(kMark))),
        real(static_cast<Datatype>(library.find("ompi_mpi_double"))),
        errorsReturn(static_cast<ErrorHandler>(library.find("ompi_mpi_errors_return"))) {}

  static void* noStatus() { return nullptr; }

  Communicator world;
  Datatype real;
  ErrorHandler errorsReturn;
};

// The interface that MPICH shares with Intel MPI, MVAPICH and Cray MPI: handles are numbers.
struct Mpich {
  using Communicator = int;
  using Datatype = int;
  using ErrorHandler = int;
  using Request = int;

  explicit Mpich(const MpiLibrary&) {}

  // An address that MPI never writes to.
  static void* noStatus() { return reinterpret_cast<void*>(1); }

  static constexpr Communicator world = 0x44000000;
  static constexpr Datatype real = 0x4c00080b;
  static constexpr ErrorHandler errorsReturn = 0x54000001;
};

}  // namespace deepzero
