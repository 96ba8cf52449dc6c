// Random numbers: uniform, normal by two methods, integers, dropout. The integers behind them are those of philox.cuh, the same on every
// device; element i takes lane i % 4 of block i / 4.
//
// Launch: one thread per Philox block of four elements, 1-D, 256 threads a block.
// Bytes: 4 per element (dropout 8); flops: one or two per element, and for two Box-Muller normals a logarithm, a root, a sine and a
// cosine. Philox takes about 25 integer multiplications and additions per element.
// Limit: memory for uniform numbers and dropout, arithmetic for normals.
#include "common.cuh"
#include "philox.cuh"

// y[n] = low + range u, u in [0, 1)
extern "C" __global__ void random_uniform_f32(PhiloxState state, int n, float low, float range, float* __restrict__ y)
{
    unsigned block = element_index();
    if (4 * block >= n)
        return;
    uint4 r = philox_block(state, block);
    store_four(y, 4 * block, n, make_float4(
        low + range * uniform(r.x), low + range * uniform(r.y), low + range * uniform(r.z), low + range * uniform(r.w)));
}

// y[n]: standard normals by Box and Muller's formula.
extern "C" __global__ void random_normal_f32(PhiloxState state, int n, float* __restrict__ y)
{
    unsigned block = element_index();
    if (4 * block < n)
        store_four(y, 4 * block, n, box_muller(philox_block(state, block)));
}

// y[n]: standard normals by the inverse of the distribution function.
extern "C" __global__ void random_normal_inverse_f32(PhiloxState state, int n, float* __restrict__ y)
{
    unsigned block = element_index();
    if (4 * block >= n)
        return;
    uint4 r = philox_block(state, block);
    store_four(y, 4 * block, n, make_float4(normal_quantile(r.x), normal_quantile(r.y), normal_quantile(r.z), normal_quantile(r.w)));
}

// y[n]: integers in [low, low + range), each equally likely.
extern "C" __global__ void random_integers_i32(PhiloxState state, int n, int low, unsigned range, int* __restrict__ y)
{
    unsigned block = element_index();
    if (4 * block >= n)
        return;
    uint4 r = philox_block(state, block);
    unsigned lanes[4] = {r.x, r.y, r.z, r.w};
#pragma unroll
    for (int lane = 0; lane < 4; lane++)
    {
        if (4 * block + lane < n)
            y[4 * block + lane] = low + philox_integer(state, block, lane, lanes[lane], range);
    }
}

// y[n] = x[n] * scale where the element's u >= p, else 0. u is a multiple of 2^-24, so threshold = ceil(p * 2^24) decides exactly.
extern "C" __global__ void random_dropout_f32(
    PhiloxState state, int n, unsigned threshold, float scale, const float* __restrict__ x, float* __restrict__ y)
{
    unsigned block = element_index();
    if (4 * block >= n)
        return;
    uint4 r = philox_block(state, block);
    float4 value = load_four(x, 4 * block, n);
    store_four(y, 4 * block, n, make_float4(
        r.x >> 8 >= threshold ? value.x * scale : 0, r.y >> 8 >= threshold ? value.y * scale : 0,
        r.z >> 8 >= threshold ? value.z * scale : 0, r.w >> 8 >= threshold ? value.w * scale : 0));
}
