// cuda_on_cpu.h - runs CUDA C kernels on the CPU, so that they can be tested without a GPU.
//
// compiler.py puts this header in front of an unchanged .cu file and compiles both with g++:
//
//     g++ -std=c++17 -O2 -fPIC -shared -include cuda_on_cpu.h -x c++ kernels.cu -o kernels.so
//
// The header gives every CUDA word the kernels use a meaning in plain C++: `__global__` becomes
// nothing, `__shared__` a static array, `threadIdx` a global variable, `__syncthreads()` a
// function. What is left to do is to run the threads of a block so that they can wait for each
// other. That is the main part of this file:
//
//   block     The blocks of a launch run one after another; nothing ever runs in parallel.
//   thread    A CUDA thread is one call of the kernel function.
//   fiber     A thread that stops at a barrier must be put aside in the middle of its function
//             while others run. So it runs on a fiber: a stack of its own and, while it is put
//             aside, the saved registers. Going from one fiber to another is two library calls
//             (setjmp saves the registers, longjmp loads others); the operating system is not
//             asked. A fiber whose thread has finished takes the next thread that has not been
//             started, so a kernel without barriers runs as a plain loop on a single fiber.
//   turn      The scheduler (run_block below) gives each unfinished thread a turn, again and
//             again. A turn ends at a barrier, at a warp operation or with the thread.
//   barrier   A barrier counts arrivals. A thread that is not the last to arrive gives its turn
//             back until the barrier has opened. If a whole round of turns changes nothing, the
//             threads wait for ever: that is reported as a deadlock instead of hanging.
//   order     Threads and blocks can take their turns forward, in reverse or shuffled. A kernel
//             that forgets a barrier gives another result in some order; a right one never does.
//
// Shared memory is filled with NaN (all bits one) at the start of each block, so a kernel that
// reads what nobody wrote shows it. Linux with g++ and glibc; tested on x86-64.
#pragma once
#include <algorithm>
#include <csetjmp>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <math.h>            // not <cmath>: also exp, abs, ... for float without std::
#include <stdlib.h>
#include <sys/mman.h>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

#define CUDA_ON_CPU 1        // kernels may ask for it: #ifdef CUDA_ON_CPU ... #else inline PTX

// For functions that leave a stack: AddressSanitizer must not watch their frames, which it would
// never see being left.
#define CUDA_ON_CPU_SWITCHES __attribute__((noinline, no_sanitize_address))

// ---------------------------------------------------------------------------------------------
// Words of the language
// ---------------------------------------------------------------------------------------------
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

// One section of the library holds the shared arrays of all its kernels; the linker names its
// two ends, so a block can begin with all of them filled. The assembler puts a guard before and one
// behind them: they are in part 0 of the section, as the first guard, which g++ writes before all
// variables; the second guard is in part 1.
#define __shared__ static __attribute__((section("shared_arrays")))
asm(".pushsection shared_arrays, 0, \"aw\", @progbits\n"
    ".zero 128\n"                                        // GUARD_BYTES in scheduler.h
    ".popsection\n"
    ".pushsection shared_arrays, 1, \"aw\", @progbits\n"
    ".zero 128\n"
    ".popsection");
extern "C" char __start_shared_arrays[], __stop_shared_arrays[];

// emulator.py rewrites `extern __shared__ float tile[];` into this (there `extern` cannot stay).
#define CUDA_ON_CPU_DYNAMIC_SHARED(type, name) \
    static type* const name = reinterpret_cast<type*>(cuda_on_cpu::dynamic_shared)

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
    return {x, y, z, w};
}
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

static uint3 threadIdx, blockIdx;     // the scheduler sets them before every turn
static dim3 blockDim, gridDim;
static const int warpSize = 32;

#include "scheduler.h"
#include "warp.h"
#include "functions.h"
