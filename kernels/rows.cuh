// Rows of a matrix in the registers of the threads that share them: for softmax, layer norm and reductions of rows.
//
// A row is shared by blockDim.x threads: a power of two up to a warp's 32, with blockDim.y rows in a block of whole warps, or several
// warps, which are then a block. Each holds 16 values of it, in packs of 16 bytes, neighbouring threads neighbouring packs, so that an
// access of a warp is 512 bytes in one piece, or in pieces of 128 bytes or more where rows are shorter. A row that is longer than all of
// them hold is taken part by part, and read again by each pass.
// CudaBackend.Rows.cs chooses the block.
#pragma once
#include "common.cuh"
#include "scalar.cuh"

// The row of a thread. Beyond the last one there are threads without a row: they take part in exchanges with a row of no columns. Unsigned,
// as element_index() is.
__device__ __forceinline__ unsigned row_index()
{
    return blockIdx.x * blockDim.y + threadIdx.y;
}

template <class T>
struct RowPart
{
    static constexpr int width = Pack<T>::size, count = 16;

    float v[count];

    // Columns of a part.
    static __device__ __forceinline__ int span() { return blockDim.x * count; }

    // The column of value i of this thread, from the beginning of the part.
    static __device__ __forceinline__ int column(int i) { return (i / width * blockDim.x + threadIdx.x) * width + i % width; }

    // Calls visit(i) for the values that a line of so many columns reaches in any of the row's threads: what is skipped takes no
    // instructions. Rows of half a warp's columns would otherwise cost as much as whole ones.
    template <class Visit>
    static __device__ __forceinline__ void for_values(int columns, Visit visit)
    {
#pragma unroll
        for (int first = 0; first < count; first += width)
        {
            if ((int)(first * blockDim.x) >= columns)
                break;
#pragma unroll
            for (int k = 0; k < width; k++)
                visit(first + k);
        }
    }

    // From a line of which so many columns are left, in its own type or, for what is added to every row, in float. Values beyond its
    // end become `beyond`. Single elements are read where a line does not begin or end with a whole pack; who holds what is the same.
    template <class S>
    __device__ __forceinline__ void load(const S* line, int columns, float beyond)
    {
        if (is_aligned(line) && columns % width == 0)
        {
#pragma unroll
            for (int i = 0; i < count; i += Pack<S>::size)
            {
                bool inside = column(i) < columns;
                Pack<S> pack;
                if (inside)
                    pack = load_pack(line + column(i));
#pragma unroll
                for (int k = 0; k < Pack<S>::size; k++)
                    v[i + k] = inside ? pack.v[k] : beyond;
            }
        }
        else
        {
#pragma unroll
            for (int i = 0; i < count; i++)
                v[i] = column(i) < columns ? to_float(line[column(i)]) : beyond;
        }
    }

    // The columns that the line has left, in either type likewise.
    template <class S>
    __device__ __forceinline__ void store(S* line, int columns) const
    {
        if (is_aligned(line) && columns % width == 0)
        {
#pragma unroll
            for (int i = 0; i < count; i += Pack<S>::size)
            {
                Pack<S> pack;
#pragma unroll
                for (int k = 0; k < Pack<S>::size; k++)
                    pack.v[k] = v[i + k];
                if (column(i) < columns)
                    store_pack(line + column(i), pack);
            }
        }
        else
        {
#pragma unroll
            for (int i = 0; i < count; i++)
            {
                if (column(i) < columns)
                    line[column(i)] = from_float<S>(v[i]);
            }
        }
    }
};

// Joins the values of a row's threads in a fixed order; every one of them receives the result. scratch holds 32 values in shared memory
// and may be used again at once.
template <class Op>
__device__ __forceinline__ typename Op::Value row_reduce(typename Op::Value value, typename Op::Value* scratch)
{
    if (blockDim.x > 32)
        return block_reduce<Op>(value, scratch);
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
    {
        // The same for the whole block. Lanes of a warp that belong to other rows exchange among themselves.
        if (distance < blockDim.x)
            value = Op::join(value, shuffle_xor(value, distance));
    }
    return value;
}
