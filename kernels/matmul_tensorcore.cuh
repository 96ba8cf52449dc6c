// A matrix product of a block on tensor cores: tiles of op(A) and op(B) come by cp.async, several stages ahead, fragments by ldmatrix, and
// mma.sync adds them up in float. matmul_tf32.cu and matmul_bf16.cu give it its types and sizes.
//
// A stage holds 64 bytes of every row of A and column of B along the summed index: 32 elements of bfloat16, 16 of tf32; two steps of mma.
// Where the summed index is contiguous in memory the tile keeps rows of 64 bytes, one for each line; else a row holds all lines of one
// index. Either way 16 bytes in memory stay 16 bytes in shared memory, and fragments are transposed when they are read.
#pragma once

#include "matmul.cuh"
#include "tensorcore.cuh"

#if __CUDA_ARCH__ >= 800

// A block makes Rows x Columns elements, each of its warps WarpRows x WarpColumns; Blocks of them run on a multiprocessor. Swizzled: see
// tensorcore.cuh; without it the rows of a fragment lie in the same banks, to be compared.
template <class Element_, int Rows_, int Columns_, int WarpRows_, int WarpColumns_, int Blocks_, int Stages_, bool Swizzled_>
struct MmaShape
{
    using Element = Element_;
    static constexpr int Rows = Rows_, Columns = Columns_, WarpRows = WarpRows_, WarpColumns = WarpColumns_;
    static constexpr int Blocks = Blocks_, Stages = Stages_;
    static constexpr bool Swizzled = Swizzled_;
    static constexpr int WarpsAcross = Columns / WarpColumns, Threads = Rows / WarpRows * WarpsAcross * 32;

    // Elements of the summed index in a stage, and in one mma.
    static constexpr int Depth = 64 / sizeof(Element), Step = Depth / 2;
    static constexpr int StageBytes = (Rows + Columns) * 64;
};

// A tile of Lines rows of op(A) or columns of op(B), and its way into shared memory.
template <class Element, int Lines, bool DepthIsContiguous, int Threads, bool Swizzled>
struct AsyncTile
{
    static constexpr bool depth_is_contiguous = DepthIsContiguous;

    // 32-bit elements that lie side by side in lines: ldmatrix cannot transpose them, they are read one by one.
    static constexpr bool by_words = !DepthIsContiguous && sizeof(Element) == 4;
    static constexpr int in_chunk = 16 / sizeof(Element);
    static constexpr int row_bytes = DepthIsContiguous ? 64 : Lines * sizeof(Element);
    static constexpr int chunks = row_bytes / 16, row_step = Threads / chunks, copies = Lines * 64 / 16 / Threads;
    static_assert(Threads % chunks == 0 && copies * Threads * 16 == Lines * 64, "every thread copies equally much");

    const Element* __restrict__ values;
    int lines, depth, line, k, row, chunk;

    // Whether the chunks of rows begin at multiples of 16 bytes.
    bool whole;

    __device__ __forceinline__ AsyncTile(const Element* values, int lines, int depth, int first_line)
        : values(values), lines(lines), depth(depth),
          whole((DepthIsContiguous ? depth : lines) % in_chunk == 0 && (unsigned long long)values % 16 == 0)
    {
        row = threadIdx.x / chunks;
        chunk = threadIdx.x % chunks;
        line = first_line + (DepthIsContiguous ? row : chunk * in_chunk);
        k = DepthIsContiguous ? chunk * in_chunk : row;
    }

    static __device__ __forceinline__ unsigned place(unsigned row, unsigned chunk)
    {
        if (!Swizzled)
            return row * row_bytes + chunk * 16;
        if constexpr (by_words)
            return swizzle_words<row_bytes>(row, chunk);
        else
            return swizzle<row_bytes>(row, chunk);
    }

    // Begins to fill a tile with the indices from first on; what lies outside of the matrix or behind end becomes zero.
    __device__ __forceinline__ void copy(char* tile, int first, int end) const
    {
        if (whole)
        {
#pragma unroll
            for (int i = 0; i < copies; i++)
            {
                int l = line + (DepthIsContiguous ? i * row_step : 0), d = first + k + (DepthIsContiguous ? 0 : i * row_step);
                bool inside = l < lines && d < end;
                cp_async_16(shared_address(tile) + place(row + i * row_step, chunk), at(l, d), inside ? 16 : 0);
            }
            return;
        }
#pragma unroll 1
        for (int i = 0; i < copies; i++)
        {
            int l = line + (DepthIsContiguous ? i * row_step : 0), d = first + k + (DepthIsContiguous ? 0 : i * row_step);
            copy_elements(tile + place(row + i * row_step, chunk), l, d, end);
        }
    }

private:
    __device__ __forceinline__ const Element* at(int l, int d) const { return values + (DepthIsContiguous ? l * depth + d : d * lines + l); }

    __device__ __forceinline__ void copy_elements(char* to, int l, int d, int end) const
    {
        unsigned short halves[in_chunk];
#pragma unroll
        for (int e = 0; e < in_chunk; e++)
        {
            int le = l + (DepthIsContiguous ? 0 : e), de = d + (DepthIsContiguous ? e : 0);
            bool inside = le < lines && de < end;
            if constexpr (sizeof(Element) == 4)
                cp_async_4(shared_address(to) + 4 * e, at(le, de), inside ? 4 : 0);
            else
                halves[e] = inside ? at(le, de)->bits : 0;
        }
        // cp.async has no 2 bytes. The barrier that publishes the stage publishes these as well.
        if constexpr (sizeof(Element) == 2)
        {
            *reinterpret_cast<uint4*>(to) = make_uint4(halves[0] | halves[1] << 16, halves[2] | halves[3] << 16,
                halves[4] | halves[5] << 16, halves[6] | halves[7] << 16);
        }
    }
};

// Where a warp finds its fragments in a tile: fragment i covers 16 lines and one step of the summed index, all of A for an mma, or B for
// two of them. What depends on the lane is worked out once: i and the step change bits of the address that no other part of it sets, so
// exclusive-or puts them into a swizzled place as well.
template <class Tile, bool IsA>
struct FragmentPlace
{
    unsigned base;

    __device__ __forceinline__ FragmentPlace(int first_line)
    {
        unsigned lane = threadIdx.x % 32, low = lane % 8 + lane / 16 * 8, second = lane / 8 % 2;
        if constexpr (Tile::by_words)
            base = Tile::place(lane % 4, first_line / 4 + lane / 16) + lane / 4 % 4 * 4;
        else if constexpr (Tile::depth_is_contiguous)
            base = IsA ? Tile::place(first_line + lane % 16, lane / 16) : Tile::place(first_line + low, second);
        else
            base = IsA ? Tile::place(low, first_line / 8 + second) : Tile::place(lane % 16, first_line / 8 + lane / 16);
    }

    __device__ __forceinline__ void load(const char* tile, int step, int i, unsigned (&r)[4]) const
    {
        if constexpr (Tile::by_words)
        {
#pragma unroll
            for (int part = 0; part < 4; part++)
            {
                // Halves of the lines and of the summed index, in the order of mma's registers.
                int half = IsA ? part % 2 : part / 2, quad = IsA ? part / 2 : part % 2;
                r[part] = *reinterpret_cast<const unsigned*>(tile + (base ^ i * 64 + half * 32) + (step * 8 + quad * 4) * Tile::row_bytes);
            }
        }
        else if constexpr (Tile::depth_is_contiguous)
            ldmatrix_x4(r, shared_address(tile) + (base ^ step * 32) + i * 16 * Tile::row_bytes);
        else
            ldmatrix_x4_transposed(r, shared_address(tile) + (base ^ i * 32) + step * 16 * Tile::row_bytes);
    }
};

// The sums of a warp.
template <class Shape>
struct MmaSums
{
    static constexpr int down = Shape::WarpRows / 16, across = Shape::WarpColumns / 16;
    static constexpr bool is_tf32 = sizeof(typename Shape::Element) == 4;
    static_assert(down == across, "a row has a fragment of A and one of B to read");

    float values[down][2 * across][4];

    // Adds the products of fragments, and calls meanwhile(i) before those of each row: what it reads is on its way while tensor cores are
    // busy, which a queue of reads in front of them all would keep waiting.
    template <class Meanwhile>
    __device__ __forceinline__ void add(unsigned (&a)[down][4], unsigned (&b)[across][4], Meanwhile meanwhile)
    {
        for_tf32(b);
#pragma unroll
        for (int i = 0; i < down; i++)
        {
            meanwhile(i);
            for_tf32(a[i]);
#pragma unroll
            for (int j = 0; j < 2 * across; j++)
            {
                const unsigned column[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                if constexpr (is_tf32)
                    mma_tf32(values[i][j], a[i], column);
                else
                    mma_bf16(values[i][j], a[i], column);
            }
        }
    }

    // 16 rows of the warp at a time, by way of shared memory that no stage needs any more. row and column: the warp's first.
    __device__ __forceinline__ void store(const Output<typename Shape::Element>& c, char* shared, int row, int column) const
    {
        // 8 floats more than columns: the pairs of half a warp, four rows of four, meet all 32 banks.
        typedef float Piece[16][Shape::WarpColumns + 8];
        static_assert(sizeof(Piece) * (Shape::Threads / 32) <= Shape::Stages * Shape::StageBytes, "all warps have room");
        Piece& piece = reinterpret_cast<Piece*>(shared)[threadIdx.x / 32];
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < down; i++)
        {
#pragma unroll
            for (int j = 0; j < 2 * across; j++)
            {
                *reinterpret_cast<float2*>(&piece[lane / 4][8 * j + lane % 4 * 2]) = make_float2(values[i][j][0], values[i][j][1]);
                *reinterpret_cast<float2*>(&piece[lane / 4 + 8][8 * j + lane % 4 * 2]) = make_float2(values[i][j][2], values[i][j][3]);
            }
            c.template store<Shape::WarpColumns, 1>(piece, row + 16 * i, column);
        }
    }

private:
    // Rounds floats as they came from shared memory. Where they are multiplied and not where they are read, which would wait for them.
    __device__ __forceinline__ static void for_tf32(unsigned (&fragment)[4])
    {
        if constexpr (is_tf32)
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
                fragment[i] = to_tf32(fragment[i]);
        }
    }

    __device__ __forceinline__ static void for_tf32(unsigned (&fragments)[across][4])
    {
#pragma unroll
        for (int i = 0; i < across; i++)
            for_tf32(fragments[i]);
    }
};

template <class Shape, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void multiply_by_mma(
    const MatMulGeometry& g, const typename Shape::Element* a, const typename Shape::Element* b, const float* bias, void* c, int part_depth,
    bool c_is_float)
{
    using TileA = AsyncTile<typename Shape::Element, Shape::Rows, !TransposeA, Shape::Threads, Shape::Swizzled>;
    using TileB = AsyncTile<typename Shape::Element, Shape::Columns, TransposeB, Shape::Threads, Shape::Swizzled>;
    using Sums = MmaSums<Shape>;
    constexpr int ahead = Shape::Stages - 1, offset_b = Shape::Rows * 64;
    extern __shared__ __align__(128) char stages[];

    BandedPlace<Shape::Rows, Shape::Columns> place(g);
    DepthRange range(g.k, part_depth);
    TileA tile_a(a + (long long)place.product * g.batch_stride_a, g.m, g.k, place.row);
    TileB tile_b(b + (long long)place.product * g.batch_stride_b, g.n, g.k, place.column);
    int warp = threadIdx.x / 32, row = warp / Shape::WarpsAcross * Shape::WarpRows, column = warp % Shape::WarpsAcross * Shape::WarpColumns;
    FragmentPlace<TileA, true> place_a(row);
    FragmentPlace<TileB, false> place_b(column);
    Sums sums = {};
    unsigned fragments_a[2][Sums::down][4], fragments_b[2][Sums::across][4];

    // The i-th fragments of A and of B of a step.
    auto load = [&](const char* stage, int step, int i)
    {
        place_a.load(stage, step, i, fragments_a[step][i]);
        place_b.load(stage + offset_b, step, i, fragments_b[step][i]);
    };

    int copied = range.begin;
    auto copy = [&](char* stage)
    {
        if (copied < range.end)
        {
            tile_a.copy(stage, copied, range.end);
            tile_b.copy(stage + offset_b, copied, range.end);
        }
        copied += Shape::Depth;
        // A group even where nothing is left to copy: waiting counts groups.
        cp_async_commit();
    };

#pragma unroll 1
    for (int i = 0; i < ahead; i++)
        copy(stages + i * Shape::StageBytes);
    int tiles = (range.end - range.begin + Shape::Depth - 1) / Shape::Depth;
    if (tiles > 0)
    {
        cp_async_wait<ahead - 1>();
        __syncthreads();
#pragma unroll
        for (int i = 0; i < Sums::down; i++)
            load(stages, 0, i);
    }
    // The stages that are multiplied and filled now, going round.
    char *current = stages, *next = stages + ahead * Shape::StageBytes, *last = stages + ahead * Shape::StageBytes;
    auto after = [&](char* stage) { return stage == last ? stages : stage + Shape::StageBytes; };
    for (int tile = 1; tile < tiles; tile++)
    {
        // Everyone has left this stage: the barrier below was passed since.
        copy(next);
        next = after(next);
        // The second step of this stage is read while the first is multiplied, and below the first of the next stage while the second is.
        sums.add(fragments_a[0], fragments_b[0], [&](int i) { load(current, 1, i); });
        current = after(current);
        cp_async_wait<ahead - 1>();
        __syncthreads();
        sums.add(fragments_a[1], fragments_b[1], [&](int i) { load(current, 0, i); });
    }
    if (tiles > 0)
    {
        sums.add(fragments_a[0], fragments_b[0], [&](int i) { load(current, 1, i); });
        sums.add(fragments_a[1], fragments_b[1], [](int) { });
    }
    __syncthreads();
    sums.store(Output<typename Shape::Element>(g, place.product, bias, c, c_is_float), stages, place.row + row, place.column + column);
}

// The kernel of a shape and a layout.
#define MATMUL_MMA(name, shape, transpose_a, transpose_b)                                                                    \
    extern "C" __global__ void __launch_bounds__(shape::Threads, shape::Blocks) name(                                        \
        MatMulGeometry g, const shape::Element* __restrict__ a, const shape::Element* __restrict__ b,                        \
        const float* __restrict__ bias, void* __restrict__ c, int part_depth, int c_is_float)                                \
    {                                                                                                                        \
        multiply_by_mma<shape, transpose_a, transpose_b>(g, a, b, bias, c, part_depth, c_is_float);                          \
    }

#endif
