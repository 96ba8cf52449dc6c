// Gradients of attention on tensor cores. Probabilities are made again from lse, p = exp(scale q k^T - lse), and with delta = gy . y
// (attention_delta.cu): gv = p^T gy, ds = p (gy v^T - delta), gq = scale ds k, gk = scale ds^T q. Shapes and demands are those of
// attention_mma.cu, whose parts are used: strips of a block's own rows, tiles of the other side by cp.async, accumulators that become
// left fragments. Rows of keys use transposed scores, k q^T and v gy^T, so that p^T and ds^T are accumulators too and never move.
//
//   attention_mma_grad_query_W_*        gq, a block for 64 queries, in the order of keys; corrects delta for the next
//   attention_mma_grad_key_value_W_*    gk and gv, a block for 64 keys, in the order of queries
//
// Two kernels make scores twice, 7 products of QueryLength x KeyLength x HeadDim instead of 5. One kernel over keys would have to add to gq
// from many blocks: by atomics, whose order and so the bits differ from run to run, or through a copy of gq in float for every 64 keys and a
// second pass, which for long sequences is more memory than the matrix of scores that all this avoids (HeadDim / 64 of it, at 4 bytes).
//
// Launch     grid (Batch * Heads * ceil(length / 64), ceil(HeadDim / columns)), length that of the rows written; 128 threads; shared memory
//            dynamic: two stages of two tiles [tile][W] of the other side, before them the block's own rows where these are too wide for
//            registers ("own"), after them lse and delta of a stage's queries. AttentionTile.cs repeats these numbers:
//              kernel           tile  columns  shared       registers  blocks on an H100's multiprocessor
//              query 16_bf16      64       16    8 KiB            127  4
//              query 32_bf16      64       32   16 KiB            148  3
//              query 64_bf16      32       64   16 KiB            162  3
//              query 128_bf16     32      128   32 KiB            242  2
//              query 256_bf16     16      256   96 KiB, own       242  2
//              query 32_f32       32       32   16 KiB            140  3
//              query 64_f32       32       64   32 KiB            198  2
//              query 128_f32      16      128   96 KiB, own       176  2
//              query 256_f32      16      256  192 KiB, own       242  1
//              key 16_bf16        64       16    9 KiB            110  4
//              key 32_bf16        32       32  8.5 KiB            138  3
//              key 64_bf16        32       64 16.5 KiB            200  2
//              key 128_bf16       32      128 64.5 KiB, own       248  2
//              key 256_bf16       16      128  96+ KiB, own       239  2, scores made for each half of the columns
//              key 32_f32         32       32 16.5 KiB            168  3
//              key 64_f32         32       64 32.5 KiB            232  2
//              key 128_f32        16      128  96+ KiB, own       242  2
//              key 256_f32        16      128 192+ KiB, own       240  1, likewise
//            Tiles are as long as registers allow: two matrices of scores are live at a time, beside sums of one or two gradients.
// Bytes      sizeof(T) * 2 * HeadDim * length of the other side for every 64 rows, from L2 where it holds them; the block's own rows and
//            the results once. Flops: 6 * QueryLength * KeyLength * HeadDim for queries, 8 for keys and values.
// Limit      shared memory: 16 flops for a byte read in bf16, 8 in tf32 (half of the tensor cores' rate, see attention_mma.cu), less where
//            the block's own rows are read from it as well.
#include "attention_mma.cuh"

#if __CUDA_ARCH__ >= 800

// Two strips for every warp: of vectors, and of what they are paired with (gradients of the result, or values).
template <class T, int Width, bool Held>
struct Pair
{
    typedef typename StripKind<T, Width, Held>::Type Strip;

    // What they take of shared memory, from its beginning.
    static constexpr int rows = 16 * warps, bytes = Held ? 0 : 2 * rows * row_bytes<T, Width>;

    Strip first[1], second[1];

    // Shared strips are complete when the next group of copies is.
    __device__ __forceinline__ Pair(const Vectors<const T>& a, const Vectors<const T>& b, int block_row)
    {
        int row = threadIdx.x / 32 * 16;
        if constexpr (Held)
        {
            first[0].load(a, block_row + row);
            second[0].load(b, block_row + row);
        }
        else
        {
            unsigned tile = shared_address(memory);
            copy_tile<T, rows, Width>(tile, a, block_row);
            copy_tile<T, rows, Width>(tile + bytes / 2, b, block_row);
            first[0].load(tile, row);
            second[0].load(tile + bytes / 2, row);
        }
    }
};

template <class T, int Width, bool Held, int Tile>
__device__ __forceinline__ void attention_mma_grad_query(
    const AttentionGeometry& g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
    const float* __restrict__ lse, float* __restrict__ delta, const T* __restrict__ gy, T* __restrict__ gq)
{
    constexpr int rows = 16 * warps, tile_bytes = Tile * row_bytes<T, Width>;
    int blocks = (g.query_length + rows - 1) / rows, pair = blockIdx.x / blocks;
    int block_row = blockIdx.x % blocks * rows, first_query = block_row + threadIdx.x / 32 * 16;
    Vectors<const T> queries(g, q, g.query_length, pair), keys(g, k, g.key_length, pair), values(g, v, g.key_length, pair);
    Vectors<const T> gradients(g, gy, g.query_length, pair);
    float scale = (float)g.scale, factor = scale * log2_e;
    Pair<T, Width, Held> left(queries, gradients, block_row);
    auto copy = [&](int tile)
    {
        unsigned stage = shared_address(memory) + left.bytes + tile % 2 * 2 * tile_bytes;
        copy_tile<T, Tile, Width>(stage, keys, tile * Tile);
        copy_tile<T, Tile, Width>(stage + tile_bytes, values, tile * Tile);
        cp_async_commit();
    };
    copy(0);

    float log_sum[2], mean[2];
#pragma unroll
    for (int half = 0; half < 2; half++)
    {
        int query = first_query + threadIdx.x % 32 / 4 + 8 * half;
        log_sum[half] = query < g.query_length ? lse[pair * g.query_length + query] * log2_e : 0;
        mean[half] = query < g.query_length ? delta[pair * g.query_length + query] : 0;
    }

    // y was rounded before delta was made of it. Probabilities of a row sum to one, so what the gradients of its scores sum to instead of
    // zero is the error of its mean: `rest`.
    float sums[1][Width / 8][4] = {}, rest[2] = {};
    int tiles = (g.key_length + Tile - 1) / Tile;
    for (int tile = 0; tile < tiles; tile++)
    {
        cp_async_wait<0>();
        __syncthreads();
        if (tile + 1 < tiles)
            copy(tile + 1);
        unsigned stage = shared_address(memory) + left.bytes + tile % 2 * 2 * tile_bytes;
        float scores[1][Tile / 8][4], gp[1][Tile / 8][4];
        multiply_transposed<T, Width, Tile>(scores, left.first, stage);
        multiply_transposed<T, Width, Tile>(gp, left.second, stage + tile_bytes);
        float own_sum[2] = {}, own_total[2] = {};
#pragma unroll
        for (int n = 0; n < Tile / 8; n++)
        {
#pragma unroll
            for (int e = 0; e < 4; e++)
            {
                // Beyond the last key it could be anything, infinity included.
                bool exists = tile * Tile + 8 * n + (int)threadIdx.x % 4 * 2 + e % 2 < g.key_length;
                scores[0][n][e] = exists ? exp2_approximately(fmaf(scores[0][n][e], factor, -log_sum[e / 2])) : 0;
                own_sum[e / 2] = fmaf(scores[0][n][e], gp[0][n][e], own_sum[e / 2]);
                own_total[e / 2] += scores[0][n][e];
            }
        }
        if (tiles == 1)
        {
            mean[0] = row_sum(own_sum[0]) / row_sum(own_total[0]);
            mean[1] = row_sum(own_sum[1]) / row_sum(own_total[1]);
        }
#pragma unroll
        for (int n = 0; n < Tile / 8; n++)
        {
#pragma unroll
            for (int e = 0; e < 4; e++)
            {
                scores[0][n][e] *= gp[0][n][e] - mean[e / 2];
                rest[e / 2] += scores[0][n][e];
            }
        }
        multiply_add<Width, Width, Tile>(sums, scores, stage, T());
    }
    write_strip<Width>(Vectors<T>(g, gq, g.query_length, pair), first_query, 0, sums[0], {scale, scale});
#pragma unroll
    for (int half = 0; half < 2; half++)
    {
        int query = first_query + threadIdx.x % 32 / 4 + 8 * half;
        float error = row_sum(rest[half]);
        if (threadIdx.x % 4 == 0 && query < g.query_length)
            delta[pair * g.query_length + query] = mean[half] + error;
    }
}

// Rows are keys, and the products are transposed: scores of a key with a tile of queries. Queries beyond the last one are zeros, as are
// their gradients, so they add nothing.
template <class T, int Width, int Columns, bool Held, int Tile>
__device__ __forceinline__ void attention_mma_grad_key_value(
    const AttentionGeometry& g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
    const float* __restrict__ lse, const float* __restrict__ delta, const T* __restrict__ gy, T* __restrict__ gk, T* __restrict__ gv)
{
    constexpr int rows = 16 * warps, tile_bytes = Tile * row_bytes<T, Width>, stage_bytes = 2 * tile_bytes + 2 * Tile * (int)sizeof(float);
    int blocks = (g.key_length + rows - 1) / rows, pair = blockIdx.x / blocks;
    int block_row = blockIdx.x % blocks * rows, first_key = block_row + threadIdx.x / 32 * 16, first_column = blockIdx.y * Columns;
    Vectors<const T> queries(g, q, g.query_length, pair), keys(g, k, g.key_length, pair), values(g, v, g.key_length, pair);
    Vectors<const T> gradients(g, gy, g.query_length, pair);
    float scale = (float)g.scale, factor = scale * log2_e;
    Pair<T, Width, Held> left(keys, values, block_row);
    auto copy = [&](int tile)
    {
        unsigned stage = shared_address(memory) + left.bytes + tile % 2 * stage_bytes;
        copy_tile<T, Tile, Width>(stage, queries, tile * Tile);
        copy_tile<T, Tile, Width>(stage + tile_bytes, gradients, tile * Tile);
        copy_floats<Tile>(stage + 2 * tile_bytes, lse + pair * g.query_length, tile * Tile, g.query_length);
        copy_floats<Tile>(stage + 2 * tile_bytes + 4 * Tile, delta + pair * g.query_length, tile * Tile, g.query_length);
        cp_async_commit();
    };
    int tiles = (g.query_length + Tile - 1) / Tile;
    if (tiles > 0)
        copy(0);

    float sums_key[1][Columns / 8][4] = {}, sums_value[1][Columns / 8][4] = {};
    for (int tile = 0; tile < tiles; tile++)
    {
        cp_async_wait<0>();
        __syncthreads();
        if (tile + 1 < tiles)
            copy(tile + 1);
        unsigned stage = shared_address(memory) + left.bytes + tile % 2 * stage_bytes;
        float p[1][Tile / 8][4], ds[1][Tile / 8][4];
        multiply_transposed<T, Width, Tile>(p, left.first, stage);
        multiply_transposed<T, Width, Tile>(ds, left.second, stage + tile_bytes);
#pragma unroll
        for (int n = 0; n < Tile / 8; n++)
        {
#pragma unroll
            for (int side = 0; side < 2; side++)
            {
                unsigned at = stage + 2 * tile_bytes + 4 * (8 * n + threadIdx.x % 4 * 2 + side);
                float log_sum = load_shared(at) * log2_e, mean = load_shared(at + 4 * Tile);
#pragma unroll
                for (int e = side; e < 4; e += 2)
                {
                    p[0][n][e] = exp2_approximately(fmaf(p[0][n][e], factor, -log_sum));
                    ds[0][n][e] = p[0][n][e] * (ds[0][n][e] - mean);
                }
            }
        }
        multiply_add<Width, Columns, Tile>(sums_value, p, stage + tile_bytes + first_column * sizeof(T), T());
        multiply_add<Width, Columns, Tile>(sums_key, ds, stage + first_column * sizeof(T), T());
    }
    write_strip<Columns>(Vectors<T>(g, gk, g.key_length, pair), first_key, first_column, sums_key[0], {scale, scale});
    write_strip<Columns>(Vectors<T>(g, gv, g.key_length, pair), first_key, first_column, sums_value[0], {1, 1});
}

#define GRAD_QUERY(name, T, width, held, tile)                                                                               \
    extern "C" __global__ void __launch_bounds__(threads, 1) attention_mma_grad_query_##name(                                \
        AttentionGeometry g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                      \
        const float* __restrict__ lse, float* __restrict__ delta, const T* __restrict__ gy, T* __restrict__ gq)              \
    {                                                                                                                        \
        attention_mma_grad_query<T, width, held, tile>(g, q, k, v, lse, delta, gy, gq);                                      \
    }

#define GRAD_KEY_VALUE(name, T, width, columns, held, tile)                                                                  \
    extern "C" __global__ void __launch_bounds__(threads, 1) attention_mma_grad_key_value_##name(                            \
        AttentionGeometry g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                      \
        const float* __restrict__ lse, const float* __restrict__ delta, const T* __restrict__ gy, T* __restrict__ gk,        \
        T* __restrict__ gv)                                                                                                  \
    {                                                                                                                        \
        attention_mma_grad_key_value<T, width, columns, held, tile>(g, q, k, v, lse, delta, gy, gk, gv);                     \
    }

GRAD_QUERY(16_bf16, bfloat16, 16, true, 64)
GRAD_QUERY(32_bf16, bfloat16, 32, true, 64)
GRAD_QUERY(64_bf16, bfloat16, 64, true, 32)
GRAD_QUERY(128_bf16, bfloat16, 128, true, 32)
GRAD_QUERY(256_bf16, bfloat16, 256, false, 16)
GRAD_QUERY(32_f32, float, 32, true, 32)
GRAD_QUERY(64_f32, float, 64, true, 32)
GRAD_QUERY(128_f32, float, 128, false, 16)
GRAD_QUERY(256_f32, float, 256, false, 16)

GRAD_KEY_VALUE(16_bf16, bfloat16, 16, 16, true, 64)
GRAD_KEY_VALUE(32_bf16, bfloat16, 32, 32, true, 32)
GRAD_KEY_VALUE(64_bf16, bfloat16, 64, 64, true, 32)
GRAD_KEY_VALUE(128_bf16, bfloat16, 128, 128, false, 32)
GRAD_KEY_VALUE(256_bf16, bfloat16, 256, 128, false, 16)
GRAD_KEY_VALUE(32_f32, float, 32, 32, true, 32)
GRAD_KEY_VALUE(64_f32, float, 64, 64, true, 32)
GRAD_KEY_VALUE(128_f32, float, 128, 128, false, 16)
GRAD_KEY_VALUE(256_f32, float, 256, 128, false, 16)

#endif
