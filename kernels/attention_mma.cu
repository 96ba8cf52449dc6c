// Attention y = softmax(scale q k^T) v on tensor cores, without a stored matrix of scores, in FlashAttention-2's order of work (Dao 2023):
// a warp keeps its queries in registers as left fragments and passes over keys and values by tiles, which cp.async brings to swizzled
// shared memory while the tile before is computed; scores are accumulators, become probabilities there with the row's largest score so far
// (exchanged within the four lanes of a row), and are the left fragments of the next product where they lie. exp2 with log2(e) folded into
// the scale replaces exp. q, k, v and y are read and written in place, [Batch, Length, Heads, HeadDim]; lse[Batch, Heads, QueryLength] in
// float. From compute capability 8.0 on; HeadDim a multiple of 16 bytes, vectors aligned to 16 bytes (others: attention.cu).
//
//   attention_mma_forward_W_*         heads of up to W elements, zeros filled up in shared memory; *_f32 rounds to tf32 on the way to products
//   attention_mma_forward_long_W_*    32 rows to a warp instead of 16
//
// Launch     grid (Batch * Heads * ceil(QueryLength / 64), ceil(HeadDim / columns)), 128 for 64 where long; 128 threads; shared memory
//            dynamic: two stages of a tile of keys [tile][W] and of values [tile][columns]. AttentionTile.cs repeats these numbers:
//              kernel       tile  columns  shared  registers  blocks on an H100's multiprocessor, by registers (65,536)
//              16_bf16        64       16   8 KiB        100  4
//              32_bf16        64       32  16 KiB        124  4
//              64_bf16        64       64  32 KiB        151  3
//              128_bf16       64      128  64 KiB        209  2
//              256_bf16       16      256  32 KiB        254  2
//              32_f32         64       32  32 KiB        128  4
//              64_f32         32       64  32 KiB        148  3
//              128_f32        32      128  64 KiB        216  2
//              256_f32        16      128  48 KiB        252  2, scores made twice
//              long_32_bf16   64       32  16 KiB        188  2        long_64_bf16   64   64  32 KiB   245  2
//              long_32_f32    64       32  32 KiB        199  2        long_64_f32    32   64  32 KiB   233  2
//            Eight to sixteen warps each of independent products hide the latency of an mma; more blocks would only hide that of a block's
//            beginning and end, which weigh where KeyLength is a few tiles (an image of 7 x 7 is one).
// Bytes      sizeof(T) * 2 * HeadDim * KeyLength for every 64 (128) queries, from L2 where it holds a head's keys and values; q, y and lse
//            once. Flops: 4 * QueryLength * KeyLength * HeadDim, with HeadDim and the lengths rounded up to W, strips and tiles.
// Limit      shared memory with 16 rows to a warp: 512 bytes read for two mma are 16 flops a byte (bf16), at 128 bytes a clock half of the
//            4,096 flops a clock that an H100's multiprocessor has dense; 32 rows double it. Then exp2: a score is 4 HeadDim flops, and
//            16 scores a clock are all that the special function units make: as long as the products at HeadDim 64. mma.sync itself reaches
//            about 60% of that peak on Hopper; the step after this one is wgmma.
#include "attention_mma.cuh"

#if __CUDA_ARCH__ >= 800

// The rows g and g + 8 of a strip so far: exp2 of a score is taken relative to `peak`, the largest of its row.
struct Softmax
{
    float peak[2], total[2];

    __device__ __forceinline__ Softmax()
    {
        peak[0] = peak[1] = __int_as_float(0xff800000);
        total[0] = total[1] = 0;
    }

    // Scores become exp2(factor (score - peak)); shrink is what earlier sums have to be multiplied with.
    template <int Tiles>
    __device__ __forceinline__ void add(float (&scores)[Tiles][4], float factor, float (&shrink)[2])
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            float highest = peak[half];
#pragma unroll
            for (int n = 0; n < Tiles; n++)
                highest = fmaxf(highest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
            highest = row_max(highest);
            shrink[half] = exp2_approximately((peak[half] - highest) * factor);
            peak[half] = highest;
            float offset = highest * factor, sum = 0;
#pragma unroll
            for (int n = 0; n < Tiles; n++)
            {
#pragma unroll
                for (int e = 2 * half; e < 2 * half + 2; e++)
                {
                    scores[n][e] = exp2_approximately(fmaf(scores[n][e], factor, -offset));
                    sum += scores[n][e];
                }
            }
            total[half] = fmaf(total[half], shrink[half], sum);
        }
    }
};

template <class T, int Width, int Columns, int Strips, int Tile>
__device__ __forceinline__ void attention_mma_forward(
    const AttentionGeometry& g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, T* __restrict__ y,
    float* __restrict__ lse)
{
    constexpr int rows = 16 * Strips * warps;
    constexpr int key_bytes = Tile * row_bytes<T, Width>, stage_bytes = key_bytes + Tile * row_bytes<T, Columns>;
    int blocks = (g.query_length + rows - 1) / rows, pair = blockIdx.x / blocks;
    int first_query = blockIdx.x % blocks * rows + threadIdx.x / 32 * 16 * Strips, first_column = blockIdx.y * Columns;
    Vectors<const T> queries(g, q, g.query_length, pair), keys(g, k, g.key_length, pair), values(g, v, g.key_length, pair);

    // One multiplication makes a score, in base 2, of a product; for the largest to stay the largest it has to be positive, so its sign
    // goes to the queries. Tiny instead of zero, lest infinity times zero arises.
    float scale = (float)g.scale, factor = fmaxf(fabsf(scale) * log2_e, 1e-36f);
    HeldStrip<T, Width> left[Strips];
#pragma unroll
    for (int strip = 0; strip < Strips; strip++)
        left[strip].load(queries, first_query + 16 * strip, scale < 0 ? Step<T>::signs : 0);

    Softmax softmax[Strips];
    float sums[Strips][Columns / 8][4] = {};
    int tiles = (g.key_length + Tile - 1) / Tile;
    auto copy = [&](int tile)
    {
        unsigned stage = shared_address(memory) + tile % 2 * stage_bytes;
        copy_tile<T, Tile, Width>(stage, keys, tile * Tile);
        copy_tile<T, Tile, Columns>(stage + key_bytes, values, tile * Tile, first_column);
        cp_async_commit();
    };
    copy(0);
    for (int tile = 0; tile < tiles; tile++)
    {
        cp_async_wait<0>();
        __syncthreads();
        if (tile + 1 < tiles)
            copy(tile + 1);
        unsigned stage = shared_address(memory) + tile % 2 * stage_bytes;
        float scores[Strips][Tile / 8][4];
        multiply_transposed<T, Width, Tile>(scores, left, stage);
        if (tile * Tile + Tile > g.key_length)
        {
#pragma unroll
            for (int n = 0; n < Tile / 8; n++)
            {
#pragma unroll
                for (int e = 0; e < 4; e++)
                {
                    bool exists = tile * Tile + 8 * n + threadIdx.x % 4 * 2 + e % 2 < g.key_length;
#pragma unroll
                    for (int strip = 0; strip < Strips; strip++)
                        scores[strip][n][e] = exists ? scores[strip][n][e] : __int_as_float(0xff800000);
                }
            }
        }
#pragma unroll
        for (int strip = 0; strip < Strips; strip++)
        {
            float shrink[2];
            softmax[strip].add(scores[strip], factor, shrink);
#pragma unroll
            for (int n = 0; n < Columns / 8; n++)
            {
#pragma unroll
                for (int e = 0; e < 4; e++)
                    sums[strip][n][e] *= shrink[e / 2];
            }
        }
        multiply_add<Columns, Columns, Tile>(sums, scores, stage + key_bytes, T());
    }

    Vectors<T> result(g, y, g.query_length, pair);
#pragma unroll
    for (int strip = 0; strip < Strips; strip++)
    {
        float inverse[2];
        int first = first_query + 16 * strip;
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            float total = row_sum(softmax[strip].total[half]);
            inverse[half] = 1 / total;
            int query = first + threadIdx.x % 32 / 4 + 8 * half;
            if (blockIdx.y == 0 && threadIdx.x % 4 == 0 && query < g.query_length)
                lse[pair * g.query_length + query] = softmax[strip].peak[half] * factor * ln_2 + logf(total);
        }
        write_strip<Columns>(result, first, first_column, sums[strip], inverse);
    }
}

#define FORWARD(name, T, width, columns, strips, tile)                                                                       \
    extern "C" __global__ void __launch_bounds__(threads, 1) attention_mma_forward_##name(                                      \
        AttentionGeometry g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, T* __restrict__ y,   \
        float* __restrict__ lse)                                                                                             \
    {                                                                                                                        \
        attention_mma_forward<T, width, columns, strips, tile>(g, q, k, v, y, lse);                                          \
    }

FORWARD(16_bf16, bfloat16, 16, 16, 1, 64)
FORWARD(32_bf16, bfloat16, 32, 32, 1, 64)
FORWARD(64_bf16, bfloat16, 64, 64, 1, 64)
FORWARD(128_bf16, bfloat16, 128, 128, 1, 64)
FORWARD(256_bf16, bfloat16, 256, 256, 1, 16)
FORWARD(32_f32, float, 32, 32, 1, 64)
FORWARD(64_f32, float, 64, 64, 1, 32)
FORWARD(128_f32, float, 128, 128, 1, 32)
FORWARD(256_f32, float, 256, 128, 1, 16)
FORWARD(long_32_bf16, bfloat16, 32, 32, 2, 64)
FORWARD(long_64_bf16, bfloat16, 64, 64, 2, 64)
FORWARD(long_32_f32, float, 32, 32, 2, 64)
FORWARD(long_64_f32, float, 64, 64, 2, 32)

#endif
