// Copies between arrays that are walked differently: broadcast, permute, regions (slice, pad, concat), join and split.
//
// Elements are 32 bits of anything, float or int, and are moved unchanged.
// Launch: one thread per element copied, 1-D, 256 threads a block.
// Bytes: 8 per element; flops: none.
// Limit: memory. Writes of join, broadcast and permute are coalesced; reads of a permute that moves the last axis are not: each warp
// then reads 32 sectors of 32 bytes for 128 bytes used, and the caches must keep them for the warps that use the rest.
#include "common.cuh"

// y[b(i)] = x[a(i)] for i < w.count, a and b being strides A and B of the walk.
extern "C" __global__ void shaping_copy_b32(StridedWalk w, const unsigned* __restrict__ x, unsigned* __restrict__ y)
{
    unsigned i = element_index();
    if (i >= w.count)
        return;
    int from, to;
    walk_offsets(w, i, from, to);
    y[to] = x[from];
}

// y[rows, left + right]: each row of a[rows, left] followed by that of b[rows, right]. One thread per element of y.
extern "C" __global__ void shaping_join_b32(
    int rows, int left, int right, const unsigned* __restrict__ a, const unsigned* __restrict__ b, unsigned* __restrict__ y)
{
    unsigned i = element_index();
    unsigned width = left + right;
    if (i >= rows * width)
        return;
    unsigned row = i / width, column = i - row * width;
    y[i] = column < left ? a[row * left + column] : b[row * right + (column - left)];
}

// Takes apart what join makes. One thread per element of y.
extern "C" __global__ void shaping_split_b32(
    int rows, int left, int right, const unsigned* __restrict__ y, unsigned* __restrict__ a, unsigned* __restrict__ b)
{
    unsigned i = element_index();
    unsigned width = left + right;
    if (i >= rows * width)
        return;
    unsigned row = i / width, column = i - row * width;
    if (column < left)
        a[row * left + column] = y[i];
    else
        b[row * right + (column - left)] = y[i];
}
