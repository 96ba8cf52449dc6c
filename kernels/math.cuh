// Functions that several families use, accurate to a few units in the last place like the functions of CUDA's library they stand on.
#pragma once

// 1 / x within one unit in the last place, in one instruction instead of a division's ten; 0 where the result is no normal number.
__device__ __forceinline__ float reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float sigmoid(float x)
{
    return reciprocal(1 + expf(-x));
}

// x sigmoid(x)
__device__ __forceinline__ float silu(float x)
{
    return x * reciprocal(1 + expf(-x));
}

// The derivative of silu: s (1 + x (1 - s)) with s = sigmoid(x). s and 1 - s come from one exponential, without overflow and without
// the cancellation in 1 - s.
__device__ __forceinline__ float silu_grad(float x)
{
    float e = expf(-fabsf(x)), larger = reciprocal(1 + e), smaller = e * larger;
    float s = x < 0 ? smaller : larger, rest = x < 0 ? larger : smaller;
    return fmaf(s * x, rest, s);
}
