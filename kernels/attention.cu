// Scaled-dot-product attention y = softmax(scale q k^T) v for every sample and head, and its gradients, without a stored matrix of
// scores: scores are made tile by tile and used at once (Milakov and Gimelshein 2018; Dao et al. 2022).
// q and y are [Batch, QueryLength, Heads, HeadDim], k and v [Batch, KeyLength, Heads, HeadDim]; lse[Batch, Heads, QueryLength] is the
// logarithm of each row's sum of exp(score), from which the gradients make the probabilities again.
//
//   attention_forward_*          y and lse
//   attention_grad_query_*       gq; corrects delta for the next
//   attention_grad_key_value_*   gk and gv
// With p = exp(scale q k^T - lse) and delta = gy . y of attention_delta.cu: gv = p^T gy, ds = scale p (gy v^T - delta), gq = ds k,
// gk = ds^T q. Queries and keys have a kernel each, which sums in the order of the other side: no atomics, the same bits every time, for
// scores made twice.
//
// Launch     grid (Batch * Heads * ceil(length / 32), ceil(HeadDim / columns)), blocks of 256 threads; length is that of the side whose
//            rows are written, columns (in the name: 32, 64 or 128) how many columns of these a block sums. Wider heads are done in
//            slices of columns, each of which makes the scores anew.
// Types      f32, and bf16 that is converted where it is loaded and stored: the path of bfloat16 on devices before Ampere.
// Bytes      sizeof(T) * 2 * HeadDim * KeyLength for every 32 queries forward, sizeof(T) * 4 * HeadDim * QueryLength for every 32 keys
//            backward, from the L2 cache. Flops: 4 * QueryLength * KeyLength * HeadDim forward, 14 backward.
// Limit      shared memory: 5 floats read for 4 multiply-adds.
#include "attention.cuh"
#include "common.cuh"
#include "scalar.cuh"

// Queries and keys that meet in a block at a time, and columns staged at a time.
constexpr int tile = 32;

// Eight neighbouring threads share a row of the tile; each has every eighth column.
constexpr int row_threads = 8;
constexpr int row_scores = tile / row_threads;

// A tile in shared memory; with one more column, threads that walk down a column meet different banks.
using Tile = float[tile][tile + 1];

// The vectors of one sample and head.
template <class T>
struct Vectors
{
    const T* __restrict__ values;
    int length, stride, width;

    __device__ __forceinline__ Vectors(const AttentionGeometry& g, const T* __restrict__ tensor, int length, int pair)
        : values(tensor + (long long)(pair / g.heads) * length * g.heads * g.head_dim + pair % g.heads * g.head_dim),
          length(length), stride(g.heads * g.head_dim), width(g.head_dim)
    {
    }

    // Columns [column, column + tile) of rows [row, row + tile); zeros beyond the borders.
    __device__ __forceinline__ void stage(int row, int column, Tile& to) const
    {
#pragma unroll
        for (int i = 0; i < tile * tile; i += tile * row_threads)
        {
            int r = (i + threadIdx.x) / tile, c = (i + threadIdx.x) % tile;
            to[r][c] = row + r < length && column + c < width ? to_float(values[(row + r) * stride + column + c]) : 0.0f;
        }
    }
};

__device__ __forceinline__ int my_row()
{
    return threadIdx.x / row_threads;
}

// The j-th of the columns of a tile that belong to this thread.
__device__ __forceinline__ int my_column(int j)
{
    return threadIdx.x % row_threads + j * row_threads;
}

// Joins a value of the threads of a row; each of them receives the result.
template <class Op>
__device__ __forceinline__ float row_reduce(float value)
{
#pragma unroll
    for (int distance = row_threads / 2; distance > 0; distance /= 2)
        value = Op::join(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

// dots[j] = vector first_a + my_row() of a times vector first_b + my_column(j) of b.
template <class T>
__device__ __forceinline__ void dot_products(
    const Vectors<T>& a, int first_a, const Vectors<T>& b, int first_b, Tile& stage_a, Tile& stage_b, float (&dots)[row_scores])
{
#pragma unroll
    for (int j = 0; j < row_scores; j++)
        dots[j] = 0;
    for (int column = 0; column < a.width; column += tile)
    {
        __syncthreads();
        a.stage(first_a, column, stage_a);
        b.stage(first_b, column, stage_b);
        __syncthreads();
        int width = min(tile, a.width - column);
        for (int c = 0; c < width; c++)
        {
            float left = stage_a[my_row()][c];
#pragma unroll
            for (int j = 0; j < row_scores; j++)
                dots[j] = fmaf(left, stage_b[my_column(j)][c], dots[j]);
        }
    }
}

// Adds the vectors of b from `first` on, times the weights of this thread's row, to the sums of this thread's columns from
// first_column on.
template <int Columns, class T>
__device__ __forceinline__ void add_weighted(
    const Tile& weights, const Vectors<T>& b, int first, int first_column, Tile& stage, float (&sums)[Columns / row_threads])
{
    int count = min(tile, b.length - first);
#pragma unroll
    for (int slice = 0; slice < Columns / tile; slice++)
    {
        int column = first_column + slice * tile;
        if (column >= b.width)
            break;
        __syncthreads();
        b.stage(first, column, stage);
        __syncthreads();
        for (int r = 0; r < count; r++)
        {
            float weight = weights[my_row()][r];
#pragma unroll
            for (int j = 0; j < row_scores; j++)
                sums[slice * row_scores + j] = fmaf(weight, stage[r][my_column(j)], sums[slice * row_scores + j]);
        }
    }
}

// Writes factor * sums to this thread's columns of a row of a tensor laid out like `like`, for one sample and head.
template <int Columns, class T>
__device__ __forceinline__ void write_row(
    const AttentionGeometry& g, T* __restrict__ tensor, int length, int pair, int row, int first_column, float factor,
    const float (&sums)[Columns / row_threads])
{
    if (row >= length)
        return;
    T* to = tensor + (((long long)(pair / g.heads) * length + row) * g.heads + pair % g.heads) * g.head_dim;
#pragma unroll
    for (int j = 0; j < Columns / row_threads; j++)
    {
        int column = first_column + my_column(j);
        if (column < g.head_dim)
            to[column] = from_float<T>(factor * sums[j]);
    }
}

template <class T, int Columns>
__device__ __forceinline__ void attention_forward(
    const AttentionGeometry& g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
    T* __restrict__ y, float* __restrict__ lse)
{
    __shared__ Tile stage_a, stage_b, weights;
    int tiles = (g.query_length + tile - 1) / tile, pair = blockIdx.x / tiles;
    int first_query = blockIdx.x % tiles * tile, query = first_query + my_row();
    int first_column = blockIdx.y * Columns;
    Vectors<T> queries(g, q, g.query_length, pair), keys(g, k, g.key_length, pair), values(g, v, g.key_length, pair);
    float scale = (float)g.scale;

    // Sums so far are those of exp(score - largest), largest being the largest score so far of the row.
    float largest = Max::identity(), total = 0, sums[Columns / row_threads] = {};
    for (int first_key = 0; first_key < g.key_length; first_key += tile)
    {
        float scores[row_scores];
        dot_products(queries, first_query, keys, first_key, stage_a, stage_b, scores);
        float peak = largest;
#pragma unroll
        for (int j = 0; j < row_scores; j++)
        {
            scores[j] = first_key + my_column(j) < g.key_length ? scale * scores[j] : Max::identity();
            peak = Max::join(peak, scores[j]);
        }
        peak = row_reduce<Max>(peak);
        float shrink = expf(largest - peak);
        largest = peak;
        total *= shrink;
#pragma unroll
        for (int j = 0; j < row_scores; j++)
        {
            float p = expf(scores[j] - peak);
            total += p;
            weights[my_row()][my_column(j)] = p;
        }
#pragma unroll
        for (int j = 0; j < Columns / row_threads; j++)
            sums[j] *= shrink;
        add_weighted<Columns>(weights, values, first_key, first_column, stage_b, sums);
    }
    total = row_reduce<Sum>(total);
    write_row<Columns>(g, y, g.query_length, pair, query, first_column, total > 0 ? 1 / total : total, sums);
    if (query < g.query_length && threadIdx.x % row_threads == 0 && blockIdx.y == 0)
        lse[pair * g.query_length + query] = largest + logf(total);
}

template <class T, int Columns>
__device__ __forceinline__ void attention_grad_query(
    const AttentionGeometry& g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
    const float* __restrict__ lse, float* __restrict__ delta, const T* __restrict__ gy, T* __restrict__ gq)
{
    __shared__ Tile stage_a, stage_b, weights;
    int tiles = (g.query_length + tile - 1) / tile, pair = blockIdx.x / tiles;
    int first_query = blockIdx.x % tiles * tile, query = first_query + my_row();
    int first_column = blockIdx.y * Columns;
    Vectors<T> queries(g, q, g.query_length, pair), keys(g, k, g.key_length, pair), values(g, v, g.key_length, pair);
    Vectors<T> gradients(g, gy, g.query_length, pair);
    float scale = (float)g.scale;
    bool exists = query < g.query_length;
    float log_sum = exists ? lse[pair * g.query_length + query] : 0, mean = exists ? delta[pair * g.query_length + query] : 0;

    // y was rounded before delta was made of it. Probabilities of a row sum to one, so what the gradients of its scores sum to instead of
    // zero is the error of its mean: `rest`.
    float sums[Columns / row_threads] = {}, rest = 0;
    for (int first_key = 0; first_key < g.key_length; first_key += tile)
    {
        float scores[row_scores], gp[row_scores];
        dot_products(queries, first_query, keys, first_key, stage_a, stage_b, scores);
        dot_products(gradients, first_query, values, first_key, stage_a, stage_b, gp);
        float own_sum = 0, own_total = 0;
#pragma unroll
        for (int j = 0; j < row_scores; j++)
        {
            // Beyond the last key it could be anything, infinity included.
            scores[j] = first_key + my_column(j) < g.key_length ? expf(fmaf(scale, scores[j], -log_sum)) : 0;
            own_sum = fmaf(scores[j], gp[j], own_sum);
            own_total += scores[j];
        }
        if (g.key_length <= tile)
            mean = row_reduce<Sum>(own_sum) / row_reduce<Sum>(own_total);
#pragma unroll
        for (int j = 0; j < row_scores; j++)
        {
            float ds = scores[j] * (gp[j] - mean);
            rest += ds;
            weights[my_row()][my_column(j)] = ds;
        }
        add_weighted<Columns>(weights, keys, first_key, first_column, stage_b, sums);
    }
    write_row<Columns>(g, gq, g.query_length, pair, query, first_column, scale, sums);
    // Blocks with other columns of these rows may read it still.
    mean += row_reduce<Sum>(rest);
    if (exists && gridDim.y == 1 && threadIdx.x % row_threads == 0)
        delta[pair * g.query_length + query] = mean;
}

// The same with the sides exchanged: rows are keys, columns are queries.
template <class T, int Columns>
__device__ __forceinline__ void attention_grad_key_value(
    const AttentionGeometry& g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
    const float* __restrict__ lse, const float* __restrict__ delta, const T* __restrict__ gy, T* __restrict__ gk,
    T* __restrict__ gv)
{
    __shared__ Tile stage_a, stage_b, weights, weights_of_gradients;
    int tiles = (g.key_length + tile - 1) / tile, pair = blockIdx.x / tiles;
    int first_key = blockIdx.x % tiles * tile, key = first_key + my_row();
    int first_column = blockIdx.y * Columns;
    Vectors<T> queries(g, q, g.query_length, pair), keys(g, k, g.key_length, pair), values(g, v, g.key_length, pair);
    Vectors<T> gradients(g, gy, g.query_length, pair);
    float scale = (float)g.scale;

    float sums_key[Columns / row_threads] = {}, sums_value[Columns / row_threads] = {};
    for (int first_query = 0; first_query < g.query_length; first_query += tile)
    {
        float scores[row_scores], gp[row_scores];
        dot_products(keys, first_key, queries, first_query, stage_a, stage_b, scores);
        dot_products(values, first_key, gradients, first_query, stage_a, stage_b, gp);
#pragma unroll
        for (int j = 0; j < row_scores; j++)
        {
            int query = first_query + my_column(j);
            float p = 0, ds = 0;
            if (query < g.query_length)
            {
                p = expf(fmaf(scale, scores[j], -lse[pair * g.query_length + query]));
                ds = p * (gp[j] - delta[pair * g.query_length + query]);
            }
            weights[my_row()][my_column(j)] = ds;
            weights_of_gradients[my_row()][my_column(j)] = p;
        }
        add_weighted<Columns>(weights, queries, first_query, first_column, stage_a, sums_key);
        add_weighted<Columns>(weights_of_gradients, gradients, first_query, first_column, stage_b, sums_value);
    }
    write_row<Columns>(g, gk, g.key_length, pair, key, first_column, scale, sums_key);
    write_row<Columns>(g, gv, g.key_length, pair, key, first_column, 1, sums_value);
}

#define ATTENTION(columns, suffix, T)                                                                                        \
    extern "C" __global__ void __launch_bounds__(tile * row_threads, 1) attention_forward_##columns##_##suffix(              \
        AttentionGeometry g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v, T* __restrict__ y,   \
        float* __restrict__ lse)                                                                                             \
    {                                                                                                                        \
        attention_forward<T, columns>(g, q, k, v, y, lse);                                                                   \
    }                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(tile * row_threads, 1) attention_grad_query_##columns##_##suffix(           \
        AttentionGeometry g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                      \
        const float* __restrict__ lse, float* __restrict__ delta, const T* __restrict__ gy, T* __restrict__ gq)              \
    {                                                                                                                        \
        attention_grad_query<T, columns>(g, q, k, v, lse, delta, gy, gq);                                                    \
    }                                                                                                                        \
    extern "C" __global__ void __launch_bounds__(tile * row_threads, 1) attention_grad_key_value_##columns##_##suffix(       \
        AttentionGeometry g, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                      \
        const float* __restrict__ lse, const float* __restrict__ delta, const T* __restrict__ gy, T* __restrict__ gk,        \
        T* __restrict__ gv)                                                                                                  \
    {                                                                                                                        \
        attention_grad_key_value<T, columns>(g, q, k, v, lse, delta, gy, gk, gv);                                            \
    }

#define ATTENTION_OF_TYPE(suffix, T)                                                                                         \
    ATTENTION(32, suffix, T)                                                                                                 \
    ATTENTION(64, suffix, T)                                                                                                 \
    ATTENTION(128, suffix, T)

ATTENTION_OF_TYPE(f32, float)
ATTENTION_OF_TYPE(bf16, bfloat16)
