// The product C = A B of a block: a tile of C, summed in registers from tiles of A and B that pass through shared memory.
// Matrix products and the three passes of a convolution differ only in where the elements of A and B lie and where those of C go,
// so they all are this product with operands of their own. An operand is a type with
//
//     static constexpr bool depth_is_contiguous   whether neighbours along the summed index are neighbours in memory
//     Line line(int index)                       what a row of A (a column of B) alone determines, worked out once per thread
//     Step step(int depth)                       what the summed index alone determines, worked out once per tile
//     float at(Line line, Step step)             the element; 0 where the line lies outside of the matrix
//
// Every element of C is summed by one thread in the order of the summed index: the same bits every time.
#pragma once

#include "tile_place.cuh"

// The summed indices that pass through shared memory at a time.
constexpr int tile_depth = 16;

// Each thread sums 4 x 4 elements: 8 reads of shared memory (two of 16 bytes) for 16 multiply-adds.
constexpr int thread_tile = 4;

template <int Rows_, int Columns_>
struct TileShape
{
    static constexpr int Rows = Rows_;
    static constexpr int Columns = Columns_;
    static constexpr int Threads = Rows / thread_tile * (Columns / thread_tile);
};

// Lines of an operand on their way into shared memory. Neighbouring threads read neighbouring addresses.
template <int Lines, int Threads, class Operand>
struct TileStage
{
    static constexpr int each = Lines * tile_depth / Threads;

    // 4 floats more than there are lines: columns stay aligned to 16 bytes, and writing along the depth meets different banks.
    float values[tile_depth][Lines + 4];

    __device__ __forceinline__ static int line_of(int i)
    {
        unsigned element = threadIdx.x + i * Threads;
        return Operand::depth_is_contiguous ? element / tile_depth : element % Lines;
    }

    __device__ __forceinline__ static int depth_of(int i)
    {
        unsigned element = threadIdx.x + i * Threads;
        return Operand::depth_is_contiguous ? element % tile_depth : element / Lines;
    }

    __device__ __forceinline__ void fill(
        const Operand& operand, const typename Operand::Line (&lines)[each], int depth_begin, int depth_end)
    {
#pragma unroll
        for (int i = 0; i < each; i++)
        {
            int depth = depth_begin + depth_of(i);
            values[depth_of(i)][line_of(i)] = depth < depth_end ? operand.at(lines[i], operand.step(depth)) : 0.0f;
        }
    }
};

// Calls store(row, column, value) for every element of the block's tile of C, also for those beyond the borders of C. Sums over
// [depth_begin, depth_end). All threads of the block must call it.
template <class Shape, class A, class B, class Store>
__device__ __forceinline__ void multiply_tile(
    const A& a, const B& b, TilePlace place, int depth_begin, int depth_end, Store store)
{
    using StageA = TileStage<Shape::Rows, Shape::Threads, A>;
    using StageB = TileStage<Shape::Columns, Shape::Threads, B>;
    __shared__ __align__(16) StageA stage_a;
    __shared__ __align__(16) StageB stage_b;

    typename A::Line lines_a[StageA::each];
    typename B::Line lines_b[StageB::each];
#pragma unroll
    for (int i = 0; i < StageA::each; i++)
        lines_a[i] = a.line(place.row + StageA::line_of(i));
#pragma unroll
    for (int i = 0; i < StageB::each; i++)
        lines_b[i] = b.line(place.column + StageB::line_of(i));

    // A warp's lanes are about as many down as across, i and i ^ 1 have the same columns, and i and i ^ 2 the same rows: a GPU then reads
    // shared memory for half a warp in a pass (see matmul_simt.cu), and different numbers are few.
    constexpr int threads_across = Shape::Columns / thread_tile, lanes_across = threads_across < 8 ? threads_across : 8;
    constexpr int lanes_down = 32 / lanes_across, warps_across = threads_across / lanes_across;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = (warp / warps_across * lanes_down + lane / (2 * lanes_across) * 2 + lane % 2) * thread_tile;
    int column = (warp % warps_across * lanes_across + lane / 2 % lanes_across) * thread_tile;
    float sum[thread_tile][thread_tile] = {};
    for (int depth = depth_begin; depth < depth_end; depth += tile_depth)
    {
        stage_a.fill(a, lines_a, depth, depth_end);
        stage_b.fill(b, lines_b, depth, depth_end);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < tile_depth; k++)
        {
            float4 left = *reinterpret_cast<const float4*>(&stage_a.values[k][row]);
            float4 right = *reinterpret_cast<const float4*>(&stage_b.values[k][column]);
            float rows[thread_tile] = {left.x, left.y, left.z, left.w};
            float columns[thread_tile] = {right.x, right.y, right.z, right.w};
#pragma unroll
            for (int i = 0; i < thread_tile; i++)
            {
#pragma unroll
                for (int j = 0; j < thread_tile; j++)
                    sum[i][j] = fmaf(rows[i], columns[j], sum[i][j]);
            }
        }
        __syncthreads();
    }

#pragma unroll
    for (int i = 0; i < thread_tile; i++)
    {
#pragma unroll
        for (int j = 0; j < thread_tile; j++)
            store(place.row + row + i, place.column + column + j, sum[i][j]);
    }
}
