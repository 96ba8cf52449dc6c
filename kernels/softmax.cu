// Softmax and its logarithm over the last axis of x[rows, columns], cross-entropy of rows of logits, and their gradients.
//
// Launch: one block of whole warps (32 to 256 threads) per row.
// Bytes: forward 12 per element (the row is read twice), gradients 12 to 16; flops: two exponentials per element forward, up to one in
// the gradients.
// Limit: memory; a row is read again from the cache. With rows shorter than a warp, idle lanes.
#include "common.cuh"

__device__ __forceinline__ LogSumExp::Value row_log_sum_exp(const float* line, int columns)
{
    __shared__ LogSumExp::Value scratch[32];
    LogSumExp::Value value = LogSumExp::identity();
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        value = LogSumExp::join(value, LogSumExp::term(line[i]));
    return block_reduce<LogSumExp>(value, scratch);
}

// y = exp(x - max) / sum(exp(x - max))
extern "C" __global__ void softmax_forward_f32(int columns, const float* __restrict__ x, float* __restrict__ y)
{
    size_t row = (size_t)blockIdx.x * columns;
    LogSumExp::Value all = row_log_sum_exp(x + row, columns);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        y[row + i] = expf(x[row + i] - all.max) / all.sum;
}

// y = x - max - log(sum(exp(x - max)))
extern "C" __global__ void softmax_log_forward_f32(int columns, const float* __restrict__ x, float* __restrict__ y)
{
    size_t row = (size_t)blockIdx.x * columns;
    LogSumExp::Value all = row_log_sum_exp(x + row, columns);
    float log_sum = logf(all.sum);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        y[row + i] = x[row + i] - all.max - log_sum;
}

// gx = y (gy - sum(gy y)), from y = softmax(x)
extern "C" __global__ void softmax_grad_f32(
    int columns, const float* __restrict__ y, const float* __restrict__ gy, float* __restrict__ gx)
{
    __shared__ float scratch[32];
    size_t row = (size_t)blockIdx.x * columns;
    float sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        sum += gy[row + i] * y[row + i];
    sum = block_reduce<Sum>(sum, scratch);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        gx[row + i] = y[row + i] * (gy[row + i] - sum);
}

// gx = gy - exp(y) sum(gy), from y = log(softmax(x))
extern "C" __global__ void softmax_log_grad_f32(
    int columns, const float* __restrict__ y, const float* __restrict__ gy, float* __restrict__ gx)
{
    __shared__ float scratch[32];
    size_t row = (size_t)blockIdx.x * columns;
    float sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        sum += gy[row + i];
    sum = block_reduce<Sum>(sum, scratch);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        gx[row + i] = gy[row + i] - expf(y[row + i]) * sum;
}

// losses[row] = log(sum(exp(logits[row]))) - logits[row, labels[row]]
extern "C" __global__ void softmax_cross_entropy_f32(
    int columns, const float* __restrict__ logits, const int* __restrict__ labels, float* __restrict__ losses)
{
    size_t row = (size_t)blockIdx.x * columns;
    LogSumExp::Value all = row_log_sum_exp(logits + row, columns);
    if (threadIdx.x == 0)
        losses[blockIdx.x] = logf(all.sum) + (all.max - logits[row + labels[blockIdx.x]]);
}

// gLogits[row, c] = gLosses[row] (softmax(logits[row])[c] - (c == labels[row]))
extern "C" __global__ void softmax_cross_entropy_grad_f32(
    int columns, const float* __restrict__ logits, const int* __restrict__ labels, const float* __restrict__ g_losses,
    float* __restrict__ g_logits)
{
    size_t row = (size_t)blockIdx.x * columns;
    LogSumExp::Value all = row_log_sum_exp(logits + row, columns);
    float scale = g_losses[blockIdx.x];
    int label = labels[blockIdx.x];
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        g_logits[row + i] = scale * (expf(logits[row + i] - all.max) / all.sum - (i == label ? 1 : 0));
}
