// Copies between arrays that are walked differently: broadcast, permute, regions (slice, pad, concat), join and split.
//
//   shaping_copy_*        a walk by strides
//   shaping_transpose_*   a permute that moves the last axis
//   shaping_join_*        y[rows, left + right]: each row of a[rows, left] followed by that of b[rows, right]
//   shaping_split_*       takes apart what join makes
//
// Elements are 16 or 32 bits of anything, float or int, and are moved unchanged. Where runs of whole 16 (or 4) bytes that begin at such
// addresses lie side by side in both arrays, those runs are the units that are moved: b128 (or b32).
// Launch: one thread per unit copied, 1-D, 256 threads a block; transposes 32 x 8 threads for a tile.
// Bytes: 2 elements per element; flops: none.
// Limit: memory. A copy of b128 asks for 16 whole sectors at a time. A permute that moves the last axis cannot have neighbours on both sides:
// walked by elements, each warp reads 32 sectors of 32 bytes for 128 bytes used, and the caches must keep them for the warps that use the
// rest. Transposes go through a tile of shared memory instead and have 4 whole sectors a request on both sides.
#include "common.cuh"

// y[b(i)] = x[a(i)] for i < w.count, a and b being strides A and B of the walk.
template <class Unit>
__device__ __forceinline__ void copy(const StridedWalk& w, const Unit* __restrict__ x, Unit* __restrict__ y)
{
    unsigned i = element_index();
    if (i >= w.count)
        return;
    int from, to;
    walk_offsets(w, i, from, to);
    y[to] = x[from];
}

// y[rows, left + right]: each row of a[rows, left] followed by that of b[rows, right]. One thread per unit of y.
template <class Unit>
__device__ __forceinline__ void join(
    int rows, int left, int right, const Unit* __restrict__ a, const Unit* __restrict__ b, Unit* __restrict__ y)
{
    unsigned i = element_index();
    unsigned width = left + right;
    if (i >= rows * width)
        return;
    unsigned row = i / width, column = i - row * width;
    y[i] = column < left ? a[row * left + column] : b[row * right + (column - left)];
}

// Takes apart what join makes. One thread per unit of y.
template <class Unit>
__device__ __forceinline__ void split(
    int rows, int left, int right, const Unit* __restrict__ y, Unit* __restrict__ a, Unit* __restrict__ b)
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

#define COPIES(suffix, Unit) \
    extern "C" __global__ void shaping_copy_##suffix(StridedWalk w, const Unit* __restrict__ x, Unit* __restrict__ y) \
    { \
        copy<Unit>(w, x, y); \
    } \
    extern "C" __global__ void shaping_join_##suffix( \
        int rows, int left, int right, const Unit* __restrict__ a, const Unit* __restrict__ b, Unit* __restrict__ y) \
    { \
        join<Unit>(rows, left, right, a, b, y); \
    } \
    extern "C" __global__ void shaping_split_##suffix( \
        int rows, int left, int right, const Unit* __restrict__ y, Unit* __restrict__ a, Unit* __restrict__ b) \
    { \
        split<Unit>(rows, left, right, y, a, b); \
    }

COPIES(b16, unsigned short)
COPIES(b32, unsigned)
COPIES(b128, uint4)

// Matrices that are transposed one by one: element (row, column) lies at row * stride_x + column in x and at row + column * stride_y in y. The
// walk is over the matrices; count is how many there are. Transposed in C#, field for field.
struct Transposed
{
    StridedWalk matrices;
    int rows, columns, stride_x, stride_y;
};

// Where a block's tile begins: its matrix in x and in y, and the tile in the matrix.
struct Tile
{
    int from, to, row, column;
};

// The tile, of `size` rows and columns, of this block. Those along the columns come first.
__device__ __forceinline__ Tile tile_of_block(const Transposed& t, int size)
{
    int across = (t.columns + size - 1) / size, down = (t.rows + size - 1) / size;
    int line = blockIdx.x / across, matrix = line / down;
    Tile tile = {0, 0, (line - matrix * down) * size, ((int)blockIdx.x - line * across) * size};
    walk_offsets(t.matrices, matrix, tile.from, tile.to);
    return tile;
}

// A tile of 32 x 32 elements: read along the columns, written along the rows. A row of the tile has a word more than 32, so that the words of
// a column lie in 32 banks. Each thread has four elements, all of which are asked for before the first is needed.
template <class Element>
__device__ __forceinline__ void transpose(const Transposed& t, const Element* __restrict__ x, Element* __restrict__ y)
{
    __shared__ unsigned tile[32][33];
    Tile block = tile_of_block(t, 32);
    int row = block.row, column = block.column;
    x += block.from;
    y += block.to;
    int at = column + threadIdx.x;
#pragma unroll
    for (int k = 0; k < 32; k += 8)
    {
        int r = threadIdx.y + k;
        if (row + r < t.rows && at < t.columns)
            tile[r][threadIdx.x] = x[(size_t)(row + r) * t.stride_x + at];
    }
    __syncthreads();
    at = row + threadIdx.x;
#pragma unroll
    for (int k = 0; k < 32; k += 8)
    {
        int c = threadIdx.y + k;
        if (column + c < t.columns && at < t.rows)
            y[(size_t)(column + c) * t.stride_y + at] = tile[threadIdx.x][c];
    }
}

extern "C" __global__ void __launch_bounds__(256) shaping_transpose_b32(
    Transposed t, const unsigned* __restrict__ x, unsigned* __restrict__ y)
{
    transpose<unsigned>(t, x, y);
}

// Half the bytes a request: for matrices whose rows or columns do not lie in pairs.
extern "C" __global__ void __launch_bounds__(256) shaping_transpose_b16(
    Transposed t, const unsigned short* __restrict__ x, unsigned short* __restrict__ y)
{
    transpose<unsigned short>(t, x, y);
}

// Where a column of the tile below begins: 32 pairs each, and a word more after every second column, so that the 32 columns of one parity
// begin in 32 banks.
__device__ __forceinline__ int column_of_pairs(int column)
{
    return 32 * column + column / 2;
}

// A tile of 64 x 64 elements of 16 bits, where rows, columns, strides and addresses are even. A thread reads pairs of two rows, exchanges
// their halves, and puts them into the tile as pairs along the rows: words of 4 bytes on both sides, as for 32 bits.
extern "C" __global__ void __launch_bounds__(256) shaping_transpose_pairs_b16(
    Transposed t, const unsigned short* __restrict__ x, unsigned short* __restrict__ y)
{
    __shared__ unsigned tile[64 * 32 + 32];
    Tile block = tile_of_block(t, 64);
    int row = block.row, column = block.column;
    x += block.from;
    y += block.to;
    int c = 2 * threadIdx.x;
#pragma unroll
    for (int k = 0; k < 32; k += 8)
    {
        int pair = threadIdx.y + k, r = row + 2 * pair;
        if (r < t.rows && column + c < t.columns)
        {
            const unsigned short* from = x + (size_t)r * t.stride_x + column + c;
            unsigned upper = *reinterpret_cast<const unsigned*>(from), lower = *reinterpret_cast<const unsigned*>(from + t.stride_x);
            tile[column_of_pairs(c) + pair] = __byte_perm(upper, lower, 0x5410);
            tile[column_of_pairs(c + 1) + pair] = __byte_perm(upper, lower, 0x7632);
        }
    }
    __syncthreads();
    int r = row + 2 * threadIdx.x;
#pragma unroll
    for (int k = 0; k < 64; k += 8)
    {
        int at = threadIdx.y + k;
        if (column + at < t.columns && r < t.rows)
            *reinterpret_cast<unsigned*>(y + (size_t)(column + at) * t.stride_y + r) = tile[column_of_pairs(at) + threadIdx.x];
    }
}
