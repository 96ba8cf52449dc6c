// Layer normalization (Ba, Kiros and Hinton 2016) of the rows of x[Rows, Columns]: xhat = (x - mean) rstd, y = gamma xhat + beta, and
// its gradients. The variance is that of the values less their mean: a second pass over the row.
//
//   layernorm_forward_f32       y, mean[Rows], rstd[Rows]
//   layernorm_grad_input_f32    gx
//   layernorm_grad_parts_f32    parts[0][Parts, Columns] of the gradient of beta, parts[1][Parts, Columns] of that of gamma; whoever
//                               launches this adds them up in their order
//
// Launch     forward and grad_input: a warp for each row, 128 threads a block, grid ceil(Rows / 4).
//            grad_parts: grid (ceil(Columns / 32), Parts), blocks (32, 8).
// Bytes      forward: 4 * 2 * elements while a row stays in the L1 cache; grad_input: 4 * 3 * elements; grad_parts: 4 * 2 * elements.
//            Flops: 8, 12 and 5 an element.
// Limit      memory.
#include "common.cuh"

struct LayerNormGeometry
{
    int rows, columns;
    double epsilon;
};

extern "C" __global__ void layernorm_forward_f32(
    LayerNormGeometry g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    float* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd)
{
    int row = element_index() / 32, lane = threadIdx.x % 32;
    if (row >= g.rows)
        return;
    x += (long long)row * g.columns;
    y += (long long)row * g.columns;
    float count = max(1, g.columns);

    float sum = 0;
    for (int c = lane; c < g.columns; c += 32)
        sum += x[c];
    float center = warp_reduce<Sum>(sum) / count;

    float squares = 0;
    for (int c = lane; c < g.columns; c += 32)
    {
        float difference = x[c] - center;
        squares = fmaf(difference, difference, squares);
    }
    float scale = 1 / sqrtf(warp_reduce<Sum>(squares) / count + (float)g.epsilon);

    for (int c = lane; c < g.columns; c += 32)
        y[c] = fmaf((x[c] - center) * scale, gamma[c], beta[c]);
    if (lane == 0)
    {
        mean[row] = center;
        rstd[row] = scale;
    }
}

// With h = gy gamma and m(.) the mean over the row: gx = rstd (h - m(h) - xhat m(h xhat)).
extern "C" __global__ void layernorm_grad_input_f32(
    LayerNormGeometry g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ mean,
    const float* __restrict__ rstd, const float* __restrict__ gy, float* __restrict__ gx)
{
    int row = element_index() / 32, lane = threadIdx.x % 32;
    if (row >= g.rows)
        return;
    x += (long long)row * g.columns;
    gy += (long long)row * g.columns;
    gx += (long long)row * g.columns;
    float center = mean[row], scale = rstd[row], count = g.columns;

    float h = 0, h_xhat = 0;
    for (int c = lane; c < g.columns; c += 32)
    {
        float product = gy[c] * gamma[c];
        h += product;
        h_xhat = fmaf(product, (x[c] - center) * scale, h_xhat);
    }
    float mean_h = warp_reduce<Sum>(h) / count;
    float mean_h_xhat = warp_reduce<Sum>(h_xhat) / count;

    for (int c = lane; c < g.columns; c += 32)
    {
        float xhat = (x[c] - center) * scale;
        gx[c] = scale * (fmaf(gy[c], gamma[c], -mean_h) - xhat * mean_h_xhat);
    }
}

// A part is a run of rows. A thread adds up every eighth row of its column, then the block its threads' sums in pairs.
extern "C" __global__ void layernorm_grad_parts_f32(
    LayerNormGeometry g, int rows_per_part, const float* __restrict__ x, const float* __restrict__ mean, const float* __restrict__ rstd,
    const float* __restrict__ gy, float* __restrict__ parts)
{
    __shared__ float partial[2][8][32];
    int part = blockIdx.y, column = blockIdx.x * 32 + threadIdx.x;
    float sum = 0, sum_xhat = 0;
    if (column < g.columns)
    {
        int end = min(g.rows, (part + 1) * rows_per_part);
        for (int row = part * rows_per_part + threadIdx.y; row < end; row += 8)
        {
            long long i = (long long)row * g.columns + column;
            sum += gy[i];
            sum_xhat = fmaf(gy[i], (x[i] - mean[row]) * rstd[row], sum_xhat);
        }
    }
    partial[0][threadIdx.y][threadIdx.x] = sum;
    partial[1][threadIdx.y][threadIdx.x] = sum_xhat;
    __syncthreads();
    for (int half = 4; half > 0; half /= 2)
    {
        if (threadIdx.y < half)
        {
            partial[0][threadIdx.y][threadIdx.x] += partial[0][threadIdx.y + half][threadIdx.x];
            partial[1][threadIdx.y][threadIdx.x] += partial[1][threadIdx.y + half][threadIdx.x];
        }
        __syncthreads();
    }
    if (threadIdx.y == 0 && column < g.columns)
    {
        parts[part * g.columns + column] = partial[0][0][threadIdx.x];
        parts[((int)gridDim.y + part) * g.columns + column] = partial[1][0][threadIdx.x];
    }
}
