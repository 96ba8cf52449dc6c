// Activations that several families use. T is the type that a result is rounded to when it is stored: float's are accurate to a few units
// in the last place like the functions of CUDA's library they stand on; bfloat16's, whose last places are 2^16 times as large, come by
// fewer instructions. At a few bytes an element it is these, not the memory, that would set the pace.
#pragma once
#include "scalar.cuh"

// 1 / x within one unit in the last place, in one instruction instead of a division's ten; 0 where the result is no normal number.
__device__ __forceinline__ float reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

template <class T>
__device__ __forceinline__ float exponential(float x) { return expf(x); }

// In two instructions instead of eight: the product's rounding gives a relative error of |x| 2^-24, ex2.approx one of 2^-22.
template <>
__device__ __forceinline__ float exponential<bfloat16>(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(1.44269504f * x));
    return y;
}

template <class T = float>
__device__ __forceinline__ float sigmoid(float x)
{
    return reciprocal(1 + exponential<T>(-x));
}

// x sigmoid(x)
template <class T = float>
__device__ __forceinline__ float silu(float x)
{
    return x * sigmoid<T>(x);
}

// The derivative of silu: s + s x (1 - s) with s = sigmoid(x). 1 - s cancels only where it is next to nothing beside the s that it is
// added to.
template <class T = float>
__device__ __forceinline__ float silu_grad(float x)
{
    float s = sigmoid<T>(x);
    return fmaf(s * x, 1 - s, s);
}
