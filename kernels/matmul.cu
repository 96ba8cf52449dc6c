// Matrix products with few tiles: C[b] = op(A[b]) op(B[b]) (+ bias[N] added to every row), C is [Batch, M, N]. Large ones are in
// matmul_simt.cu, matmul_tf32.cu and matmul_bf16.cu.
//
//   matmul_nn_*   A is [M, K], B is [K, N]          matmul_nt_*   A is [M, K], B is [N, K]
//   matmul_tn_*   A is [K, M], B is [K, N]          matmul_tt_*   A is [K, M], B is [N, K]
//
// Launch     grid (Batch * ceil(M / rows) * ceil(N / columns), parts of K), blocks of rows * columns / 16 threads, no dynamic shared memory;
//            part_depth is a multiple of 16. rows x columns is in the name: 64 x 64, and 64 x 16 and 16 x 64 for thin C, whose wider
//            tiles would be mostly air. matmul_add_parts: a thread for each element of C.
// Bytes      4 (2 in bfloat16) (M K ceil(N / columns) + K N ceil(M / rows)) + 4 M N per matrix of the batch; flops 2 M N K. The parts of a
//            split sum are written and read once more, 8 bytes for each element and part.
// Limit      64 x 64: shared memory, 32 bytes read for 16 multiply-adds. Thin tiles and adding parts: global memory.

#include "matmul.cuh"
#include "tiles.cuh"

// A matrix of lines x depth elements: the rows of op(A), or the columns of op(B).
template <class T, bool DepthIsContiguous>
struct DenseOperand
{
    static constexpr bool depth_is_contiguous = DepthIsContiguous;

    // Where the line starts, or a negative number where there is no such line.
    using Line = int;
    using Step = int;

    const T* __restrict__ values;
    int lines, depth;

    __device__ __forceinline__ Line line(int index) const
    {
        return index >= lines ? -1 : DepthIsContiguous ? index * depth : index;
    }

    __device__ __forceinline__ Step step(int k) const { return DepthIsContiguous ? k : k * lines; }

    __device__ __forceinline__ float at(Line line, Step step) const { return line < 0 ? 0.0f : to_float(values[line + step]); }
};

template <class T, class Shape, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void matmul(
    const MatMulGeometry& g, const T* __restrict__ a, const T* __restrict__ b, const float* __restrict__ bias, void* __restrict__ c,
    int part_depth, bool c_is_float)
{
    TilePlace place = tile_place<Shape>(g.m, g.n);
    DepthRange range(g.k, part_depth);
    DenseOperand<T, !TransposeA> left{a + (long long)place.product * g.batch_stride_a, g.m, g.k};
    DenseOperand<T, TransposeB> right{b + (long long)place.product * g.batch_stride_b, g.n, g.k};
    long long first = ((long long)blockIdx.y * g.batch + place.product) * g.m * g.n;
    multiply_tile<Shape>(left, right, place, range.begin, range.end,
        [&](int row, int column, float value)
        {
            if (row >= g.m || column >= g.n)
                return;
            value = bias == nullptr ? value : value + bias[column];
            if (c_is_float)
                static_cast<float*>(c)[first + row * g.n + column] = value;
            else
                static_cast<T*>(c)[first + row * g.n + column] = from_float<T>(value);
        });
}

#define MATMUL(name, type, rows, columns, transpose_a, transpose_b)                                                          \
    extern "C" __global__ void __launch_bounds__(TileShape<rows, columns>::Threads, 1) name(                                 \
        MatMulGeometry g, const type* __restrict__ a, const type* __restrict__ b, const float* __restrict__ bias,            \
        void* __restrict__ c, int part_depth, int c_is_float)                                                                \
    {                                                                                                                        \
        matmul<type, TileShape<rows, columns>, transpose_a, transpose_b>(                                                    \
            g, a, b, bias, c, part_depth, sizeof(type) == sizeof(float) || c_is_float);                                      \
    }

MATMUL(matmul_nn_64x64_f32, float, 64, 64, false, false)
MATMUL(matmul_nt_64x64_f32, float, 64, 64, false, true)
MATMUL(matmul_tn_64x64_f32, float, 64, 64, true, false)
MATMUL(matmul_tt_64x64_f32, float, 64, 64, true, true)

MATMUL(matmul_nn_64x16_f32, float, 64, 16, false, false)
MATMUL(matmul_nt_64x16_f32, float, 64, 16, false, true)
MATMUL(matmul_tn_64x16_f32, float, 64, 16, true, false)
MATMUL(matmul_tt_64x16_f32, float, 64, 16, true, true)

MATMUL(matmul_nn_16x64_f32, float, 16, 64, false, false)
MATMUL(matmul_nt_16x64_f32, float, 16, 64, false, true)
MATMUL(matmul_tn_16x64_f32, float, 16, 64, true, false)
MATMUL(matmul_tt_16x64_f32, float, 16, 64, true, true)

MATMUL(matmul_nn_64x16_bf16, bfloat16, 64, 16, false, false)
MATMUL(matmul_nt_64x16_bf16, bfloat16, 64, 16, false, true)
MATMUL(matmul_tn_64x16_bf16, bfloat16, 64, 16, true, false)
MATMUL(matmul_tt_64x16_bf16, bfloat16, 64, 16, true, true)

MATMUL(matmul_nn_16x64_bf16, bfloat16, 16, 64, false, false)
MATMUL(matmul_nt_16x64_bf16, bfloat16, 16, 64, false, true)
MATMUL(matmul_tn_16x64_bf16, bfloat16, 16, 64, true, false)
MATMUL(matmul_tt_16x64_bf16, bfloat16, 16, 64, true, true)

#if __CUDA_ARCH__ < 800

// Tensor cores make this tile where there are any.
MATMUL(matmul_nn_64x64_bf16, bfloat16, 64, 64, false, false)
MATMUL(matmul_nt_64x64_bf16, bfloat16, 64, 64, false, true)
MATMUL(matmul_tn_64x64_bf16, bfloat16, 64, 64, true, false)
MATMUL(matmul_tt_64x64_bf16, bfloat16, 64, 64, true, true)

#endif

// y[count] = the sum of x[parts, count] in their order (+ bias[columns] added to every row).
template <class T>
__device__ __forceinline__ void add_parts(
    int count, int columns, int parts, const float* __restrict__ x, const float* __restrict__ bias, T* __restrict__ y)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    float sum = bias == nullptr ? 0 : bias[i % columns];
    // Few elements have many parts, up to 256, and few threads to hide the latency of their loads: 16 are under way at a time.
#pragma unroll 16
    for (int part = 0; part < parts; part++)
        sum += x[(long long)part * count + i];
    y[i] = from_float<T>(sum);
}

extern "C" __global__ void matmul_add_parts_f32(
    int count, int columns, int parts, const float* __restrict__ x, const float* __restrict__ bias, float* __restrict__ y)
{
    add_parts(count, columns, parts, x, bias, y);
}

extern "C" __global__ void matmul_add_parts_bf16(
    int count, int columns, int parts, const float* __restrict__ x, const float* __restrict__ bias, bfloat16* __restrict__ y)
{
    add_parts(count, columns, parts, x, bias, y);
}
