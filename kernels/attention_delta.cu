// delta[Batch, Heads, QueryLength] = gy . y for every query, the mean of the gradients of a row's scores under its probabilities: the first
// step of the gradients of attention on every rung. y and gy are [Batch, QueryLength, Heads, HeadDim]. y has been
// rounded to its type and perhaps made of rounded values; the kernels for the queries' gradient, which have a row's probabilities, do
// without it where they see all keys at a time and correct it for the kernels that follow. attention_delta_tf32_f32 rounds gy as the
// products in tf32 do: gradients of scores are differences to their mean, which has to be one of the same numbers.
//
// Launch     a warp for each query and head, blocks of 128 threads.
// Bytes      2 sizeof(T) HeadDim for every query and head. Flops: 2 HeadDim.
// Limit      memory.
#include "attention.cuh"
#include "common.cuh"
#include "scalar.cuh"

// To 10 fraction bits, ties away from zero, as cvt.rna.tf32.f32 does from Ampere on.
__device__ __forceinline__ float tf32_of(float x)
{
    return __uint_as_float(__float_as_uint(x) + 0x1000 & 0xffffe000u);
}

template <bool Tf32, class T>
__device__ __forceinline__ void attention_delta(
    const AttentionGeometry& g, const T* __restrict__ y, const T* __restrict__ gy, float* __restrict__ delta)
{
    unsigned row = warp_index(), lane = threadIdx.x % 32;
    if (row >= g.batch * g.query_length * g.heads)
        return;
    size_t start = (size_t)row * g.head_dim;
    float sum = 0;
    for (int c = lane; c < g.head_dim; c += 32)
    {
        float gradient = to_float(gy[start + c]);
        sum = fmaf(Tf32 ? tf32_of(gradient) : gradient, to_float(y[start + c]), sum);
    }
    sum = warp_reduce<Sum>(sum);
    if (lane == 0)
    {
        int position = row / g.heads, head = row - position * g.heads;
        int n = position / g.query_length, query = position - n * g.query_length;
        delta[(n * g.heads + head) * g.query_length + query] = sum;
    }
}

extern "C" __global__ void attention_delta_f32(
    AttentionGeometry g, const float* __restrict__ y, const float* __restrict__ gy, float* __restrict__ delta)
{
    attention_delta<false>(g, y, gy, delta);
}

extern "C" __global__ void attention_delta_tf32_f32(
    AttentionGeometry g, const float* __restrict__ y, const float* __restrict__ gy, float* __restrict__ delta)
{
    attention_delta<true>(g, y, gy, delta);
}

extern "C" __global__ void attention_delta_bf16(
    AttentionGeometry g, const bfloat16* __restrict__ y, const bfloat16* __restrict__ gy, float* __restrict__ delta)
{
    attention_delta<false>(g, y, gy, delta);
}
