// Matrix products on the ordinary arithmetic units: C[b] = op(A[b]) op(B[b]) (+ bias[N] added to every row), C is [Batch, M, N].
//
//   nn   A is [M, K], B is [K, N]          nt   A is [M, K], B is [N, K]
//   tn   A is [K, M], B is [K, N]          tt   A is [K, M], B is [N, K]
//
// Launch     grid (Batch * ceil(M / 128) * ceil(N / 128), parts of K), 256 threads, two blocks on a multiprocessor (at most 128 registers);
//            no dynamic shared memory, static 18 688 bytes (warp_tile), 44 032 (double_buffer). part_depth is a multiple of 16.
// Bytes      4 (2 in bfloat16) (M K ceil(N / 128) + K N ceil(M / 128)) read, L2 catches most; flops 2 M N K: 32 flops a byte in float32.
// Limit      multiply-adds. At each k a thread reads 8 + 8 numbers in four instructions for 64 multiply-adds: 1 byte of shared memory for
//            each. A warp's four reads take 16 passes over the banks, a quarter of a warp in each, and its 64 multiply-adds 16 cycles of a
//            multiprocessor with 128 lanes: shared memory would be no wider than the arithmetic. A GPU answers two quarters in one pass
//            where lanes i and i ^ 1, or i and i ^ 2, read the same (NVIDIA says so of 7.0 to 7.5 on its forum; later ones are still to be
//            measured); the lanes are placed so that all four reads are of that kind, which leaves 8. The emulator joins no quarters and
//            counts 16.

#include "matmul.cuh"
#include "tensorcore.cuh"

constexpr int tile_size = 128, tile_threads = 256;

// The rows of a thread begin at row and row + 16, its columns at column and column + 32, four at each place.
struct ThreadPlace
{
    int warp_row, warp_column, down, across, row, column;

    // A warp makes 32 x 64 elements, 8 lanes across and 4 down: the squarer the tile, the fewer different numbers. Lanes i and i ^ 1 have
    // the same columns, and i and i ^ 2 the same rows, so that half a warp reads 128 bytes of B side by side, and 32 of A.
    __device__ __forceinline__ ThreadPlace()
    {
        int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        warp_row = warp / 2 * 32;
        warp_column = warp % 2 * 64;
        down = lane % 2 + lane / 16 * 2;
        across = lane / 2 % 8;
        row = warp_row + down * 4;
        column = warp_column + across * 4;
    }
};

// 8 x 8 sums of a thread.
struct Sums
{
    float values[8][8];

    template <int Depth, int Pitch>
    __device__ __forceinline__ void add(const float (&left)[Depth][Pitch], const float (&right)[Depth][Pitch], ThreadPlace place)
    {
#pragma unroll
        for (int k = 0; k < Depth; k++)
        {
            float rows[8], columns[8];
#pragma unroll
            for (int half = 0; half < 2; half++)
            {
                *reinterpret_cast<float4*>(rows + 4 * half) = *reinterpret_cast<const float4*>(&left[k][place.row + 16 * half]);
                *reinterpret_cast<float4*>(columns + 4 * half) = *reinterpret_cast<const float4*>(&right[k][place.column + 32 * half]);
            }
#pragma unroll
            for (int i = 0; i < 8; i++)
            {
#pragma unroll
                for (int j = 0; j < 8; j++)
                    values[i][j] = fmaf(rows[i], columns[j], values[i][j]);
            }
        }
    }

    // Four rows of the warp's tile at a time, one of each of the lanes that are below one another. row and column: the tile's first.
    template <class T>
    __device__ __forceinline__ void store(const Output<T>& c, ThreadPlace place, int row, int column) const
    {
        // A row is 64 bytes longer than a multiple of 128: the two rows of a quarter of a warp meet different banks.
        __shared__ __align__(16) float pieces[tile_threads / 32][4][64 + 16];
        auto& piece = pieces[threadIdx.x / 32];
#pragma unroll
        for (int i = 0; i < 8; i++)
        {
#pragma unroll
            for (int j = 0; j < 8; j += 4)
            {
                *reinterpret_cast<float4*>(&piece[place.down][place.across * 4 + j * 8]) =
                    make_float4(values[i][j], values[i][j + 1], values[i][j + 2], values[i][j + 3]);
            }
            c.template store<64, 4>(piece, row + place.warp_row + i % 4 + i / 4 * 16, column + place.warp_column);
        }
    }
};

// Four neighbours in memory, of which the first `count` exist; the others are 0. Whole: all of them exist or none, and their address is a
// multiple of their size.
__device__ __forceinline__ float4 read_four(const float* from, int count, bool whole)
{
    if (whole)
        return count > 0 ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
    return make_float4(count > 0 ? from[0] : 0, count > 1 ? from[1] : 0, count > 2 ? from[2] : 0, count > 3 ? from[3] : 0);
}

__device__ __forceinline__ float4 read_four(const bfloat16* from, int count, bool whole)
{
    if (whole)
    {
        uint2 bits = count > 0 ? *reinterpret_cast<const uint2*>(from) : make_uint2(0, 0);
        float2 low = to_float2(bits.x), high = to_float2(bits.y);
        return make_float4(low.x, low.y, high.x, high.y);
    }
    return make_float4(count > 0 ? to_float(from[0]) : 0, count > 1 ? to_float(from[1]) : 0, count > 2 ? to_float(from[2]) : 0,
        count > 3 ? to_float(from[3]) : 0);
}

// Whether rows of `length` elements can be read by fours.
template <class T>
__device__ __forceinline__ bool by_fours(const T* values, int length)
{
    return length % 4 == 0 && (unsigned long long)values % (4 * sizeof(T)) == 0;
}

// Tiles of the rows of op(A) or of the columns of op(B) on their way through registers into shared memory, where lines lie side by side.
// Where they do not so in memory they are transposed on the way; four more floats a row than lines then let a warp's writes meet
// different banks.
template <class T, bool DepthIsContiguous>
struct RegisterStage
{
    static constexpr int deep = 8;

    const T* __restrict__ from;
    int lines, lines_left, depth_left;
    bool whole;

    __device__ __forceinline__ RegisterStage(const T* values, int lines, int depth, int first_line, DepthRange range)
        : lines(lines), whole(by_fours(values, DepthIsContiguous ? depth : lines))
    {
        int line = first_line + this->line(), k = range.begin + this->k();
        from = values + (DepthIsContiguous ? line * depth + k : k * lines + line);
        lines_left = lines - line;
        depth_left = range.end - k;
    }

    // The thread's four elements of a tile.
    static __device__ __forceinline__ int line() { return DepthIsContiguous ? threadIdx.x / 2 : threadIdx.x % 32 * 4; }

    static __device__ __forceinline__ int k() { return DepthIsContiguous ? threadIdx.x % 2 * 4 : threadIdx.x / 32; }

    // Those of the next tile.
    __device__ __forceinline__ float4 fetch()
    {
        int along = DepthIsContiguous ? depth_left : lines_left, across = DepthIsContiguous ? lines_left : depth_left;
        float4 x = read_four(from, across > 0 ? along : 0, whole);
        from += DepthIsContiguous ? deep : deep * lines;
        depth_left -= deep;
        return x;
    }

    static __device__ __forceinline__ void put(float (&tile)[deep][tile_size + 4], float4 x)
    {
        if (!DepthIsContiguous)
        {
            *reinterpret_cast<float4*>(&tile[k()][line()]) = x;
            return;
        }
        tile[k()][line()] = x.x;
        tile[k() + 1][line()] = x.y;
        tile[k() + 2][line()] = x.z;
        tile[k() + 3][line()] = x.w;
    }
};

// Each warp makes a compact tile, and each thread four pieces of 4 x 4 of it: no bank conflicts remain where neighbouring threads had
// columns 32 bytes apart, and neighbouring lanes read the same.
template <class T, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void warp_tile(
    const MatMulGeometry& g, const T* a, const T* b, const float* bias, void* c, int part_depth, bool c_is_float)
{
    using StageA = RegisterStage<T, !TransposeA>;
    using StageB = RegisterStage<T, TransposeB>;
    __shared__ __align__(16) float left[StageA::deep][tile_size + 4];
    __shared__ __align__(16) float right[StageB::deep][tile_size + 4];
    BandedPlace<tile_size, tile_size> place(g);
    DepthRange range(g.k, part_depth);
    StageA stage_a(a + (long long)place.product * g.batch_stride_a, g.m, g.k, place.row, range);
    StageB stage_b(b + (long long)place.product * g.batch_stride_b, g.n, g.k, place.column, range);
    ThreadPlace mine;
    Sums sums = {};
    for (int remaining = range.end - range.begin; remaining > 0; remaining -= StageA::deep)
    {
        stage_a.put(left, stage_a.fetch());
        stage_b.put(right, stage_b.fetch());
        __syncthreads();
        sums.add(left, right, mine);
        __syncthreads();
    }
    sums.store(Output<T>(g, place.product, bias, c, c_is_float), mine, place.row, place.column);
}

#define WARP_TILE(name, type, transpose_a, transpose_b)                                                                      \
    extern "C" __global__ void __launch_bounds__(tile_threads, 2) name(                                                      \
        MatMulGeometry g, const type* __restrict__ a, const type* __restrict__ b, const float* __restrict__ bias,            \
        void* __restrict__ c, int part_depth, int c_is_float)                                                                \
    {                                                                                                                        \
        warp_tile<type, transpose_a, transpose_b>(g, a, b, bias, c, part_depth, c_is_float);                                 \
    }

WARP_TILE(matmul_warp_tile_nn_f32, float, false, false)
WARP_TILE(matmul_warp_tile_nt_f32, float, false, true)
WARP_TILE(matmul_warp_tile_tn_f32, float, true, false)
WARP_TILE(matmul_warp_tile_tt_f32, float, true, true)

#if __CUDA_ARCH__ < 800

// Where there are no tensor cores for bfloat16 it is converted on the way into shared memory.
WARP_TILE(matmul_warp_tile_nn_bf16, bfloat16, false, false)
WARP_TILE(matmul_warp_tile_nt_bf16, bfloat16, false, true)
WARP_TILE(matmul_warp_tile_tn_bf16, bfloat16, true, false)
WARP_TILE(matmul_warp_tile_tt_bf16, bfloat16, true, true)

#else

// The same tile filled by cp.async, 16 indices of K at a time. Where lines are not neighbours in memory elements go one by one, eight lanes
// along K and four lines: 32 different banks.
template <bool DepthIsContiguous>
struct AsyncStage
{
    static constexpr int deep = 16, pitch = tile_size + 4;

    const float* __restrict__ from;
    int lines, depth, lines_left, depth_left;
    bool whole;

    __device__ __forceinline__ AsyncStage(const float* values, int lines, int depth, int first_line, DepthRange range)
        : lines(lines), depth(depth), whole(by_fours(values, lines))
    {
        int line = first_line + this->line(), k = range.begin + this->k();
        from = values + (DepthIsContiguous ? line * depth + k : k * lines + line);
        lines_left = lines - line;
        depth_left = range.end - k;
    }

    static __device__ __forceinline__ int line() { return DepthIsContiguous ? threadIdx.x / 8 : threadIdx.x % 32 * 4; }

    static __device__ __forceinline__ int k() { return DepthIsContiguous ? threadIdx.x % 8 : threadIdx.x / 32; }

    // Begins to copy the next tile.
    __device__ __forceinline__ void copy(unsigned tile)
    {
        tile += (k() * pitch + line()) * sizeof(float);
#pragma unroll
        for (int d = 0; d < deep; d += 8)
        {
            if (DepthIsContiguous)
            {
#pragma unroll
                for (int l = 0; l < tile_size; l += 32)
                    copy_one(tile, l, d, from + l * depth + d);
            }
            else if (whole)
            {
                bool inside = lines_left > 0 && depth_left > d;
                cp_async_16(tile + d * pitch * 4, from + d * lines, inside ? 16 : 0);
            }
            else
            {
#pragma unroll
                for (int l = 0; l < 4; l++)
                    copy_one(tile, l, d, from + d * lines + l);
            }
        }
        from += DepthIsContiguous ? deep : deep * lines;
        depth_left -= deep;
    }

private:
    __device__ __forceinline__ void copy_one(unsigned tile, int l, int d, const float* element) const
    {
        bool inside = lines_left > l && depth_left > d;
        cp_async_4(tile + (d * pitch + l) * 4, element, inside ? 4 : 0);
    }
};

// cp.async moves the next tiles into a second buffer while the first is multiplied, past the registers: no load and store for each
// element, no wait for memory, and one barrier for a tile instead of two.
template <bool TransposeA, bool TransposeB>
__device__ __forceinline__ void double_buffer(
    const MatMulGeometry& g, const float* a, const float* b, const float* bias, void* c, int part_depth)
{
    constexpr int deep = 16, pitch = tile_size + 4, bytes = deep * pitch * sizeof(float);
    __shared__ __align__(16) float left[2][deep][pitch];
    __shared__ __align__(16) float right[2][deep][pitch];
    BandedPlace<tile_size, tile_size> place(g);
    DepthRange range(g.k, part_depth);
    AsyncStage<!TransposeA> stage_a(a + (long long)place.product * g.batch_stride_a, g.m, g.k, place.row, range);
    AsyncStage<TransposeB> stage_b(b + (long long)place.product * g.batch_stride_b, g.n, g.k, place.column, range);
    unsigned to_left = shared_address(left), to_right = shared_address(right);
    ThreadPlace mine;
    Sums sums = {};
    stage_a.copy(to_left);
    stage_b.copy(to_right);
    int buffer = 0;
    for (int depth = range.begin; depth < range.end; depth += deep)
    {
        cp_async_commit();
        cp_async_wait<0>();
        // Everyone's copies have arrived, and everyone has left the other buffer.
        __syncthreads();
        int other = 1 - buffer;
        if (depth + deep < range.end)
        {
            stage_a.copy(to_left + other * bytes);
            stage_b.copy(to_right + other * bytes);
        }
        sums.add(left[buffer], right[buffer], mine);
        buffer = other;
    }
    sums.store(Output<float>(g, place.product, bias, c, true), mine, place.row, place.column);
}

#define DOUBLE_BUFFER(name, transpose_a, transpose_b)                                                                        \
    extern "C" __global__ void __launch_bounds__(tile_threads, 2) name(                                                      \
        MatMulGeometry g, const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias,          \
        void* __restrict__ c, int part_depth, int)                                                                           \
    {                                                                                                                        \
        double_buffer<transpose_a, transpose_b>(g, a, b, bias, c, part_depth);                                               \
    }

DOUBLE_BUFFER(matmul_double_buffer_nn_f32, false, false)
DOUBLE_BUFFER(matmul_double_buffer_nt_f32, false, true)
DOUBLE_BUFFER(matmul_double_buffer_tn_f32, true, false)
DOUBLE_BUFFER(matmul_double_buffer_tt_f32, true, true)

#endif
