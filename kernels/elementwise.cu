// Elementwise operations: y = f(x), z = f(x, y) with broadcasting, a choice between two, and conversions between types.
//
// One file per operator: its float expression arrives as a macro (-DUNARY=expf(x), -DBINARY=x + y); without one the file holds what
// needs no expression. Arrays are contiguous; where inputs are broadcast they are walked by strides. Types differ in memory only: all
// expressions are in float.
// Launch: one thread per 16 bytes of the output (conversions: per 4 elements; broadcast: per element), 1-D, 256 threads a block.
// Bytes: 2 elements (unary), 3 (binary), 4 (where), each of 4 or 2 bytes; conversions 6 or 8 per element. Flops: those of the expression.
// Limit: memory. A thread reads and writes 16 bytes at a time, so a warp's request is 16 whole sectors; windows that do not begin at 16
// bytes are read and written element by element. Where one input repeats along the last axis or both run along it, in rows of whole 16
// bytes, rows walks by packs: the repeated input is read from the cache, and divisions are made once for 4 or 8 elements.
// Outputs may be inputs, hence no __restrict__ there.
#include "common.cuh"
#include "scalar.cuh"

#if defined(UNARY)

// y[n] = f(x[n]; a, b)
template <class T>
__device__ __forceinline__ void unary(int n, const T* source, T* y, float a, float b)
{
    unsigned i = Pack<T>::size * element_index();
    if (i >= n)
        return;
    Pack<T> pack = load_pack(source, i, n);
#pragma unroll
    for (int k = 0; k < Pack<T>::size; k++)
    {
        float x = pack.v[k];
        pack.v[k] = UNARY;
    }
    store_pack(y, i, n, pack);
}

#define UNARY_KERNEL(suffix, T) \
    extern "C" __global__ void elementwise_unary_##suffix(int n, const T* source, T* y, float a, float b) \
    { \
        unary<T>(n, source, y, a, b); \
    }

UNARY_KERNEL(f32, float)
UNARY_KERNEL(bf16, bfloat16)

#elif defined(BINARY)

__device__ __forceinline__ float apply(float x, float y, float a)
{
    return BINARY;
}

template <class T>
__device__ __forceinline__ Pack<T> apply(const Pack<T>& x, const Pack<T>& y, float a)
{
    Pack<T> z;
#pragma unroll
    for (int k = 0; k < Pack<T>::size; k++)
        z.v[k] = apply(x.v[k], y.v[k], a);
    return z;
}

// z[n] = f(x[n], y[n]; a)
template <class T>
__device__ __forceinline__ void binary(int n, const T* x, const T* y, T* z, float a)
{
    unsigned i = Pack<T>::size * element_index();
    if (i < n)
        store_pack(z, i, n, apply(load_pack(x, i, n), load_pack(y, i, n), a));
}

// 16 bytes, or one element repeated where the last axis is.
template <class T>
__device__ __forceinline__ Pack<T> load_along(const T* x, bool repeated)
{
    if (!repeated)
        return load_pack(x);
    Pack<T> pack;
    float value = to_float(*x);
#pragma unroll
    for (int k = 0; k < Pack<T>::size; k++)
        pack.v[k] = value;
    return pack;
}

// z = f(x, y; a) with x and y broadcast, in rows of whole packs at 16-byte addresses. The walk is by packs: count and the extent of axis 0
// are in packs, its strides a pack or 0.
template <class T>
__device__ __forceinline__ void binary_rows(const StridedWalk& w, const T* x, const T* y, T* z, float a)
{
    unsigned i = element_index();
    if (i >= w.count)
        return;
    int at_x, at_y;
    walk_offsets(w, i, at_x, at_y);
    store_pack(z + (size_t)i * Pack<T>::size, apply(load_along(x + at_x, w.stride_a[0] == 0), load_along(y + at_y, w.stride_b[0] == 0), a));
}

// The same for any shapes and addresses, by elements: strides A are those of x, B those of y, 0 along a repeated axis.
template <class T>
__device__ __forceinline__ void binary_broadcast(const StridedWalk& w, const T* x, const T* y, T* z, float a)
{
    unsigned i = element_index();
    if (i >= w.count)
        return;
    int at_x, at_y;
    walk_offsets(w, i, at_x, at_y);
    z[i] = from_float<T>(apply(to_float(x[at_x]), to_float(y[at_y]), a));
}

#define BINARY_KERNELS(suffix, T) \
    extern "C" __global__ void elementwise_binary_##suffix(int n, const T* x, const T* y, T* z, float a) \
    { \
        binary<T>(n, x, y, z, a); \
    } \
    extern "C" __global__ void elementwise_binary_rows_##suffix(StridedWalk w, const T* x, const T* y, T* z, float a) \
    { \
        binary_rows<T>(w, x, y, z, a); \
    } \
    extern "C" __global__ void elementwise_binary_broadcast_##suffix(StridedWalk w, const T* x, const T* y, T* z, float a) \
    { \
        binary_broadcast<T>(w, x, y, z, a); \
    }

BINARY_KERNELS(f32, float)
BINARY_KERNELS(bf16, bfloat16)

#else

// z[n] = condition[n] != 0 ? x[n] : y[n]
template <class T>
__device__ __forceinline__ void choose(
    int n, const T* __restrict__ condition, const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ z)
{
    unsigned i = Pack<T>::size * element_index();
    if (i >= n)
        return;
    Pack<T> c = load_pack(condition, i, n), first = load_pack(x, i, n), second = load_pack(y, i, n);
#pragma unroll
    for (int k = 0; k < Pack<T>::size; k++)
        first.v[k] = c.v[k] != 0 ? first.v[k] : second.v[k];
    store_pack(z, i, n, first);
}

#define WHERE_KERNEL(suffix, T) \
    extern "C" __global__ void elementwise_where_##suffix( \
        int n, const T* __restrict__ condition, const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ z) \
    { \
        choose<T>(n, condition, x, y, z); \
    }

WHERE_KERNEL(f32, float)
WHERE_KERNEL(bf16, bfloat16)

// Four bfloat16 are 8 bytes: more would leave gaps between what the lanes of a warp read of the floats.
__device__ __forceinline__ bool is_aligned_to_eight(const void* p)
{
    return (unsigned long long)p % 8 == 0;
}

// y[n] = x[n], rounded to the nearest, ties to even.
extern "C" __global__ void elementwise_cast_f32_bf16(int n, const float* __restrict__ x, bfloat16* __restrict__ y)
{
    unsigned i = 4 * element_index();
    if (i >= n)
        return;
    Pack<float> pack = load_pack(x, i, n);
    if (is_aligned_to_eight(y) && i + 4 <= n)
    {
        *reinterpret_cast<uint2*>(y + i) =
            make_uint2(round_to_bfloat16_pair(pack.v[0], pack.v[1]), round_to_bfloat16_pair(pack.v[2], pack.v[3]));
        return;
    }
#pragma unroll
    for (int k = 0; k < 4; k++)
    {
        if (i + k < n)
            y[i + k] = from_float<bfloat16>(pack.v[k]);
    }
}

// y[n] = x[n], exact.
extern "C" __global__ void elementwise_cast_bf16_f32(int n, const bfloat16* __restrict__ x, float* __restrict__ y)
{
    unsigned i = 4 * element_index();
    if (i >= n)
        return;
    Pack<float> pack;
    if (is_aligned_to_eight(x) && i + 4 <= n)
    {
        uint2 pairs = *reinterpret_cast<const uint2*>(x + i);
        float2 first = to_float2(pairs.x), second = to_float2(pairs.y);
        pack = {first.x, first.y, second.x, second.y};
    }
    else
    {
#pragma unroll
        for (int k = 0; k < 4; k++)
            pack.v[k] = i + k < n ? to_float(x[i + k]) : 0;
    }
    store_pack(y, i, n, pack);
}

// y[n] = x[n], exact up to 2^24 and rounded to the nearest beyond.
extern "C" __global__ void elementwise_cast_i32_f32(int n, const int* __restrict__ x, float* __restrict__ y)
{
    for (unsigned i = 4 * element_index(), end = min(i + 4, n); i < end; i++)
        y[i] = (float)x[i];
}

// y[n] = x[n] rounded to the nearest integer, ties to even.
extern "C" __global__ void elementwise_cast_f32_i32(int n, const float* __restrict__ x, int* __restrict__ y)
{
    for (unsigned i = 4 * element_index(), end = min(i + 4, n); i < end; i++)
        y[i] = __float2int_rn(x[i]);
}

#endif
