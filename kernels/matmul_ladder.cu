// The first rungs of the ladder of matrix products, for study: C[b] = A[b] B[b] (+ bias[N] added to every row), A is [M, K], B is [K, N]
// and C is [Batch, M, N], all of any size. Each kernel changes one thing of the one before it, and says what and why. The next rungs are
// in matmul_simt.cu and matmul_tensorcore.cu. The counters named here are those of the emulator; MatMulLadderTests asserts them.
//
// Launch     grid Batch * ceil(M / rows) * ceil(N / columns), the tile of a block and its threads:
//                matmul_naive_f32           32 x 8      256
//                matmul_coalesced_f32       8 x 32      256
//                matmul_shared_f32          32 x 32     1024
//                matmul_register_1d_f32     64 x 64     512
//                matmul_register_2d_f32     128 x 128   256
//                matmul_vectorised_f32      128 x 128   256
//            No dynamic shared memory.
// Bytes      at least 4 (M K + K N + M N), in fact 4 (M K ceil(N / columns) + K N ceil(M / rows) + M N) of which L2 catches some;
//            flops 2 M N K.
// Limit      naive, coalesced: requests to global memory, two for a multiply-add. shared: reads of shared memory, 2 for a multiply-add;
//            register_1d: 9/8, register_2d: 1/4, vectorised: 1/16, after which it is bank conflicts that cost.

#include "matmul.cuh"
#include "tiles.cuh"

// The matrices of the product that a block belongs to.
struct Product
{
    int m, n, k;
    const float* __restrict__ a;
    const float* __restrict__ b;
    const float* __restrict__ bias;
    float* __restrict__ c;

    __device__ __forceinline__ Product(
        const MatMulGeometry& g, int product, const float* a, const float* b, const float* bias, float* c)
        : m(g.m), n(g.n), k(g.k), a(a + (long long)product * g.batch_stride_a), b(b + (long long)product * g.batch_stride_b), bias(bias),
          c(c + (long long)product * g.m * g.n)
    {
    }

    __device__ __forceinline__ float left(int row, int depth) const { return row < m && depth < k ? a[row * k + depth] : 0; }

    __device__ __forceinline__ float right(int depth, int column) const { return depth < k && column < n ? b[depth * n + column] : 0; }

    __device__ __forceinline__ void store(int row, int column, float value) const
    {
        if (row < m && column < n)
            c[row * n + column] = bias == nullptr ? value : value + bias[column];
    }
};

// One thread for each element of C, neighbouring threads in neighbouring rows: the 32 lanes of a warp read A and write C a whole row apart,
// 32 sectors of 32 bytes for 128 useful bytes.
extern "C" __global__ void __launch_bounds__(256) matmul_naive_f32(
    MatMulGeometry g, const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c)
{
    TilePlace place = tile_place<TileShape<32, 8>>(g.m, g.n);
    Product p(g, place.product, a, b, bias, c);
    int row = place.row + threadIdx.x % 32, column = place.column + threadIdx.x / 32;
    float sum = 0;
    if (row < p.m && column < p.n)
    {
        for (int k = 0; k < p.k; k++)
            sum = fmaf(p.a[row * p.k + k], p.b[k * p.n + column], sum);
    }
    p.store(row, column, sum);
}

// Neighbouring threads in neighbouring columns: a warp reads 128 consecutive bytes of B, 4 sectors, and one element of A for all lanes,
// 1 sector; it writes 4 sectors of C.
extern "C" __global__ void __launch_bounds__(256) matmul_coalesced_f32(
    MatMulGeometry g, const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c)
{
    TilePlace place = tile_place<TileShape<8, 32>>(g.m, g.n);
    Product p(g, place.product, a, b, bias, c);
    int row = place.row + threadIdx.x / 32, column = place.column + threadIdx.x % 32;
    float sum = 0;
    if (row < p.m && column < p.n)
    {
        for (int k = 0; k < p.k; k++)
            sum = fmaf(p.a[row * p.k + k], p.b[k * p.n + column], sum);
    }
    p.store(row, column, sum);
}

// Tiles of A and B pass through shared memory: an element is read from global memory once for the 32 rows or columns of the block that
// need it, so global loads fall by 32. What remains are two reads of shared memory for a multiply-add.
extern "C" __global__ void __launch_bounds__(1024) matmul_shared_f32(
    MatMulGeometry g, const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c)
{
    constexpr int size = 32;
    __shared__ float left[size][size], right[size][size];
    TilePlace place = tile_place<TileShape<size, size>>(g.m, g.n);
    Product p(g, place.product, a, b, bias, c);
    int y = threadIdx.x / size, x = threadIdx.x % size;
    float sum = 0;
    for (int depth = 0; depth < p.k; depth += size)
    {
        left[y][x] = p.left(place.row + y, depth + x);
        right[y][x] = p.right(depth + y, place.column + x);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < size; k++)
            sum = fmaf(left[y][k], right[k][x], sum);
        __syncthreads();
    }
    p.store(place.row + y, place.column + x, sum);
}

// Each thread sums 8 rows of a column in registers: an element of B that was read from shared memory is multiplied 8 times, so 9 reads
// make 8 multiply-adds.
extern "C" __global__ void __launch_bounds__(512) matmul_register_1d_f32(
    MatMulGeometry g, const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c)
{
    constexpr int size = 64, depth_size = 8, each = 8;
    // Lines of A are read by rows of 32 lanes at one k: padding lets the writes along k meet different banks.
    __shared__ float left[depth_size][size + 4], right[depth_size][size];
    TilePlace place = tile_place<TileShape<size, size>>(g.m, g.n);
    Product p(g, place.product, a, b, bias, c);
    int row = threadIdx.x / size * each, column = threadIdx.x % size;
    float sum[each] = {};
    for (int depth = 0; depth < p.k; depth += depth_size)
    {
        int k = threadIdx.x % depth_size, line = threadIdx.x / depth_size;
        left[k][line] = p.left(place.row + line, depth + k);
        right[threadIdx.x / size][column] = p.right(depth + threadIdx.x / size, place.column + column);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < depth_size; k++)
        {
            float once = right[k][column];
#pragma unroll
            for (int i = 0; i < each; i++)
                sum[i] = fmaf(left[k][row + i], once, sum[i]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < each; i++)
        p.store(place.row + row + i, place.column + column, sum[i]);
}

constexpr int square = 128, square_depth = 8, square_each = 8;

// sum[i][j] += rows[i] columns[j]: 64 multiply-adds from 16 numbers.
__device__ __forceinline__ void outer_product(
    float (&sum)[square_each][square_each], const float (&rows)[square_each], const float (&columns)[square_each])
{
#pragma unroll
    for (int i = 0; i < square_each; i++)
    {
#pragma unroll
        for (int j = 0; j < square_each; j++)
            sum[i][j] = fmaf(rows[i], columns[j], sum[i][j]);
    }
}

// Each thread sums 8 x 8 elements: of 16 reads of shared memory come 64 multiply-adds. The tile of the block grows to 128 x 128, which
// halves the global loads too.
extern "C" __global__ void __launch_bounds__(256) matmul_register_2d_f32(
    MatMulGeometry g, const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c)
{
    __shared__ float left[square][square_depth + 1], right[square_depth][square];
    TilePlace place = tile_place<TileShape<square, square>>(g.m, g.n);
    Product p(g, place.product, a, b, bias, c);
    int row = threadIdx.x / 16 * square_each, column = threadIdx.x % 16 * square_each;
    float sum[square_each][square_each] = {};
    for (int depth = 0; depth < p.k; depth += square_depth)
    {
#pragma unroll
        for (int i = threadIdx.x; i < square * square_depth; i += 256)
        {
            left[i / square_depth][i % square_depth] = p.left(place.row + i / square_depth, depth + i % square_depth);
            right[i / square][i % square] = p.right(depth + i / square, place.column + i % square);
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < square_depth; k++)
        {
            float rows[square_each], columns[square_each];
#pragma unroll
            for (int i = 0; i < square_each; i++)
            {
                rows[i] = left[row + i][k];
                columns[i] = right[k][column + i];
            }
            outer_product(sum, rows, columns);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < square_each; i++)
    {
#pragma unroll
        for (int j = 0; j < square_each; j++)
            p.store(place.row + row + i, place.column + column + j, sum[i][j]);
    }
}

// Four neighbours move in one instruction of 16 bytes, from global memory and from shared memory, where A now lies transposed so that the
// rows of a thread are neighbours: a quarter of the loads, and fewer instructions for a multiply-add.
extern "C" __global__ void __launch_bounds__(256) matmul_vectorised_f32(
    MatMulGeometry g, const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c)
{
    // Two threads hold a row of A: a padding of 4 puts their elements into different halves of the banks.
    __shared__ __align__(16) float left[square_depth][square + 4];
    __shared__ __align__(16) float right[square_depth][square];
    TilePlace place = tile_place<TileShape<square, square>>(g.m, g.n);
    Product p(g, place.product, a, b, bias, c);
    bool whole_a = p.k % 4 == 0 && (unsigned long long)p.a % 16 == 0, whole_b = p.n % 4 == 0 && (unsigned long long)p.b % 16 == 0;
    int line = threadIdx.x / 2, first = threadIdx.x % 2 * 4, deep = threadIdx.x / 32, across = threadIdx.x % 32 * 4;
    int row = threadIdx.x / 16 * square_each, column = threadIdx.x % 16 * square_each;
    float sum[square_each][square_each] = {};
    for (int depth = 0; depth < p.k; depth += square_depth)
    {
        int at_row = place.row + line, k = depth + first, at_column = place.column + across, at_k = depth + deep;
        float4 four = whole_a && at_row < p.m && k < p.k ? *reinterpret_cast<const float4*>(p.a + at_row * p.k + k)
            : whole_a ? make_float4(0, 0, 0, 0)
            : make_float4(p.left(at_row, k), p.left(at_row, k + 1), p.left(at_row, k + 2), p.left(at_row, k + 3));
        left[first][line] = four.x;
        left[first + 1][line] = four.y;
        left[first + 2][line] = four.z;
        left[first + 3][line] = four.w;
        *reinterpret_cast<float4*>(&right[deep][across]) =
            whole_b && at_k < p.k && at_column < p.n ? *reinterpret_cast<const float4*>(p.b + at_k * p.n + at_column)
            : whole_b ? make_float4(0, 0, 0, 0)
            : make_float4(p.right(at_k, at_column), p.right(at_k, at_column + 1), p.right(at_k, at_column + 2), p.right(at_k, at_column + 3));
        __syncthreads();
#pragma unroll
        for (int k = 0; k < square_depth; k++)
        {
            float rows[square_each], columns[square_each];
#pragma unroll
            for (int i = 0; i < square_each; i += 4)
            {
                *reinterpret_cast<float4*>(rows + i) = *reinterpret_cast<const float4*>(&left[k][row + i]);
                *reinterpret_cast<float4*>(columns + i) = *reinterpret_cast<const float4*>(&right[k][column + i]);
            }
            outer_product(sum, rows, columns);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < square_each; i++)
    {
#pragma unroll
        for (int j = 0; j < square_each; j++)
            p.store(place.row + row + i, place.column + column + j, sum[i][j]);
    }
}
