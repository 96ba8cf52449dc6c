// Matrix products: C[b] = op(A[b]) op(B[b]) (+ bias[N] added to every row), C is [Batch, M, N].
//
//   matmul_nn_*   A is [M, K], B is [K, N]          matmul_nt_*   A is [M, K], B is [N, K]
//   matmul_tn_*   A is [K, M], B is [K, N]          matmul_tt_*   A is [K, M], B is [N, K]
//
// Launch     grid Batch * ceil(M / rows) * ceil(N / columns), blocks of rows * columns / 16 threads, no dynamic shared memory.
//            rows x columns is in the name: 64 x 64, and 64 x 16 and 16 x 64 for thin C, whose wider tiles would be mostly air.
// Bytes      4 (M K ceil(N / columns) + K N ceil(M / rows) + M N) per matrix of the batch; flops 2 M N K.
// Limit      64 x 64: shared memory, 32 bytes read for 16 multiply-adds. Thin tiles: global memory.

#include "tiles.cuh"

struct MatMulGeometry
{
    int batch, m, n, k;
    bool transpose_a, transpose_b;
    int batch_stride_a, batch_stride_b;
};

// A matrix of lines x depth elements: the rows of op(A), or the columns of op(B).
template <bool DepthIsContiguous>
struct DenseOperand
{
    static constexpr bool depth_is_contiguous = DepthIsContiguous;

    // Where the line starts, or a negative number where there is no such line.
    using Line = int;
    using Step = int;

    const float* __restrict__ values;
    int lines, depth;

    __device__ __forceinline__ Line line(int index) const
    {
        return index >= lines ? -1 : DepthIsContiguous ? index * depth : index;
    }

    __device__ __forceinline__ Step step(int k) const { return DepthIsContiguous ? k : k * lines; }

    __device__ __forceinline__ float at(Line line, Step step) const { return line < 0 ? 0.0f : values[line + step]; }
};

template <class Shape, bool TransposeA, bool TransposeB>
__device__ __forceinline__ void matmul(
    const MatMulGeometry& g, const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c)
{
    TilePlace place = tile_place<Shape>(g.m, g.n);
    DenseOperand<!TransposeA> left{a + (long long)place.product * g.batch_stride_a, g.m, g.k};
    DenseOperand<TransposeB> right{b + (long long)place.product * g.batch_stride_b, g.n, g.k};
    float* __restrict__ to = c + (long long)place.product * g.m * g.n;
    multiply_tile<Shape>(left, right, place, 0, g.k,
        [&](int row, int column, float value)
        {
            if (row < g.m && column < g.n)
                to[row * g.n + column] = bias == nullptr ? value : value + bias[column];
        });
}

#define MATMUL(name, rows, columns, transpose_a, transpose_b)                                                                \
    extern "C" __global__ void __launch_bounds__(TileShape<rows, columns>::Threads, 1) name(                                 \
        MatMulGeometry g, const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias,          \
        float* __restrict__ c)                                                                                               \
    {                                                                                                                        \
        matmul<TileShape<rows, columns>, transpose_a, transpose_b>(g, a, b, bias, c);                                        \
    }

MATMUL(matmul_nn_64x64_f32, 64, 64, false, false)
MATMUL(matmul_nt_64x64_f32, 64, 64, false, true)
MATMUL(matmul_tn_64x64_f32, 64, 64, true, false)
MATMUL(matmul_tt_64x64_f32, 64, 64, true, true)

MATMUL(matmul_nn_64x16_f32, 64, 16, false, false)
MATMUL(matmul_nt_64x16_f32, 64, 16, false, true)
MATMUL(matmul_tn_64x16_f32, 64, 16, true, false)
MATMUL(matmul_tt_64x16_f32, 64, 16, true, true)

MATMUL(matmul_nn_16x64_f32, 16, 64, false, false)
MATMUL(matmul_nt_16x64_f32, 16, 64, false, true)
MATMUL(matmul_tn_16x64_f32, 16, 64, true, false)
MATMUL(matmul_tt_16x64_f32, 16, 64, true, true)
