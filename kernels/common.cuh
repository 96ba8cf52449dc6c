// Indices, strided walks and reductions that several families use. NVRTC brings no headers, so nothing is included here.
#pragma once

// The element of a thread where each has one, in a 1-D grid of 1-D blocks. Unsigned: the last block of almost 2^31 elements has
// threads beyond it.
__device__ __forceinline__ unsigned element_index()
{
    return blockIdx.x * blockDim.x + threadIdx.x;
}

// The row of a warp where each warp has one, in a 1-D grid of 1-D blocks of whole warps: more rows than threads can be counted.
__device__ __forceinline__ unsigned warp_index()
{
    return blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
}

// A walk over up to six axes with the element strides of two arrays, axis 0 the fastest. StridedWalk.cs declares the same.
struct StridedWalk
{
    int rank;
    int count;
    int extent[6];
    int stride_a[6];
    int stride_b[6];
};

// Where element i of the walk lies in the two arrays. The loop is unrolled so that the axes are read from the kernel's parameters
// and not from a copy in local memory.
__device__ __forceinline__ void walk_offsets(const StridedWalk& w, int i, int& a, int& b)
{
    a = b = 0;
#pragma unroll
    for (int axis = 0; axis < 6; axis++)
    {
        if (axis >= w.rank)
            break;
        int rest = i / w.extent[axis];
        int at = i - rest * w.extent[axis];
        a += at * w.stride_a[axis];
        b += at * w.stride_b[axis];
        i = rest;
    }
}

// What a reduction joins: a value, an identity and a commutative join.
struct Sum
{
    typedef float Value;
    static __device__ __forceinline__ float identity() { return 0; }
    static __device__ __forceinline__ float join(float a, float b) { return a + b; }
};

// The larger, and NaN where either is NaN.
struct Max
{
    typedef float Value;
    static __device__ __forceinline__ float identity() { return __int_as_float(0xff800000); }
    static __device__ __forceinline__ float join(float a, float b) { return a > b || a != a ? a : b; }
};

struct Min
{
    typedef float Value;
    static __device__ __forceinline__ float identity() { return __int_as_float(0x7f800000); }
    static __device__ __forceinline__ float join(float a, float b) { return a < b || a != a ? a : b; }
};

// log(sum(exp(x))) of the terms so far, as exp(max) * sum: nothing overflows, and no second pass is needed once the maximum is known
// (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax").
struct LogSumExp
{
    struct Value
    {
        float max;
        float sum;
    };

    static __device__ __forceinline__ Value identity() { return {__int_as_float(0xff800000), 0}; }
    static __device__ __forceinline__ Value term(float x) { return {x, 1}; }

    static __device__ __forceinline__ Value join(Value a, Value b)
    {
        float max = Max::join(a.max, b.max);
        return {max, a.sum * scale(a.max, max) + b.sum * scale(b.max, max)};
    }

    static __device__ __forceinline__ float result(Value v) { return v.max + logf(v.sum); }

    // exp(x - max); 1 where both are the same infinity, whose difference is NaN. The choice is made before the exponential, not around
    // it: there it would be a branch for every element.
    static __device__ __forceinline__ float scale(float x, float max) { return expf(x == max ? 0 : x - max); }
};

__device__ __forceinline__ float shuffle_xor(float value, int distance)
{
    return __shfl_xor_sync(0xffffffffu, value, distance);
}

__device__ __forceinline__ LogSumExp::Value shuffle_xor(LogSumExp::Value value, int distance)
{
    return {shuffle_xor(value.max, distance), shuffle_xor(value.sum, distance)};
}

// Joins the values of a full warp by exchanges between lanes in a fixed order; every lane receives the result.
template <class Op>
__device__ __forceinline__ typename Op::Value warp_reduce(typename Op::Value value)
{
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        value = Op::join(value, shuffle_xor(value, distance));
    return value;
}

// Joins the values of a 1-D block of whole warps in a fixed order; every thread receives the result. scratch holds 32 values in shared
// memory and may be used again at once.
template <class Op>
__device__ __forceinline__ typename Op::Value block_reduce(typename Op::Value value, typename Op::Value* scratch)
{
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    value = warp_reduce<Op>(value);
    if (warps == 1)
        return value;
    if (lane == 0)
        scratch[warp] = value;
    __syncthreads();
    value = warp_reduce<Op>(lane < warps ? scratch[lane] : Op::identity());
    __syncthreads();
    return value;
}
