// Random numbers: uniform, normal by two methods, integers, dropout. The integers behind them are those of philox.cuh, the same on every
// device; element i takes lane i % 4 of block i / 4.
//
// Launch: one thread per Philox block of four elements (dropout in bfloat16: two blocks), 1-D, 256 threads a block.
// Bytes: 4 per element, in 16-byte writes (dropout 8 or 4); flops: one or two per element, and for two Box-Muller normals a logarithm, a
// root, a sine and a cosine. Philox takes about 25 integer multiplications and additions per element.
// Limit: memory for uniform numbers and dropout, arithmetic for normals.
#include "common.cuh"
#include "philox.cuh"
#include "scalar.cuh"

// y[n] = low + range u, u in [0, 1)
extern "C" __global__ void random_uniform_f32(PhiloxState state, int n, float low, float range, float* __restrict__ y)
{
    unsigned block = element_index();
    if (4 * block >= n)
        return;
    uint4 r = philox_block(state, block);
    store_pack(y, 4 * block, n, Pack<float>{
        low + range * uniform(r.x), low + range * uniform(r.y), low + range * uniform(r.z), low + range * uniform(r.w)});
}

// y[n]: standard normals by Box and Muller's formula.
extern "C" __global__ void random_normal_f32(PhiloxState state, int n, float* __restrict__ y)
{
    unsigned block = element_index();
    if (4 * block < n)
        store_pack(y, 4 * block, n, box_muller(philox_block(state, block)));
}

// y[n]: standard normals by the inverse of the distribution function.
extern "C" __global__ void random_normal_inverse_f32(PhiloxState state, int n, float* __restrict__ y)
{
    unsigned block = element_index();
    if (4 * block >= n)
        return;
    uint4 r = philox_block(state, block);
    store_pack(y, 4 * block, n, Pack<float>{normal_quantile(r.x), normal_quantile(r.y), normal_quantile(r.z), normal_quantile(r.w)});
}

// y[n]: integers in [low, low + range), each equally likely.
extern "C" __global__ void random_integers_i32(PhiloxState state, int n, int low, unsigned range, int* __restrict__ y)
{
    unsigned block = element_index(), i = 4 * block;
    if (i >= n)
        return;
    uint4 r = philox_block(state, block);
    unsigned lanes[4] = {r.x, r.y, r.z, r.w};
    int integers[4];
#pragma unroll
    for (int lane = 0; lane < 4; lane++)
        integers[lane] = low + philox_integer(state, block, lane, lanes[lane], range);
    if (is_aligned(y) && i + 4 <= n)
    {
        *reinterpret_cast<int4*>(y + i) = make_int4(integers[0], integers[1], integers[2], integers[3]);
        return;
    }
#pragma unroll
    for (int lane = 0; lane < 4; lane++)
    {
        if (i + lane < n)
            y[i + lane] = integers[lane];
    }
}

// y[n] = x[n] * scale where the element's u >= p, else 0. u is a multiple of 2^-24, so threshold = ceil(p * 2^24) decides exactly.
template <class T>
__device__ __forceinline__ void dropout(
    const PhiloxState& state, int n, unsigned threshold, float scale, const T* __restrict__ x, T* __restrict__ y)
{
    unsigned i = Pack<T>::size * element_index();
    if (i >= n)
        return;
    Pack<T> pack = load_pack(x, i, n);
#pragma unroll
    for (int first = 0; first < Pack<T>::size; first += 4)
    {
        uint4 r = philox_block(state, (i + first) / 4);
        unsigned lanes[4] = {r.x, r.y, r.z, r.w};
#pragma unroll
        for (int lane = 0; lane < 4; lane++)
            pack.v[first + lane] = lanes[lane] >> 8 >= threshold ? pack.v[first + lane] * scale : 0;
    }
    store_pack(y, i, n, pack);
}

#define DROPOUT_KERNEL(suffix, T) \
    extern "C" __global__ void random_dropout_##suffix( \
        PhiloxState state, int n, unsigned threshold, float scale, const T* __restrict__ x, T* __restrict__ y) \
    { \
        dropout<T>(state, n, threshold, scale, x, y); \
    }

DROPOUT_KERNEL(f32, float)
DROPOUT_KERNEL(bf16, bfloat16)
