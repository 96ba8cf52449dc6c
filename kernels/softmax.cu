// Softmax and its logarithm over the last axis of x[rows, columns], cross-entropy of rows of logits, and their gradients. T is float32
// or bfloat16; losses and their gradients are float32.
//
// Launch: the threads of rows.cuh for each row, grid ceil(rows / blockDim.y).
// Bytes: with rows that the registers hold (8192 columns) every element is read and written once: forward 2 sizeof(T) an element, gradient of
// softmax 3, cross-entropy 1 and its gradient 2; longer rows are read a second time. Flops: an exponential an element forward and in the
// gradients of the logarithm and of cross-entropy; two in rows that are read twice.
// Limit: memory. Rows whose length is no multiple of 16 bytes are read by single elements, which costs instructions and not bytes.
#include "rows.cuh"

__device__ __forceinline__ float minus_infinity()
{
    return Max::identity();
}

// Calls visit(start) for the beginning of every part of a row.
template <class T, class Visit>
__device__ __forceinline__ void for_parts(int columns, Visit visit)
{
    for (int start = 0; start < columns; start += RowPart<T>::span())
        visit(start);
}

// Whether a part has to be read again in a second pass, because another has taken its registers.
template <class T>
__device__ __forceinline__ bool is_long(int columns)
{
    return columns > RowPart<T>::span();
}

// The largest value of a row and the sum of exponentials relative to it. Of a row that registers hold the maximum comes first, and then an
// exponential for each element, which Keep leaves in the part in its place; of longer ones each part has its own maximum to begin with.
// Minus infinity beyond the end adds nothing.
template <bool Keep, class T>
__device__ __forceinline__ LogSumExp::Value row_log_sum_exp(const T* line, int columns, RowPart<T>& part)
{
    __shared__ float scratch[32];
    LogSumExp::Value all = LogSumExp::identity();
    if (is_long<T>(columns))
    {
        for_parts<T>(columns, [&](int start)
        {
            part.load(line + start, columns - start, minus_infinity());
            LogSumExp::Value mine = LogSumExp::identity();
            part.for_values(columns - start, [&](int i) { mine.max = Max::join(mine.max, part.v[i]); });
            part.for_values(columns - start, [&](int i) { mine.sum += LogSumExp::scale(part.v[i], mine.max); });
            all = LogSumExp::join(all, mine);
        });
        float max = row_reduce<Max>(all.max, scratch);
        all = {max, all.sum * LogSumExp::scale(all.max, max)};
    }
    else
    {
        part.load(line, columns, minus_infinity());
        part.for_values(columns, [&](int i) { all.max = Max::join(all.max, part.v[i]); });
        all.max = row_reduce<Max>(all.max, scratch);
        part.for_values(columns, [&](int i)
        {
            float e = LogSumExp::scale(part.v[i], all.max);
            all.sum += e;
            if (Keep)
                part.v[i] = e;
        });
    }
    return {all.max, row_reduce<Sum>(all.sum, scratch)};
}

// Whether the part holds the row's exponentials. Not those of rows with an infinite maximum either: exp(x - max) is NaN there where the
// sum has counted a 1.
template <class T>
__device__ __forceinline__ bool are_kept(int columns, float max)
{
    return !is_long<T>(columns) && max - max == 0;
}

// y = f(x) of every element of a row whose sums are known: f is given the value and its column. x is read where the part holds it no more.
template <class T, class Function>
__device__ __forceinline__ void map_row(const T* x, T* y, int columns, RowPart<T>& part, bool read, Function f)
{
    for_parts<T>(columns, [&](int start)
    {
        if (read)
            part.load(x + start, columns - start, 0);
        part.for_values(columns - start, [&](int i) { part.v[i] = f(part.v[i], start + part.column(i)); });
        part.store(y + start, columns - start);
    });
}

// y = exp(x - max) / sum(exp(x - max)), or its logarithm x - max - log(sum(exp(x - max))).
template <class T, bool Log>
__device__ __forceinline__ void softmax_forward(int rows, int columns, const T* __restrict__ x, T* __restrict__ y)
{
    size_t row = row_index(), first = row * columns;
    columns = row < rows ? columns : 0;
    RowPart<T> part;
    LogSumExp::Value all = row_log_sum_exp<!Log>(x + first, columns, part);
    float scale = 1 / all.sum, log_sum = Log ? logf(all.sum) : 0;
    if (Log)
        map_row(x + first, y + first, columns, part, is_long<T>(columns), [&](float value, int) { return value - all.max - log_sum; });
    else if (are_kept<T>(columns, all.max))
        map_row(x + first, y + first, columns, part, false, [&](float value, int) { return value * scale; });
    else
        map_row(x + first, y + first, columns, part, true, [&](float value, int) { return expf(value - all.max) * scale; });
}

// gx = y (gy - sum(gy y)) from y = softmax(x), or gx = gy - exp(y) sum(gy) from its logarithm. Rounded to bfloat16, y no longer adds up
// to one, and where one y is almost all of it the difference would be of that rounding: the sum is divided by that of y.
template <class T, bool Log>
__device__ __forceinline__ void softmax_grad(
    int rows, int columns, const T* __restrict__ y, const T* __restrict__ gy, T* __restrict__ gx)
{
    __shared__ float scratch[32];
    size_t row = row_index(), first = row * columns;
    columns = row < rows ? columns : 0;
    RowPart<T> output, gradient;
    float sum = 0, total = 0;
    for_parts<T>(columns, [&](int start)
    {
        output.load(y + first + start, columns - start, 0);
        gradient.load(gy + first + start, columns - start, 0);
        output.for_values(columns - start, [&](int i)
        {
            sum = Log ? sum + gradient.v[i] : fmaf(gradient.v[i], output.v[i], sum);
            total += output.v[i];
        });
    });
    sum = row_reduce<Sum>(sum, scratch);
    if (!Log)
        sum /= row_reduce<Sum>(total, scratch);
    for_parts<T>(columns, [&](int start)
    {
        if (is_long<T>(columns))
        {
            output.load(y + first + start, columns - start, 0);
            gradient.load(gy + first + start, columns - start, 0);
        }
        output.for_values(columns - start, [&](int i)
        {
            output.v[i] = Log ? gradient.v[i] - expf(output.v[i]) * sum : output.v[i] * (gradient.v[i] - sum);
        });
        output.store(gx + first + start, columns - start);
    });
}

// losses[row] = log(sum(exp(logits[row]))) - logits[row, labels[row]]
template <class T>
__device__ __forceinline__ void cross_entropy(
    int rows, int columns, const T* __restrict__ logits, const int* __restrict__ labels, float* __restrict__ losses)
{
    size_t row = row_index(), first = row * columns;
    RowPart<T> part;
    LogSumExp::Value all = row_log_sum_exp<false>(logits + first, row < rows ? columns : 0, part);
    if (threadIdx.x == 0 && row < rows)
        losses[row] = logf(all.sum) + (all.max - to_float(logits[first + labels[row]]));
}

// gLogits[row, c] = gLosses[row] (softmax(logits[row])[c] - (c == labels[row]))
template <class T>
__device__ __forceinline__ void cross_entropy_grad(
    int rows, int columns, const T* __restrict__ logits, const int* __restrict__ labels, const float* __restrict__ g_losses,
    T* __restrict__ g_logits)
{
    size_t row = row_index(), first = row * columns;
    bool exists = row < rows;
    columns = exists ? columns : 0;
    RowPart<T> part;
    LogSumExp::Value all = row_log_sum_exp<true>(logits + first, columns, part);
    float gradient = exists ? g_losses[row] : 0, scale = 1 / all.sum;
    int label = exists ? labels[row] : 0;
    auto minus_one_hot = [&](float probability, int column) { return gradient * (probability - (column == label ? 1 : 0)); };
    if (are_kept<T>(columns, all.max))
    {
        map_row(logits + first, g_logits + first, columns, part, false, [&](float value, int column)
        {
            return minus_one_hot(value * scale, column);
        });
    }
    else
    {
        map_row(logits + first, g_logits + first, columns, part, true, [&](float value, int column)
        {
            return minus_one_hot(expf(value - all.max) * scale, column);
        });
    }
}

#define KERNELS(suffix, T) \
    extern "C" __global__ void __launch_bounds__(512) softmax_forward_##suffix( \
        int rows, int columns, const T* __restrict__ x, T* __restrict__ y) \
    { \
        softmax_forward<T, false>(rows, columns, x, y); \
    } \
    extern "C" __global__ void __launch_bounds__(512) softmax_log_forward_##suffix( \
        int rows, int columns, const T* __restrict__ x, T* __restrict__ y) \
    { \
        softmax_forward<T, true>(rows, columns, x, y); \
    } \
    extern "C" __global__ void __launch_bounds__(512) softmax_grad_##suffix( \
        int rows, int columns, const T* __restrict__ y, const T* __restrict__ gy, T* __restrict__ gx) \
    { \
        softmax_grad<T, false>(rows, columns, y, gy, gx); \
    } \
    extern "C" __global__ void __launch_bounds__(512) softmax_log_grad_##suffix( \
        int rows, int columns, const T* __restrict__ y, const T* __restrict__ gy, T* __restrict__ gx) \
    { \
        softmax_grad<T, true>(rows, columns, y, gy, gx); \
    } \
    extern "C" __global__ void __launch_bounds__(512, 2) softmax_cross_entropy_##suffix( \
        int rows, int columns, const T* __restrict__ logits, const int* __restrict__ labels, float* __restrict__ losses) \
    { \
        cross_entropy<T>(rows, columns, logits, labels, losses); \
    } \
    extern "C" __global__ void __launch_bounds__(512) softmax_cross_entropy_grad_##suffix( \
        int rows, int columns, const T* __restrict__ logits, const int* __restrict__ labels, const float* __restrict__ g_losses, \
        T* __restrict__ g_logits) \
    { \
        cross_entropy_grad<T>(rows, columns, logits, labels, g_losses, g_logits); \
    }

KERNELS(f32, float)
KERNELS(bf16, bfloat16)
