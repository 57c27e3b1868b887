// As much of the CUDA driver's header as NVIDIA's public video headers need.
#pragma once
#include <stddef.h>

typedef int CUresult;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUarray_st *CUarray;
#define CUDAAPI
