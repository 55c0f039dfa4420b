// functions.h - what kernels call. Macros where an error should name the line of the kernel.
#pragma once

#define __syncthreads() cuda_on_cpu::sync_block(__LINE__)
#define __syncwarp(...) cuda_on_cpu::sync_warp(__LINE__, ##__VA_ARGS__)
#define __shfl_sync(...) cuda_on_cpu::shfl(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) cuda_on_cpu::shfl_xor(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) cuda_on_cpu::shfl_down(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) cuda_on_cpu::shfl_up(__LINE__, __VA_ARGS__)
#define __ballot_sync(...) cuda_on_cpu::ballot(__LINE__, __VA_ARGS__)
#define __any_sync(mask, predicate) (cuda_on_cpu::ballot(__LINE__, mask, predicate) != 0)
#define __all_sync(mask, predicate) (cuda_on_cpu::ballot(__LINE__, mask, !(predicate)) == 0)
#define __activemask() cuda_on_cpu::active_lanes()
#define __trap() cuda_on_cpu::fail("__trap() in line %d", __LINE__)
#define assert(condition) \
    ((condition) ? void() : cuda_on_cpu::fail("assert(%s) in line %d", #condition, __LINE__))
#define mma_m16n8k16_bf16(...) cuda_on_cpu::mma_m16n8k16_bf16(__LINE__, __VA_ARGS__)
#define mma_m16n8k8_tf32(...) cuda_on_cpu::mma_m16n8k8_tf32(__LINE__, __VA_ARGS__)
static inline void __threadfence() {}
static inline void __threadfence_block() {}

// Threads take turns, so plain code is atomic. std::common_type_t<T> is T, but not deduced: the
// pointer alone decides the type, as in atomicAdd(&counter_of_unsigned, 1).
template <class T> static T atomicExch(T* address, std::common_type_t<T> value) {
    const T old = *address;
    *address = value;
    return old;
}
template <class T> static T atomicAdd(T* address, std::common_type_t<T> value) {
    return atomicExch(address, T(*address + value));
}
template <class T> static T atomicMax(T* address, std::common_type_t<T> value) {
    return atomicExch(address, std::max(*address, value));
}
template <class T> static T atomicMin(T* address, std::common_type_t<T> value) {
    return atomicExch(address, std::min(*address, value));
}
template <class T>
static T atomicCAS(T* address, std::common_type_t<T> expected, std::common_type_t<T> value) {
    return atomicExch(address, *address == expected ? value : *address);
}

template <class T> static T __ldg(const T* p) { return *p; }
template <class A, class B> static std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(b) < T(a) ? T(b) : T(a);
}
template <class A, class B> static std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(a) < T(b) ? T(b) : T(a);
}
// The approximate functions of the GPU are exact ones here. Macros: glibc knows some names.
#define __expf expf
#define __logf logf
#define __log2f log2f
#define __sinf sinf
#define __cosf cosf
#define __powf powf
#define __tanhf tanhf
#define __fdividef(a, b) ((a) / (b))
#define __frcp_rn(a) (1.0f / (a))
#define __fsqrt_rn sqrtf
#define __fmaf_rn fmaf
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

static inline float __int_as_float(int bits) { return cuda_on_cpu::same_bits<float>(bits); }
static inline float __uint_as_float(unsigned bits) { return cuda_on_cpu::same_bits<float>(bits); }
static inline int __float_as_int(float x) { return cuda_on_cpu::same_bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return cuda_on_cpu::same_bits<unsigned>(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
