// Rows taken by index and their gradients: embedding, gather, one-hot. Indices are int and have been checked to lie in range.
//
// Launch: one thread per element written, 1-D, 256 threads a block (gather's gradient: one per column of gy).
// Bytes: 8 per element of y (12 with one index per element); flops: none forward, one addition per element of gy in the gradients.
// Limit: memory. Threads along the inner axis read and write neighbours. The gradients add in the order of the indices and use no
// atomics, so they give the same bits every time; what that costs is stated at each.
#include "common.cuh"

// y[j, i] = x[index[j], i]: x[rows, inner], y[count, inner].
extern "C" __global__ void indexing_embedding_f32(
    int count, int inner, const float* __restrict__ x, const int* __restrict__ index, float* __restrict__ y)
{
    unsigned at = element_index();
    if (at >= count * inner)
        return;
    int j = at / inner, i = at - j * inner;
    y[at] = x[(size_t)index[j] * inner + i];
}

// gx[row, i] = sum of gy[j, i] over the j with index[j] == row, in the order of j. A thread owns an element of gx and looks through all
// indices (they are read by all threads at once and stay in the cache): count comparisons per element.
extern "C" __global__ void indexing_embedding_grad_f32(
    int rows, int inner, int count, const float* __restrict__ gy, const int* __restrict__ index, float* __restrict__ gx)
{
    unsigned at = element_index();
    if (at >= rows * inner)
        return;
    int row = at / inner, i = at - row * inner;
    float sum = 0;
    for (int j = 0; j < count; j++)
    {
        if (index[j] == row)
            sum += gy[(size_t)j * inner + i];
    }
    gx[at] = sum;
}

// y[o, j, i] = x[o, index[o, j, i], i]: x[outer, rows, inner], y and index[outer, count, inner].
extern "C" __global__ void indexing_gather_f32(
    int n, int rows, int inner, int count, const float* __restrict__ x, const int* __restrict__ index, float* __restrict__ y)
{
    unsigned at = element_index();
    if (at >= n)
        return;
    int line = at / inner, i = at - line * inner, o = line / count;
    y[at] = x[((size_t)o * rows + index[at]) * inner + i];
}

// gx[o, index[o, j, i], i] += gy[o, j, i] in the order of j, on a gx of zeros. A thread owns a column (o, i) of gx, so no two threads
// write to the same place; it takes count dependent steps.
extern "C" __global__ void indexing_gather_grad_f32(
    int columns, int rows, int inner, int count, const float* __restrict__ gy, const int* __restrict__ index, float* __restrict__ gx)
{
    unsigned at = element_index();
    if (at >= columns)
        return;
    int o = at / inner, i = at - o * inner;
    for (int j = 0; j < count; j++)
    {
        size_t from = ((size_t)o * count + j) * inner + i;
        gx[((size_t)o * rows + index[from]) * inner + i] += gy[from];
    }
}

// y[n, classes] = class == index[n] ? 1 : 0
extern "C" __global__ void indexing_one_hot_f32(int count, int classes, const int* __restrict__ index, float* __restrict__ y)
{
    unsigned at = element_index();
    if (at >= count * classes)
        return;
    int n = at / classes;
    y[at] = index[n] == at - n * classes ? 1 : 0;
}
