// Convolutions on tensor cores: the third rung of the ladder. The three passes are the products of convolution.cu, with its operands, its
// rows and columns and its sums in float; bfloat16 is multiplied as it is, float is rounded to tf32 (10 fraction bits).
//
// What changed against the tiles of convolution.cu: a warp's mma.sync makes 16 x 8 x 16 (tf32: 16 x 8 x 8) multiply-adds with one
// instruction; cp.async brings slices of 64 bytes along the summed index past the registers, three of them under way while a fourth is
// multiplied; pixels outside of the image are copies of 0 bytes, which fill with zeros and need no branch; chunks of 16 bytes lie
// permuted in shared memory, so that neither the copies nor ldmatrix meet a bank conflict. The sums pass through shared memory once more,
// so that y is written, and the residual read, by four channels of a thread and whole sectors of a warp.
//
// A warp of 128x128 makes 64 x 64 elements, which its registers just hold, one of 128x64 64 x 32, and one of 64x32 32 x 32: the larger, the
// more products there are for each fragment that is read. The blocks of a multiprocessor hide each other's addresses and latencies.
//
//   mma_ROWSxCOLUMNS         channels of a group are multiples of 8 (tf32: 4) and storages aligned to 16 bytes
//   mma_guarded_64x32        any channels (the first and last layers): elements are fetched one by one, without cp.async
//
// Which element of the operands ldmatrix reads how: operands contiguous along the summed index lie [line][depth] in shared memory, others
// [depth][line] and are transposed on the way, by ldmatrix where they are of 16 bits and word by word where they are of 32.
//
// Launch     grid as for the tiles of convolution.cu. Blocks of 128, 128 and 64 threads for 128x128, 128x64 and 64x32, of which 2, 4 (tf32: 3)
//            and 8 fit an H100's multiprocessor; dynamic shared memory is the larger of 4 stages (64 bytes for each row and column of the
//            tile) and, for forward and grad_input, the tile of sums in float with 8 columns more: 69632, 49152 and 24576 bytes
//            (grad_weight: 65536, 49152, 24576). From compute capability 8.0 on; below, the kernels are traps.
// Bytes      as in convolution.cu. For each slice of 32 (tf32: 16) summed indices a tile of 128x128 fetches 16 KiB for 2^19 (2^18)
//            multiply-adds, one of 64x32 6 KiB for 2^16: 32 and 10.7 multiply-adds a byte of bfloat16. Pixels go through L1, where most of
//            those that neighbouring taps share should be found again; weights and gradients that are read once pass it by.
//            Flops 2 * pixels of y * OutChannels * taps * InChannels / Groups.
// Limit      128x128: shared memory reads 1/16 byte and writes 1/32 for a multiply-add of bfloat16, so its 128 bytes a cycle allow 1365 of
//            them, some more than mma.sync makes; L2, which was measured at some 27 bytes a cycle for each multiprocessor of an H100,
//            allows 880 and what L1 adds. 128x64: 908 and 586, 64x32: 585 and 290. Addresses are some 10 instructions for a chunk of 16
//            bytes, a third of a warp's issue slots at 128x64. Guarded: addresses, some 30 instructions for an element.

#include "convolution.cuh"
#include "tensorcore.cuh"

template <int RowWarps_, int ColumnWarps_, int RowTiles_, int ColumnTiles_>
struct MmaShape
{
    // A warp's part in tiles of mma: RowTiles x 16 rows, ColumnTiles x 8 columns.
    static constexpr int RowTiles = RowTiles_, ColumnTiles = ColumnTiles_, RowWarps = RowWarps_, ColumnWarps = ColumnWarps_;
    static constexpr int Rows = RowWarps * RowTiles * 16, Columns = ColumnWarps * ColumnTiles * 8, Threads = RowWarps * ColumnWarps * 32;
};

#if __CUDA_ARCH__ >= 800

// Slices of this many bytes along the summed index: two mma deep, for either type.
constexpr int slice_bytes = 64;

// Slices in shared memory: one is multiplied while the others are under way.
constexpr int stages = 4;

// An operand's slice in shared memory.
template <class Operand, int Lines, int Threads, bool Whole>
struct MmaSlice
{
    using T = typename Operand::Element;
    static constexpr bool by_depth = Operand::depth_is_contiguous, is_tf32 = sizeof(T) == 4;
    static constexpr int in_chunk = 16 / sizeof(T), depth = slice_bytes / sizeof(T), bytes = Lines * slice_bytes;
    static constexpr int row_bytes = by_depth ? slice_bytes : Lines * sizeof(T);
    using Part = Share<Operand, Lines, depth, in_chunk, Threads>;

    __device__ __forceinline__ static int at(int row, int chunk)
    {
        if constexpr (is_tf32 && !by_depth)
            return swizzle_words<row_bytes>(row, chunk);
        else
            return swizzle<row_bytes>(row, chunk);
    }

    // Begins to bring the slice at `first_depth`.
    __device__ __forceinline__ static void fill(const Part& part, unsigned char* shared, int first_depth)
    {
        const T* values = part.operand.values;
        if constexpr (Whole)
        {
            unsigned to = shared_address(shared);
            part.for_chunks(first_depth, [&](int i, int offset)
            {
                unsigned place = to + at(Part::row(i), Part::chunk());
                // The next taps need most of a window again: L1 spares L2 that. It costs a pass through L1, so nothing else goes there.
                if constexpr (Operand::overlaps)
                    cp_async_16_cached(place, values + max(offset, 0), offset < 0 ? 0 : 16);
                else
                    cp_async_16(place, values + max(offset, 0), offset < 0 ? 0 : 16);
            });
        }
        else
        {
            part.for_elements(first_depth, [&](int i, int j, int offset)
            {
                T* to = reinterpret_cast<T*>(shared + at(Part::row(i), Part::chunk())) + j;
                *to = offset < 0 ? T{} : values[offset];
            });
        }
    }

    // The fragment of 16 lines from `line` on, the k-th mma of the slice: A of an mma.
    __device__ __forceinline__ static void read_rows(unsigned (&a)[4], const unsigned char* shared, int line, int k)
    {
        int lane = threadIdx.x % 32;
        if constexpr (by_depth)
        {
            // Lines are multiples of 8, so the permutation depends on the lane alone.
            ldmatrix_x4(a, shared_address(shared) + line * slice_bytes + at(lane % 16, 2 * k + lane / 16));
        }
        else if constexpr (!is_tf32)
        {
            ldmatrix_x4_transposed(a, shared_address(shared) + at(k * 16 + lane % 8 + lane / 16 * 8, line / 8 + lane / 8 % 2));
        }
        else
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[i] = word(shared, k * 8 + lane % 4 + i / 2 * 4, line + lane / 4 + i % 2 * 8);
        }
        round(a);
    }

    // The fragments of twice 8 lines from `line` on: B of two mma.
    __device__ __forceinline__ static void read_columns(unsigned (&b)[4], const unsigned char* shared, int line, int k)
    {
        int lane = threadIdx.x % 32;
        if constexpr (by_depth)
        {
            ldmatrix_x4(b, shared_address(shared) + line * slice_bytes + at(lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
        }
        else if constexpr (!is_tf32)
        {
            ldmatrix_x4_transposed(b, shared_address(shared) + at(k * 16 + lane % 16, line / 8 + lane / 16));
        }
        else
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
                b[i] = word(shared, k * 8 + lane % 4 + i % 2 * 4, line + lane / 4 + i / 2 * 8);
        }
        round(b);
    }

private:
    __device__ __forceinline__ static unsigned word(const unsigned char* shared, int row, int line)
    {
        return *reinterpret_cast<const unsigned*>(shared + at(row, line / 4) + line % 4 * 4);
    }

    __device__ __forceinline__ static void round(unsigned (&fragment)[4])
    {
        if constexpr (is_tf32)
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
                fragment[i] = to_tf32(fragment[i]);
        }
    }
};

template <class Shape_, bool Whole>
struct MmaProduct
{
    using Shape = Shape_;

    // Sums over [begin, end); all threads of the block must call it.
    template <class A, class B, class Output>
    __device__ __forceinline__ static void run(const A& a, const B& b, const Output& output, int row, int column, int begin, int end)
    {
        using T = typename A::Element;
        using SliceA = MmaSlice<A, Shape::Rows, Shape::Threads, Whole>;
        using SliceB = MmaSlice<B, Shape::Columns, Shape::Threads, Whole>;
        constexpr int stage_bytes = SliceA::bytes + SliceB::bytes;
        extern __shared__ __align__(128) unsigned char shared[];
        typename SliceA::Part part_a(a, row);
        typename SliceB::Part part_b(b, column);
        int warp = threadIdx.x / 32;
        int warp_row = warp / Shape::ColumnWarps * Shape::RowTiles * 16, warp_column = warp % Shape::ColumnWarps * Shape::ColumnTiles * 8;
        float sum[Shape::RowTiles][Shape::ColumnTiles][4] = {};

        int slices = (end - begin + SliceA::depth - 1) / SliceA::depth;
        for (int slice = 0; slice < stages - 1; slice++)
        {
            if (slice < slices)
            {
                SliceA::fill(part_a, shared + slice * stage_bytes, begin + slice * SliceA::depth);
                SliceB::fill(part_b, shared + slice * stage_bytes + SliceA::bytes, begin + slice * SliceA::depth);
            }
            cp_async_commit();
        }
        for (int slice = 0; slice < slices; slice++)
        {
            cp_async_wait<stages - 2>();
            __syncthreads();
            int next = slice + stages - 1;
            if (next < slices)
            {
                unsigned char* stage = shared + next % stages * stage_bytes;
                SliceA::fill(part_a, stage, begin + next * SliceA::depth);
                SliceB::fill(part_b, stage + SliceA::bytes, begin + next * SliceA::depth);
            }
            cp_async_commit();
            const unsigned char* stage = shared + slice % stages * stage_bytes;
#pragma unroll
            for (int k = 0; k < 2; k++)
                multiply<T, SliceA, SliceB>(sum, stage, warp_row, warp_column, k);
        }
        cp_async_wait<0>();

        if constexpr (Output::columns_are_contiguous)
            store_through_shared(sum, output, reinterpret_cast<float*>(shared), row, column, warp_row, warp_column);
        else
            store_directly(sum, output, row + warp_row, column + warp_column);
    }

private:
    template <class T, class SliceA, class SliceB>
    __device__ __forceinline__ static void multiply(
        float (&sum)[Shape::RowTiles][Shape::ColumnTiles][4], const unsigned char* stage, int warp_row, int warp_column, int k)
    {
        unsigned left[Shape::RowTiles][4], right[Shape::ColumnTiles / 2][4];
#pragma unroll
        for (int i = 0; i < Shape::RowTiles; i++)
            SliceA::read_rows(left[i], stage, warp_row + i * 16, k);
#pragma unroll
        for (int j = 0; j < Shape::ColumnTiles / 2; j++)
            SliceB::read_columns(right[j], stage + SliceA::bytes, warp_column + j * 16, k);
#pragma unroll
        for (int i = 0; i < Shape::RowTiles; i++)
        {
#pragma unroll
            for (int j = 0; j < Shape::ColumnTiles; j++)
            {
                const unsigned pair[2] = {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]};
                if constexpr (sizeof(T) == 4)
                    mma_tf32(sum[i][j], left[i], pair);
                else
                    mma_bf16(sum[i][j], left[i], pair);
            }
        }
    }

    // A lane's sums are pairs; four neighbouring channels are what a thread finishes and writes, so that a warp touches whole sectors. Rows of
    // 8 floats more than there are columns: the pairs of half a warp, four rows of them, meet all banks.
    template <class Output>
    __device__ __forceinline__ static void store_through_shared(
        const float (&sum)[Shape::RowTiles][Shape::ColumnTiles][4], const Output& output, float* shared, int row, int column, int warp_row, int warp_column)
    {
        constexpr int pitch = Shape::Columns + 8, chunks = Shape::Columns / 4;
        int lane = threadIdx.x % 32;
        // Others may still multiply what is overwritten.
        __syncthreads();
#pragma unroll
        for (int i = 0; i < Shape::RowTiles; i++)
        {
#pragma unroll
            for (int j = 0; j < Shape::ColumnTiles; j++)
            {
#pragma unroll
                for (int half = 0; half < 2; half++)
                {
                    float* to = shared + (warp_row + i * 16 + lane / 4 + half * 8) * pitch + warp_column + j * 8 + lane % 4 * 2;
                    *reinterpret_cast<float2*>(to) = make_float2(sum[i][j][2 * half], sum[i][j][2 * half + 1]);
                }
            }
        }
        __syncthreads();
#pragma unroll 2
        for (int chunk = threadIdx.x; chunk < Shape::Rows * chunks; chunk += Shape::Threads)
        {
            int at_row = chunk / chunks, at_column = chunk % chunks * 4;
            float v[4] = {};
            add_elements(v, shared + at_row * pitch + at_column);
            output.store(row + at_row, column + at_column, v);
        }
    }

    // The rows of the product are contiguous: eight lanes write 32 bytes of them.
    template <class Output>
    __device__ __forceinline__ static void store_directly(
        const float (&sum)[Shape::RowTiles][Shape::ColumnTiles][4], const Output& output, int row, int column)
    {
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < Shape::RowTiles; i++)
        {
#pragma unroll
            for (int j = 0; j < Shape::ColumnTiles; j++)
            {
#pragma unroll
                for (int k = 0; k < 4; k++)
                {
                    float one[1] = {sum[i][j][k]};
                    output.store(row + i * 16 + lane / 4 + k / 2 * 8, column + j * 8 + lane % 4 * 2 + k % 2, one);
                }
            }
        }
    }
};

#else

// Nobody launches these: there are no such instructions.
template <class Shape_, bool Whole>
struct MmaProduct
{
    using Shape = Shape_;

    template <class A, class B, class Output>
    __device__ __forceinline__ static void run(const A&, const B&, const Output&, int, int, int, int)
    {
        asm volatile("trap;");
    }
};

#endif

using Mma128x128 = MmaProduct<MmaShape<2, 2, 4, 8>, true>;
using Mma128x64 = MmaProduct<MmaShape<2, 2, 4, 4>, true>;
using Mma64x32 = MmaProduct<MmaShape<2, 1, 2, 4>, true>;
using Guarded64x32 = MmaProduct<MmaShape<2, 1, 2, 4>, false>;

CONV2D_KERNELS(mma_128x128, Mma128x128, bfloat16, bf16, 128, 2)
CONV2D_KERNELS(mma_128x64, Mma128x64, bfloat16, bf16, 128, 4)
CONV2D_KERNELS(mma_64x32, Mma64x32, bfloat16, bf16, 64, 8)
CONV2D_KERNELS(mma_guarded_64x32, Guarded64x32, bfloat16, bf16, 64, 8)
CONV2D_KERNELS(mma_128x128, Mma128x128, float, f32, 128, 2)
CONV2D_KERNELS(mma_128x64, Mma128x64, float, f32, 128, 3)
CONV2D_KERNELS(mma_64x32, Mma64x32, float, f32, 64, 8)
CONV2D_KERNELS(mma_guarded_64x32, Guarded64x32, float, f32, 64, 8)
