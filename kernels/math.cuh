// Functions that several families use, accurate to a few units in the last place like the functions of CUDA's library they stand on.
#pragma once

__device__ __forceinline__ float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

// x sigmoid(x)
__device__ __forceinline__ float silu(float x)
{
    return x / (1 + expf(-x));
}

// The derivative of silu: sigmoid(x) (1 + x (1 - sigmoid(x))). 1 - sigmoid(x) is written without its cancellation.
__device__ __forceinline__ float silu_grad(float x)
{
    return sigmoid(x) * (1 + x / (1 + expf(x)));
}
