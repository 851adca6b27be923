// What the plugin libhearth_mpi.so offers to the program, in C, so that neither has to be built by
// the other's compiler. Called by one thread at a time, not always the same.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HEARTH_MPI_VERSION = 1 };

typedef struct HearthMpiParcel {
  int peer;
  void* data;
  size_t bytes;
} HearthMpiParcel;

typedef enum HearthMpiResult {
  HEARTH_MPI_DONE = 0,
  HEARTH_MPI_LATE = 1,   // missing[rank] is 1 for each rank that did not arrive in time
  HEARTH_MPI_FAILED = 2  // error holds the text
} HearthMpiResult;

typedef struct HearthMpi {
  int version;
  // MPI_Init; neighbours: ranks on this machine.
  HearthMpiResult (*start)(int* rank, int* size, int* neighbours, char* error, size_t error_bytes);
  HearthMpiResult (*exchange)(const HearthMpiParcel* out, size_t out_count,
                              const HearthMpiParcel* in, size_t in_count, double timeout_s,
                              unsigned char* missing, char* error, size_t error_bytes);
  // MPI_Finalize: waits for all ranks.
  void (*finish)(void);
  // MPI_Abort: ends all ranks.
  void (*abort)(int code);
} HearthMpi;

typedef const HearthMpi* (*HearthMpiEntry)(void);
// The name of the one function that the plugin exports, a HearthMpiEntry.
#define HEARTH_MPI_ENTRY "hearth_mpi_entry"

#ifdef __cplusplus
}
#endif
