// Reductions of x[outer, reduce, inner] over the middle axis to y[outer, inner]: sum, sum of squares, maximum, minimum, log(sum(exp)), and
// the index of the maximum. x is float32 or bfloat16, T; y is float32, or bfloat16 where `narrow` says so.
//
// A long axis is cut into chunks; each chunk gives one partial result in float32, y is then [outer, chunks, inner], and the same kernels
// reduce the partial results. Every order of joining is fixed by the shape: same input, same bits, and no atomics.
// Two forms of each:
//   rows     inner is 1: the threads of rows.cuh share one chunk of a row. Launch: grid ceil(outer * chunks / blockDim.y).
//   columns  a thread takes every blockDim.y-th row of a chunk of one column, or, packed, of the columns of 16 bytes where inner is a
//            multiple of them; the block then joins what its rows of threads have in pairs. Launch: blocks of at most 256 threads, both
//            extents powers of two; grid outer * chunks * ceil(columns or packs / blockDim.x).
// Bytes: sizeof(T) an element, read once, and 4 or 8 for each partial result; flops: 1 per element (2 for squares, an exponential for
// log(sum(exp))).
// Limit: memory; with few elements the launch itself.
#include "rows.cuh"

// A reducer adds elements to a value of Op and gives the result.
struct SumReducer
{
    typedef Sum Op;
    static __device__ __forceinline__ float add(float value, float x) { return value + x; }
    static __device__ __forceinline__ float result(float value) { return value; }
};

struct SumOfSquaresReducer
{
    typedef Sum Op;
    static __device__ __forceinline__ float add(float value, float x) { return fmaf(x, x, value); }
    static __device__ __forceinline__ float result(float value) { return value; }
};

struct MaxReducer
{
    typedef Max Op;
    static __device__ __forceinline__ float add(float value, float x) { return Max::join(value, x); }
    static __device__ __forceinline__ float result(float value) { return value; }
};

struct MinReducer
{
    typedef Min Op;
    static __device__ __forceinline__ float add(float value, float x) { return Min::join(value, x); }
    static __device__ __forceinline__ float result(float value) { return value; }
};

struct LogSumExpReducer
{
    typedef LogSumExp Op;
    static __device__ __forceinline__ Op::Value add(Op::Value value, float x) { return Op::join(value, Op::term(x)); }
    static __device__ __forceinline__ float result(Op::Value value) { return Op::result(value); }
};

// Partial results are float, the last ones what was asked for.
__device__ __forceinline__ void store_result(void* y, size_t i, float value, bool narrow)
{
    if (narrow)
        ((bfloat16*)y)[i] = from_float<bfloat16>(value);
    else
        ((float*)y)[i] = value;
}

// n results: one for each of outer and chunks.
template <class Reducer, class T>
__device__ __forceinline__ void reduce_rows(int n, int reduce, int chunks, int chunk, bool narrow, const T* __restrict__ x, void* __restrict__ y)
{
    typedef typename Reducer::Op Op;
    __shared__ typename Op::Value scratch[32];
    unsigned result = row_index(), row = result / chunks;
    int first = (result - row * chunks) * chunk;
    int count = result < n ? min(chunk, reduce - first) : 0;
    const T* line = x + (size_t)row * reduce + first;
    typename Op::Value value = Op::identity();
    for (int start = 0; start < count; start += RowPart<T>::span())
    {
        RowPart<T> part;
        part.load(line + start, count - start, 0);
        part.for_values(count - start, [&](int i)
        {
            if (start + part.column(i) < count)
                value = Reducer::add(value, part.v[i]);
        });
    }
    value = row_reduce<Op>(value, scratch);
    if (threadIdx.x == 0 && result < n)
        store_result(y, result, Reducer::result(value), narrow);
}

// store(result, column, value) takes the results, one for each of outer and chunks in every column.
template <class Reducer, class T, int Width, class Store>
__device__ __forceinline__ void reduce_columns(int reduce, int inner, int chunks, int chunk, const T* x, Store store)
{
    typedef typename Reducer::Op Op;
    constexpr int in_flight = 4;
    // Padded so that the results, which are gathered from several rows of it, lie in different banks.
    __shared__ typename Op::Value partial[Width][256 + 32 / Width];
    int blocks = (inner / Width + blockDim.x - 1) / blockDim.x, result = blockIdx.x / blocks;
    int outer = result / chunks, first = (result - outer * chunks) * chunk, end = min(reduce, first + chunk);
    int column = ((blockIdx.x - result * blocks) * blockDim.x + threadIdx.x) * Width, at = threadIdx.y * blockDim.x + threadIdx.x;
    const T* line = x + (size_t)outer * reduce * inner + column;
    // Windows may begin anywhere. Who adds what up does not depend on it.
    bool aligned = is_aligned(x);
    typename Op::Value value[Width];
#pragma unroll
    for (int i = 0; i < Width; i++)
        value[i] = Op::identity();
    if (column < inner)
    {
        for (int row = first + threadIdx.y; row < end; row += in_flight * blockDim.y)
        {
            // All loads before the first use: so many are under way at a time.
            float v[in_flight][Width];
#pragma unroll
            for (int k = 0; k < in_flight; k++)
            {
                int r = row + k * blockDim.y;
                if (r < end)
                {
                    if (Width > 1 && aligned)
                    {
                        Pack<T> pack = load_pack(line + (size_t)r * inner);
#pragma unroll
                        for (int i = 0; i < Width; i++)
                            v[k][i] = pack.v[i];
                    }
                    else
                    {
#pragma unroll
                        for (int i = 0; i < Width; i++)
                            v[k][i] = to_float(line[(size_t)r * inner + i]);
                    }
                }
            }
#pragma unroll
            for (int k = 0; k < in_flight; k++)
            {
                if (row + k * blockDim.y < end)
                {
#pragma unroll
                    for (int i = 0; i < Width; i++)
                        value[i] = Reducer::add(value[i], v[k][i]);
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < Width; i++)
        partial[i][at] = value[i];
    __syncthreads();
    for (int half = blockDim.y / 2; half > 0; half /= 2)
    {
        if (threadIdx.y < half)
        {
#pragma unroll
            for (int i = 0; i < Width; i++)
                partial[i][at] = Op::join(partial[i][at], partial[i][at + half * blockDim.x]);
        }
        __syncthreads();
    }
    // Neighbouring threads store neighbouring columns.
    int base = column - threadIdx.x * Width;
    for (int i = at; i < blockDim.x * Width && base + i < inner; i += blockDim.x * blockDim.y)
        store(result, base + i, Reducer::result(partial[i % Width][i / Width]));
}

template <class Reducer, class T, int Width>
__device__ __forceinline__ void reduce_columns(int reduce, int inner, int chunks, int chunk, bool narrow, const T* x, void* y)
{
    reduce_columns<Reducer, T, Width>(reduce, inner, chunks, chunk, x, [&](int result, int column, float value)
    {
        store_result(y, (size_t)result * inner + column, value, narrow);
    });
}

// first[inner] and second[inner], the column sums of the two arrays of x[2, reduce, inner]: gradients of a weight and of a bias from their
// parts, which lie beside each other while the results do not. They are short, so that a launch of their own is most of what they take.
template <int Width>
__device__ __forceinline__ void sum_two(int reduce, int inner, const float* x, float* first, float* second)
{
    reduce_columns<SumReducer, float, Width>(reduce, inner, 1, reduce, x, [&](int result, int column, float value)
    {
        (result == 0 ? first : second)[column] = value;
    });
}

// The first largest element; NaN counts as larger than any number.
struct ArgMax
{
    struct Value
    {
        float value;
        int index;
    };

    static __device__ __forceinline__ Value identity() { return {__int_as_float(0xff800000), 0x7fffffff}; }

    static __device__ __forceinline__ Value join(Value a, Value b)
    {
        bool a_is_nan = a.value != a.value, b_is_nan = b.value != b.value;
        bool larger = a_is_nan ? !b_is_nan : a.value > b.value;
        bool equal = a_is_nan ? b_is_nan : a.value == b.value;
        return larger || (equal && a.index < b.index) ? a : b;
    }
};

__device__ __forceinline__ ArgMax::Value shuffle_xor(ArgMax::Value value, int distance)
{
    return {shuffle_xor(value.value, distance), __shfl_xor_sync(0xffffffffu, value.index, distance)};
}

// y[outer] from x[outer, reduce].
template <class T>
__device__ __forceinline__ void argmax_rows(int outer, int reduce, const T* __restrict__ x, int* __restrict__ y)
{
    __shared__ ArgMax::Value scratch[32];
    unsigned row = row_index();
    int count = row < outer ? reduce : 0;
    const T* line = x + (size_t)row * reduce;
    ArgMax::Value best = ArgMax::identity();
    for (int start = 0; start < count; start += RowPart<T>::span())
    {
        RowPart<T> part;
        part.load(line + start, count - start, 0);
        part.for_values(count - start, [&](int i)
        {
            if (start + part.column(i) < count)
                best = ArgMax::join(best, {part.v[i], start + part.column(i)});
        });
    }
    best = row_reduce<ArgMax>(best, scratch);
    if (threadIdx.x == 0 && row < outer)
        y[row] = best.index;
}

// y[outer, inner], n of them: a thread per column.
template <class T>
__device__ __forceinline__ void argmax_columns(int n, int reduce, int inner, const T* __restrict__ x, int* __restrict__ y)
{
    unsigned i = element_index();
    if (i >= n)
        return;
    int outer = i / inner, column = i - outer * inner;
    const T* line = x + (size_t)outer * reduce * inner + column;
    ArgMax::Value best = ArgMax::identity();
    for (int r = 0; r < reduce; r++)
        best = ArgMax::join(best, {to_float(line[(size_t)r * inner]), r});
    y[i] = best.index;
}

#define REDUCER(name, Reducer, suffix, T) \
    extern "C" __global__ void __launch_bounds__(512) reduction_##name##_rows_##suffix( \
        int n, int reduce, int chunks, int chunk, int narrow, const T* __restrict__ x, void* __restrict__ y) \
    { \
        reduce_rows<Reducer, T>(n, reduce, chunks, chunk, narrow, x, y); \
    } \
    extern "C" __global__ void __launch_bounds__(256) reduction_##name##_columns_##suffix( \
        int reduce, int inner, int chunks, int chunk, int narrow, const T* __restrict__ x, void* __restrict__ y) \
    { \
        reduce_columns<Reducer, T, 1>(reduce, inner, chunks, chunk, narrow, x, y); \
    } \
    extern "C" __global__ void __launch_bounds__(256, 2) reduction_##name##_packed_columns_##suffix( \
        int reduce, int inner, int chunks, int chunk, int narrow, const T* __restrict__ x, void* __restrict__ y) \
    { \
        reduce_columns<Reducer, T, Pack<T>::size>(reduce, inner, chunks, chunk, narrow, x, y); \
    }

#define KERNELS(suffix, T) \
    REDUCER(sum, SumReducer, suffix, T) \
    REDUCER(sum_of_squares, SumOfSquaresReducer, suffix, T) \
    REDUCER(max, MaxReducer, suffix, T) \
    REDUCER(min, MinReducer, suffix, T) \
    REDUCER(log_sum_exp, LogSumExpReducer, suffix, T) \
    extern "C" __global__ void __launch_bounds__(512) reduction_argmax_rows_##suffix( \
        int outer, int reduce, const T* __restrict__ x, int* __restrict__ y) \
    { \
        argmax_rows<T>(outer, reduce, x, y); \
    } \
    extern "C" __global__ void reduction_argmax_columns_##suffix( \
        int n, int reduce, int inner, const T* __restrict__ x, int* __restrict__ y) \
    { \
        argmax_columns<T>(n, reduce, inner, x, y); \
    }

KERNELS(f32, float)
KERNELS(bf16, bfloat16)

extern "C" __global__ void __launch_bounds__(256) reduction_sum_two_f32(
    int reduce, int inner, const float* __restrict__ x, float* __restrict__ first, float* __restrict__ second)
{
    sum_two<1>(reduce, inner, x, first, second);
}

extern "C" __global__ void __launch_bounds__(256, 2) reduction_sum_two_packed_f32(
    int reduce, int inner, const float* __restrict__ x, float* __restrict__ first, float* __restrict__ second)
{
    sum_two<Pack<float>::size>(reduce, inner, x, first, second);
}
