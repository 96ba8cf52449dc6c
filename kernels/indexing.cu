// Rows taken by index and their gradients: embedding, gather, one-hot. Indices are int and have been checked to lie in range.
//
//   indexing_embedding_grad_*   the gradient of an embedding, added in the order of the indices
//   indexing_embedding_*        rows of a table: copies of 2, 4 or 16 bytes
//   indexing_gather_grad_*      the gradient of gather, added in the order of the indices
//   indexing_gather_*           elements along an axis
//
// Launch: stated at each kernel. One-dimensional blocks of 256 threads but for the gradient of an embedding, which has 128.
// Bytes: 2 elements per element of y (and an index of 4 bytes where each element has its own); flops: none forward, one addition per element
// of gy in the gradients.
// Limit: memory. Threads along the inner axis read and write neighbours, rows of whole 16 bytes in 16 bytes. The gradients add in the order
// of the indices and use no atomics, so they give the same bits every time; what that costs is stated at each.
#include "common.cuh"
#include "scalar.cuh"

// y[j, i] = x[index[j], i]: x[rows, inner], y[count, inner], a thread per unit of y.
template <class Unit>
__device__ __forceinline__ void embedding(
    int count, int inner, const Unit* __restrict__ x, const int* __restrict__ index, Unit* __restrict__ y)
{
    unsigned at = element_index();
    if (at >= count * inner)
        return;
    int j = at / inner, i = at - j * inner;
    y[at] = x[(size_t)index[j] * inner + i];
}

// y[o, j, i] = x[o, index[o, j, i], i]: x[outer, rows, inner], y and index[outer, count, inner], a thread per element of y.
template <class Unit>
__device__ __forceinline__ void gather(
    int n, int rows, int inner, int count, const Unit* __restrict__ x, const int* __restrict__ index, Unit* __restrict__ y)
{
    unsigned at = element_index();
    if (at >= n)
        return;
    int line = at / inner, i = at - line * inner, o = line / count;
    y[at] = x[((size_t)o * rows + index[at]) * inner + i];
}

#define EMBEDDING_KERNEL(suffix, Unit) \
    extern "C" __global__ void indexing_embedding_##suffix( \
        int count, int inner, const Unit* __restrict__ x, const int* __restrict__ index, Unit* __restrict__ y) \
    { \
        embedding<Unit>(count, inner, x, index, y); \
    }

#define GATHER_KERNEL(suffix, Unit) \
    extern "C" __global__ void indexing_gather_##suffix( \
        int n, int rows, int inner, int count, const Unit* __restrict__ x, const int* __restrict__ index, Unit* __restrict__ y) \
    { \
        gather<Unit>(n, rows, inner, count, x, index, y); \
    }

EMBEDDING_KERNEL(b16, unsigned short)
EMBEDDING_KERNEL(b32, unsigned)
EMBEDDING_KERNEL(b128, uint4)
GATHER_KERNEL(b16, unsigned short)
GATHER_KERNEL(b32, unsigned)

// gx[row, i] = sum of gy[j, i] over the j with index[j] == row, in the order of j. A block of 128 threads owns `Width` columns a thread of
// one row (grid: rows * ceil(inner / (128 Width))). It looks through the indices 128 at a time, one a thread; ballots say which of them are
// its row's, and for each of those all threads add their columns of gy. gy is read and gx written once, and the indices, which stay in the
// cache, once a block: rows * count comparisons for each 128 Width columns, an instruction of a warp for 32 of them.
template <class T, int Width>
__device__ __forceinline__ void embedding_grad(
    int inner, int count, const T* __restrict__ gy, const int* __restrict__ index, T* __restrict__ gx)
{
    constexpr int warps = 4;
    __shared__ unsigned found[2][warps];
    unsigned slices = ((unsigned)inner + warps * 32 * Width - 1) / (warps * 32 * Width);
    int row = blockIdx.x / slices, i = ((blockIdx.x - row * slices) * blockDim.x + threadIdx.x) * Width;
    float sum[Width] = {};
    // One barrier a round: the masks of the next go to the other half.
    for (int start = 0, half = 0; start < count; start += 32 * warps, half ^= 1)
    {
        int j = start + threadIdx.x;
        unsigned mask = __ballot_sync(0xffffffffu, j < count && index[j] == row);
        if (threadIdx.x % 32 == 0)
            found[half][threadIdx.x / 32] = mask;
        __syncthreads();
        if (i >= inner)
            continue;
#pragma unroll
        for (int warp = 0; warp < warps; warp++)
        {
            for (unsigned rest = found[half][warp]; rest != 0; rest &= rest - 1)
            {
                const T* from = gy + (size_t)(start + 32 * warp + __ffs(rest) - 1) * inner + i;
                if constexpr (Width == 1)
                {
                    sum[0] += to_float(*from);
                }
                else
                {
                    Pack<T> pack = load_pack(from);
#pragma unroll
                    for (int k = 0; k < Width; k++)
                        sum[k] += pack.v[k];
                }
            }
        }
    }
    if (i >= inner)
        return;
    T* to = gx + (size_t)row * inner + i;
    if constexpr (Width == 1)
    {
        *to = from_float<T>(sum[0]);
    }
    else
    {
        Pack<T> pack;
#pragma unroll
        for (int k = 0; k < Width; k++)
            pack.v[k] = sum[k];
        store_pack(to, pack);
    }
}

// gx[o, index[o, j, i], i] += gy[o, j, i] in the order of j, on a gx of zeros, which is of floats whatever gy is. A thread owns a column
// (o, i) of gx, so no two threads write to the same place; it takes count dependent steps.
template <class T>
__device__ __forceinline__ void gather_grad(
    int columns, int rows, int inner, int count, const T* __restrict__ gy, const int* __restrict__ index, float* __restrict__ gx)
{
    unsigned at = element_index();
    if (at >= columns)
        return;
    int o = at / inner, i = at - o * inner;
    for (int j = 0; j < count; j++)
    {
        size_t from = ((size_t)o * count + j) * inner + i;
        gx[((size_t)o * rows + index[from]) * inner + i] += to_float(gy[from]);
    }
}

// packed: rows of whole 16 bytes.
#define GRADIENT_KERNELS(suffix, T) \
    extern "C" __global__ void __launch_bounds__(128) indexing_embedding_grad_##suffix( \
        int inner, int count, const T* __restrict__ gy, const int* __restrict__ index, T* __restrict__ gx) \
    { \
        embedding_grad<T, 1>(inner, count, gy, index, gx); \
    } \
    extern "C" __global__ void __launch_bounds__(128) indexing_embedding_grad_packed_##suffix( \
        int inner, int count, const T* __restrict__ gy, const int* __restrict__ index, T* __restrict__ gx) \
    { \
        embedding_grad<T, Pack<T>::size>(inner, count, gy, index, gx); \
    } \
    extern "C" __global__ void indexing_gather_grad_##suffix( \
        int columns, int rows, int inner, int count, const T* __restrict__ gy, const int* __restrict__ index, float* __restrict__ gx) \
    { \
        gather_grad<T>(columns, rows, inner, count, gy, index, gx); \
    }

GRADIENT_KERNELS(f32, float)
GRADIENT_KERNELS(bf16, bfloat16)

// y[n, classes] = class == index[n] ? 1 : 0. A thread per four elements.
extern "C" __global__ void indexing_one_hot_f32(int count, int classes, const int* __restrict__ index, float* __restrict__ y)
{
    unsigned first = 4 * element_index(), n = count * classes;
    if (first >= n)
        return;
    Pack<float> pack;
#pragma unroll
    for (int k = 0; k < 4; k++)
    {
        unsigned at = min(first + k, n - 1), row = at / classes;
        pack.v[k] = index[row] == (int)(at - row * classes) ? 1 : 0;
    }
    store_pack(y, first, n, pack);
}
