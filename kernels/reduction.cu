// Reductions of x[outer, reduce, inner] over the middle axis to y[outer, inner]: sum, sum of squares, maximum, minimum, log(sum(exp)), and
// the index of the maximum.
//
// A long axis is cut into chunks; each chunk gives one partial result, y is then [outer, chunks, inner], and the same kernels reduce the
// partial results. Every order of joining is fixed by the shape: same input, same bits, and no atomics.
// Two forms of each:
//   rows     inner is 1: a block takes one chunk of one row. Launch: outer * chunks blocks of whole warps.
//   columns  a thread takes one chunk of one column. Launch: one thread per result, 256 a block.
// Bytes: 4 per element read; flops: 1 per element (2 for squares, an exponential for log(sum(exp))).
// Limit: memory. Neighbouring threads read neighbouring elements in both forms; with few short rows the launch itself.
#include "common.cuh"

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
    static __device__ __forceinline__ float add(float value, float x) { return value + x * x; }
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

template <class Reducer>
__device__ __forceinline__ void reduce_rows(int reduce, int chunks, int chunk, const float* x, float* y)
{
    typedef typename Reducer::Op Op;
    __shared__ typename Op::Value scratch[32];
    int row = blockIdx.x / chunks, start = (blockIdx.x - row * chunks) * chunk;
    int count = min(chunk, reduce - start);
    const float* line = x + (size_t)row * reduce + start;
    typename Op::Value value = Op::identity();
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        value = Reducer::add(value, line[i]);
    value = block_reduce<Op>(value, scratch);
    if (threadIdx.x == 0)
        y[blockIdx.x] = Reducer::result(value);
}

// n results: one for each of outer, chunks and inner.
template <class Reducer>
__device__ __forceinline__ void reduce_columns(int n, int reduce, int inner, int chunks, int chunk, const float* x, float* y)
{
    unsigned i = element_index();
    if (i >= n)
        return;
    int at = i / inner, column = i - at * inner;
    int outer = at / chunks, start = (at - outer * chunks) * chunk;
    int count = min(chunk, reduce - start);
    const float* line = x + ((size_t)outer * reduce + start) * inner + column;
    typename Reducer::Op::Value value = Reducer::Op::identity();
    for (int r = 0; r < count; r++)
        value = Reducer::add(value, line[(size_t)r * inner]);
    y[i] = Reducer::result(value);
}

extern "C" __global__ void reduction_sum_rows_f32(
    int reduce, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_rows<SumReducer>(reduce, chunks, chunk, x, y);
}

extern "C" __global__ void reduction_sum_columns_f32(
    int n, int reduce, int inner, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_columns<SumReducer>(n, reduce, inner, chunks, chunk, x, y);
}

extern "C" __global__ void reduction_sum_of_squares_rows_f32(
    int reduce, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_rows<SumOfSquaresReducer>(reduce, chunks, chunk, x, y);
}

extern "C" __global__ void reduction_sum_of_squares_columns_f32(
    int n, int reduce, int inner, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_columns<SumOfSquaresReducer>(n, reduce, inner, chunks, chunk, x, y);
}

extern "C" __global__ void reduction_max_rows_f32(
    int reduce, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_rows<MaxReducer>(reduce, chunks, chunk, x, y);
}

extern "C" __global__ void reduction_max_columns_f32(
    int n, int reduce, int inner, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_columns<MaxReducer>(n, reduce, inner, chunks, chunk, x, y);
}

extern "C" __global__ void reduction_min_rows_f32(
    int reduce, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_rows<MinReducer>(reduce, chunks, chunk, x, y);
}

extern "C" __global__ void reduction_min_columns_f32(
    int n, int reduce, int inner, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_columns<MinReducer>(n, reduce, inner, chunks, chunk, x, y);
}

extern "C" __global__ void reduction_log_sum_exp_rows_f32(
    int reduce, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_rows<LogSumExpReducer>(reduce, chunks, chunk, x, y);
}

extern "C" __global__ void reduction_log_sum_exp_columns_f32(
    int n, int reduce, int inner, int chunks, int chunk, const float* __restrict__ x, float* __restrict__ y)
{
    reduce_columns<LogSumExpReducer>(n, reduce, inner, chunks, chunk, x, y);
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

// y[outer] from x[outer, reduce]: a block per row.
extern "C" __global__ void reduction_argmax_rows_f32(int reduce, const float* __restrict__ x, int* __restrict__ y)
{
    __shared__ ArgMax::Value scratch[32];
    const float* line = x + (size_t)blockIdx.x * reduce;
    ArgMax::Value best = ArgMax::identity();
    for (int i = threadIdx.x; i < reduce; i += blockDim.x)
        best = ArgMax::join(best, {line[i], i});
    best = block_reduce<ArgMax>(best, scratch);
    if (threadIdx.x == 0)
        y[blockIdx.x] = best.index;
}

// y[outer, inner], n of them: a thread per column.
extern "C" __global__ void reduction_argmax_columns_f32(int n, int reduce, int inner, const float* __restrict__ x, int* __restrict__ y)
{
    unsigned i = element_index();
    if (i >= n)
        return;
    int outer = i / inner, column = i - outer * inner;
    const float* line = x + (size_t)outer * reduce * inner + column;
    ArgMax::Value best = ArgMax::identity();
    for (int r = 0; r < reduce; r++)
        best = ArgMax::join(best, {line[(size_t)r * inner], r});
    y[i] = best.index;
}
