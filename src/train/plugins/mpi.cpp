// libhearth_mpi.so: ranks over Open MPI. The only file that sees mpi.h.
//
// A library of its own, loaded when a launcher such as mpirun started the program: Open MPI comes
// as shared objects only, and the program has to start on machines that lack them.
#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#define OMPI_SKIP_MPICXX 1  // its C++ bindings of old would need another library
#include <mpi.h>
#include <vector>

#include "train/mpi_abi.h"

namespace {

constexpr size_t kMessageBytesMax = size_t{1} << 30;  // MPI counts in int
constexpr int kSpins = 200;                           // looks before the core is given away
constexpr long kNapNanos = 20'000;

HearthMpiResult failed(int code, char* error, size_t error_bytes) {
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  std::snprintf(error, error_bytes, "%s", text);
  return HEARTH_MPI_FAILED;
}

HearthMpiResult start(int* rank, int* size, int* neighbours, char* error, size_t error_bytes) {
  // Without this Open MPI warns, and falls back slowly, in containers that forbid reading another
  // process's memory.
  setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
  int level = 0;
  int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level);
  if (code != MPI_SUCCESS) return failed(code, error, error_bytes);
  if (level < MPI_THREAD_SERIALIZED) {
    std::snprintf(error, error_bytes, "this MPI lets one thread only talk to it");
    return HEARTH_MPI_FAILED;
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, rank);
  MPI_Comm_size(MPI_COMM_WORLD, size);
  MPI_Comm machine = MPI_COMM_NULL;
  code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
  if (code != MPI_SUCCESS) return failed(code, error, error_bytes);
  MPI_Comm_size(machine, neighbours);
  MPI_Comm_free(&machine);
  return HEARTH_MPI_DONE;
}

struct Requests {
  std::vector<MPI_Request> list;
  std::vector<int> peers;  // of each request

  template <typename Begin>
  int add(const HearthMpiParcel& parcel, const Begin& begin) {
    for (size_t at = 0; at < parcel.bytes; at += kMessageBytesMax) {
      MPI_Request request = MPI_REQUEST_NULL;
      const int count = static_cast<int>(std::min(kMessageBytesMax, parcel.bytes - at));
      const int code = begin(static_cast<char*>(parcel.data) + at, count, parcel.peer, &request);
      if (code != MPI_SUCCESS) return code;
      list.push_back(request);
      peers.push_back(parcel.peer);
    }
    return MPI_SUCCESS;
  }
};

HearthMpiResult wait_for(Requests& requests, double timeout_s, unsigned char* missing, char* error,
                         size_t error_bytes) {
  const int count = static_cast<int>(requests.list.size());
  std::vector<int> done_now(requests.list.size());
  double heard = MPI_Wtime();
  for (int left = count, looks = 0; left > 0; ++looks) {
    int done = 0;
    const int code =
        MPI_Testsome(count, requests.list.data(), &done, done_now.data(), MPI_STATUSES_IGNORE);
    if (code != MPI_SUCCESS) return failed(code, error, error_bytes);
    if (done > 0) {
      left -= done;
      looks = 0;
      heard = MPI_Wtime();
    } else if (MPI_Wtime() - heard > timeout_s) {
      for (size_t i = 0; i < requests.list.size(); ++i) {
        if (requests.list[i] != MPI_REQUEST_NULL) missing[requests.peers[i]] = 1;
      }
      return HEARTH_MPI_LATE;
    } else if (looks > kSpins) {
      const timespec nap{0, kNapNanos};
      nanosleep(&nap, nullptr);
    }
  }
  return HEARTH_MPI_DONE;
}

HearthMpiResult exchange(const HearthMpiParcel* out, size_t out_count, const HearthMpiParcel* in,
                         size_t in_count, double timeout_s, unsigned char* missing, char* error,
                         size_t error_bytes) {
  constexpr int kTag = 1;  // messages of one pair of ranks never overtake each other
  Requests requests;
  for (size_t i = 0; i < in_count; ++i) {
    const int code = requests.add(in[i], [](void* at, int bytes, int peer, MPI_Request* request) {
      return MPI_Irecv(at, bytes, MPI_BYTE, peer, kTag, MPI_COMM_WORLD, request);
    });
    if (code != MPI_SUCCESS) return failed(code, error, error_bytes);
  }
  for (size_t i = 0; i < out_count; ++i) {
    const int code = requests.add(out[i], [](void* at, int bytes, int peer, MPI_Request* request) {
      return MPI_Isend(at, bytes, MPI_BYTE, peer, kTag, MPI_COMM_WORLD, request);
    });
    if (code != MPI_SUCCESS) return failed(code, error, error_bytes);
  }
  return wait_for(requests, timeout_s, missing, error, error_bytes);
}

void finish() { MPI_Finalize(); }

void abort_all(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

constexpr HearthMpi kTable = {HEARTH_MPI_VERSION, start, exchange, finish, abort_all};

}  // namespace

extern "C" __attribute__((visibility("default"))) const HearthMpi* hearth_mpi_entry() {
  return &kTable;
}
