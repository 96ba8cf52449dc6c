// The first rung of attention, by its definition: y = softmax(scale q k^T) v with the matrix of scores in global memory, a kernel for each
// step. attention.cu and attention_mma.cu compute the same without it.
// q and y are [Batch, QueryLength, Heads, HeadDim], k and v [Batch, KeyLength, Heads, HeadDim], scores and probabilities
// [Batch, Heads, QueryLength, KeyLength], lse and delta [Batch, Heads, QueryLength].
//
//   attention_naive_scores_*         scores = scale q k^T
//   attention_naive_softmax_f32      a row of scores becomes probabilities, in three passes; lse
//   attention_naive_values_*         y = probabilities v; the same kernel with ds and k makes gq
//   attention_naive_grad_scores_*    probabilities p = exp(scale q k^T - lse), and gradients ds = scale p (gy v^T - delta) of q k^T
//   attention_naive_grad_key_*       gk = ds^T q; the same kernel with p and gy makes gv
//
// Launch     blocks of 256 threads: one for each score, row of scores in softmax: a warp, and element of the result. All in one dimension.
// Bytes      4 Batch Heads QueryLength KeyLength: written, read three times and written by the softmax, read once for each of HeadDim
//            columns of y; backward the two matrices are written and read HeadDim times. q, k and v are read once for each score. Flops:
//            4 QueryLength KeyLength HeadDim forward, 10 backward, for each sample and head.
// Limit      loads from the L1 and L2 caches, two for each multiply-add, those of k with a stride; for long sequences the memory that
//            scores take.
#include "attention.cuh"
#include "common.cuh"
#include "scalar.cuh"

// Where the vector of a sample and head at a position of its sequence begins.
__device__ __forceinline__ int vector_start(const AttentionGeometry& g, int pair, int position, int length)
{
    return ((pair / g.heads * length + position) * g.heads + pair % g.heads) * g.head_dim;
}

template <class T>
__device__ __forceinline__ float dot(const T* __restrict__ a, const T* __restrict__ b, int count)
{
    float sum = 0;
    for (int c = 0; c < count; c++)
        sum = fmaf(to_float(a[c]), to_float(b[c]), sum);
    return sum;
}

// The score that a thread makes.
struct Place
{
    int pair, query, key;

    __device__ __forceinline__ Place(const AttentionGeometry& g, unsigned i)
        : pair(i / g.key_length / g.query_length), query(i / g.key_length % g.query_length), key(i % g.key_length)
    {
    }
};

template <class T>
__device__ __forceinline__ void attention_naive_scores(
    const AttentionGeometry& g, int count, const T* __restrict__ q, const T* __restrict__ k, float* __restrict__ scores)
{
    unsigned i = element_index();
    if (i >= (unsigned)count)
        return;
    Place at(g, i);
    int query = vector_start(g, at.pair, at.query, g.query_length), key = vector_start(g, at.pair, at.key, g.key_length);
    scores[i] = (float)g.scale * dot(q + query, k + key, g.head_dim);
}

extern "C" __global__ void attention_naive_softmax_f32(int rows, int columns, float* __restrict__ scores, float* __restrict__ lse)
{
    unsigned row = warp_index(), lane = threadIdx.x % 32;
    if (row >= rows)
        return;
    float* p = scores + (size_t)row * columns;
    float peak = Max::identity(), total = 0;
    for (int c = lane; c < columns; c += 32)
        peak = Max::join(peak, p[c]);
    peak = warp_reduce<Max>(peak);
    for (int c = lane; c < columns; c += 32)
        total += expf(p[c] - peak);
    total = warp_reduce<Sum>(total);
    for (int c = lane; c < columns; c += 32)
        p[c] = expf(p[c] - peak) / total;
    if (lane == 0)
        lse[row] = peak + logf(total);
}

// A side of the matrix [QueryLength, KeyLength] of weights: how many vectors it has, and how far neighbours are apart in the matrix.
struct Side
{
    int length, stride;
};

// result[of] = sum over the side `over` of the weights of (of, over) times its vectors.
template <class T>
__device__ __forceinline__ void attention_naive_weighted(
    const AttentionGeometry& g, int count, Side of, Side over, const float* __restrict__ weights, const T* __restrict__ vectors,
    T* __restrict__ result)
{
    unsigned i = element_index();
    if (i >= (unsigned)count)
        return;
    int c = i % g.head_dim, head = i / g.head_dim % g.heads, position = i / g.head_dim / g.heads % of.length;
    int n = i / g.head_dim / g.heads / of.length, pair = n * g.heads + head;
    const float* line = weights + (long long)pair * g.query_length * g.key_length + (long long)position * of.stride;
    float sum = 0;
    for (int other = 0; other < over.length; other++)
        sum = fmaf(line[(long long)other * over.stride], to_float(vectors[vector_start(g, pair, other, over.length) + c]), sum);
    result[i] = from_float<T>(sum);
}

template <class T>
__device__ __forceinline__ void attention_naive_grad_scores(
    const AttentionGeometry& g, int count, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,
    const float* __restrict__ lse, const float* __restrict__ delta, const T* __restrict__ gy, float* __restrict__ p, float* __restrict__ ds)
{
    unsigned i = element_index();
    if (i >= (unsigned)count)
        return;
    Place at(g, i);
    int query = vector_start(g, at.pair, at.query, g.query_length), key = vector_start(g, at.pair, at.key, g.key_length);
    int row = at.pair * g.query_length + at.query;
    float scale = (float)g.scale, probability = expf(scale * dot(q + query, k + key, g.head_dim) - lse[row]);
    p[i] = probability;
    ds[i] = scale * probability * (dot(gy + query, v + key, g.head_dim) - delta[row]);
}

#define ATTENTION_NAIVE(suffix, T)                                                                                       \
    extern "C" __global__ void attention_naive_scores_##suffix(                                                          \
        AttentionGeometry g, int count, const T* __restrict__ q, const T* __restrict__ k, float* __restrict__ scores)    \
    {                                                                                                                    \
        attention_naive_scores(g, count, q, k, scores);                                                                  \
    }                                                                                                                    \
    extern "C" __global__ void attention_naive_values_##suffix(                                                          \
        AttentionGeometry g, int count, const float* __restrict__ p, const T* __restrict__ v, T* __restrict__ y)         \
    {                                                                                                                    \
        attention_naive_weighted(g, count, {g.query_length, g.key_length}, {g.key_length, 1}, p, v, y);                  \
    }                                                                                                                    \
    extern "C" __global__ void attention_naive_grad_scores_##suffix(                                                     \
        AttentionGeometry g, int count, const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,       \
        const float* __restrict__ lse, const float* __restrict__ delta, const T* __restrict__ gy, float* __restrict__ p, \
        float* __restrict__ ds)                                                                                          \
    {                                                                                                                    \
        attention_naive_grad_scores(g, count, q, k, v, lse, delta, gy, p, ds);                                           \
    }                                                                                                                    \
    extern "C" __global__ void attention_naive_grad_key_##suffix(                                                        \
        AttentionGeometry g, int count, const float* __restrict__ weights, const T* __restrict__ vectors,                \
        T* __restrict__ result)                                                                                          \
    {                                                                                                                    \
        attention_naive_weighted(g, count, {g.key_length, 1}, {g.query_length, g.key_length}, weights, vectors, result); \
    }

ATTENTION_NAIVE(f32, float)
ATTENTION_NAIVE(bf16, bfloat16)
