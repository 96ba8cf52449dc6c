// What the kernels of matrix products share: the geometry, the order of tiles and the place of C.
#pragma once

#include "scalar.cuh"

// C[b] = op(A[b]) op(B[b]), see MatMulGeometry in C#. Batch strides are in elements.
struct MatMulGeometry
{
    int batch, m, n, k;
    bool transpose_a, transpose_b;
    int batch_stride_a, batch_stride_b;
};

// The indices of K that a block sums: all, or those of part blockIdx.y where K is split. A part is a multiple of the depth of a tile.
struct DepthRange
{
    int begin, end;

    __device__ __forceinline__ DepthRange(int k, int part_depth)
    {
        begin = blockIdx.y * part_depth;
        // Not min(k, begin + part_depth): that sum may be beyond 2^31.
        end = begin + min(k - begin, part_depth);
    }
};

// The tile of C of a block, by its first element. Blocks run about in the order of their numbers, so those at work together should share
// rows of A and columns of B in L2: tiles are numbered down the columns of bands that are 8 tiles high.
template <int Rows, int Columns>
struct BandedPlace
{
    int product, row, column;

    __device__ __forceinline__ BandedPlace(const MatMulGeometry& g)
    {
        constexpr int band = 8;
        int across = (g.n + Columns - 1) / Columns, down = (g.m + Rows - 1) / Rows;
        product = blockIdx.x / (across * down);
        int index = blockIdx.x - product * (across * down), first = index / (band * across) * band;
        int height = min(band, down - first);
        index -= first * across;
        row = (first + index % height) * Rows;
        column = index / height * Columns;
    }
};

// C of the product of a block, of type T, or float where the kernel is told so: a gradient of a weight, or the parts of a split sum, which
// lie one after the other.
template <class T>
struct Output
{
    void* c;
    const float* __restrict__ bias;
    int m, n;

    // Whether four neighbours in a row can be written at a time: then all of them are inside of C, or none is.
    bool is_float, whole;

    __device__ __forceinline__ Output(const MatMulGeometry& g, int product, const float* bias, void* c, bool is_float)
        : bias(bias), m(g.m), n(g.n), is_float(sizeof(T) == sizeof(float) || is_float)
    {
        int size = this->is_float ? sizeof(float) : sizeof(T);
        this->c = static_cast<char*>(c) + ((long long)blockIdx.y * g.batch + product) * g.m * g.n * size;
        whole = n % 4 == 0 && (unsigned long long)this->c % (4 * size) == 0;
    }

    // Writes Rows x Columns elements that a warp has put into shared memory, so that whole warps write rows side by side whatever a
    // thread has summed. The first belongs to (row, column); a row of the piece is RowStep rows of C below the one before.
    template <int Columns, int RowStep, int Rows, int Pitch>
    __device__ __forceinline__ void store(const float (&piece)[Rows][Pitch], int row, int column) const
    {
        static_assert(Columns % 4 == 0 && 128 % Columns == 0, "a row has a whole number of lanes, and a warp of rows");
        constexpr int lanes = Columns / 4;
        int lane = threadIdx.x % 32, first = lane % lanes * 4;
        __syncwarp();
        column += first;
        if (column < n)
        {
            float4 added = make_float4(bias_of(column), bias_of(column + 1), bias_of(column + 2), bias_of(column + 3));
#pragma unroll 1
            for (int r = lane / lanes; r < Rows && row + r * RowStep < m; r += 32 / lanes)
            {
                float4 x = *reinterpret_cast<const float4*>(&piece[r][first]);
                put((row + r * RowStep) * n + column, n - column, {x.x + added.x, x.y + added.y, x.z + added.z, x.w + added.w});
            }
        }
        // The piece may be written anew.
        __syncwarp();
    }

private:
    __device__ __forceinline__ float bias_of(int column) const { return bias != nullptr && column < n ? bias[column] : 0; }

    __device__ __forceinline__ void put(int at, int count, const float (&x)[4]) const
    {
        float* floats = static_cast<float*>(c) + at;
        T* values = static_cast<T*>(c) + at;
        if (whole && is_float)
            *reinterpret_cast<float4*>(floats) = make_float4(x[0], x[1], x[2], x[3]);
        else if (whole)
            *reinterpret_cast<uint2*>(values) = make_uint2(round_to_bfloat16_pair(x[0], x[1]), round_to_bfloat16_pair(x[2], x[3]));
        else
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                if (i >= count)
                    break;
                if (is_float)
                    floats[i] = x[i];
                else
                    values[i] = from_float<T>(x[i]);
            }
        }
    }
};
