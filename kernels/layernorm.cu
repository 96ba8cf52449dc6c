// Layer normalization (Ba, Kiros and Hinton 2016) of the rows of x[Rows, Columns]: xhat = (x - mean) rstd, y = gamma xhat + beta, and
// its gradients. The variance is that of the values less their mean. x, y and their gradients are T, all else is float32.
//
//   layernorm_forward_T       y, mean[Rows], rstd[Rows]
//   layernorm_grad_T          gx, and parts[0][Parts, Columns] of the gradient of beta, parts[1][Parts, Columns] of that of gamma;
//                             whoever launches this adds them up in their order. For rows that registers hold: 8192 columns.
//   layernorm_grad_input_T, layernorm_grad_parts_T   the same for longer rows
//
// Launch     the threads of rows.cuh for each row. forward and grad_input: grid ceil(Rows / blockDim.y). grad: grid Parts, each of which
//            takes every Parts-th group of blockDim.y rows. grad_parts: grid (ceil(Columns / 32), Parts), blocks (32, 8).
// Bytes      every element once while registers hold a row: forward 2 sizeof(T) an element, grad 3 sizeof(T) and 8 Parts Columns;
//            longer rows: 4, and 7 for both kernels. gamma and beta come from the cache for each row; beside bfloat16 a lane takes 32 bytes
//            of them in two accesses, which touch every sector twice, and stores its parts likewise. Flops: 8 and 17 an element.
// Limit      memory.
#include "rows.cuh"

struct LayerNormGeometry
{
    int rows, columns;
    double epsilon;
};

template <class T>
__device__ __forceinline__ void layernorm_forward(
    const LayerNormGeometry& g, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd)
{
    __shared__ float scratch[32];
    unsigned row = row_index();
    int columns = row < g.rows ? g.columns : 0, span = RowPart<T>::span();
    bool is_long = columns > span;
    x += (size_t)row * g.columns;
    y += (size_t)row * g.columns;
    float count = max(1, g.columns);
    RowPart<T> part;

    float sum = 0;
    for (int start = 0; start < columns; start += span)
    {
        part.load(x + start, columns - start, 0);
        part.for_values(columns - start, [&](int i) { sum += part.v[i]; });
    }
    float center = row_reduce<Sum>(sum, scratch) / count;

    float squares = 0;
    for (int start = 0; start < columns; start += span)
    {
        if (is_long)
            part.load(x + start, columns - start, 0);
        part.for_values(columns - start, [&](int i)
        {
            float difference = start + part.column(i) < columns ? part.v[i] - center : 0;
            squares = fmaf(difference, difference, squares);
        });
    }
    float scale = 1 / sqrtf(row_reduce<Sum>(squares, scratch) / count + (float)g.epsilon);

    for (int start = 0; start < columns; start += span)
    {
        if (is_long)
            part.load(x + start, columns - start, 0);
        RowPart<T> weight, offset;
        weight.load(gamma + start, columns - start, 0);
        offset.load(beta + start, columns - start, 0);
        part.for_values(columns - start, [&](int i) { part.v[i] = fmaf((part.v[i] - center) * scale, weight.v[i], offset.v[i]); });
        part.store(y + start, columns - start);
    }
    if (threadIdx.x == 0 && row < g.rows)
    {
        mean[row] = center;
        rstd[row] = scale;
    }
}

// Stores the sums of a block's threads over their rows: those of the first row's threads and, in this order, of the others'.
template <class T>
__device__ __forceinline__ void store_joined(RowPart<T>& mine, float* joined, float* to, int columns)
{
    constexpr int width = Pack<float>::size;
    if (blockDim.y > 1)
    {
        // The packs of neighbouring threads side by side, whatever their columns.
        int threads = blockDim.x * blockDim.y;
#pragma unroll
        for (int i = 0; i < mine.count; i += width)
        {
            Pack<float> pack = {mine.v[i], mine.v[i + 1], mine.v[i + 2], mine.v[i + 3]};
            store_pack(joined + i * threads + (threadIdx.y * blockDim.x + threadIdx.x) * width, pack);
        }
        __syncthreads();
        for (int row = 1; row < blockDim.y && threadIdx.y == 0; row++)
        {
#pragma unroll
            for (int i = 0; i < mine.count; i += width)
            {
                Pack<float> other = load_pack(joined + i * threads + (row * blockDim.x + threadIdx.x) * width);
#pragma unroll
                for (int k = 0; k < width; k++)
                    mine.v[i + k] += other.v[k];
            }
        }
        __syncthreads();
    }
    if (threadIdx.y == 0)
        mine.store(to, columns);
}

// With h = gy gamma and m(.) the mean over the row: gx = rstd (h - m(h) - xhat m(h xhat)). A thread meets the same columns in every row
// of its block, so it adds up their gy and gy xhat on the way; the block's threads join theirs at the end.
template <class T>
__device__ __forceinline__ void layernorm_grad(
    const LayerNormGeometry& g, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ mean,
    const float* __restrict__ rstd, const T* __restrict__ gy, T* __restrict__ gx, float* __restrict__ parts)
{
    constexpr int rows_block = 128;
    __shared__ float scratch[32];
    __shared__ __align__(16) float joined[rows_block * RowPart<T>::count];
    float count = g.columns;
    RowPart<T> weight, sum = {}, sum_xhat = {};
    weight.load(gamma, g.columns, 0);
    for (unsigned first = blockIdx.x * blockDim.y; first < g.rows; first += gridDim.x * blockDim.y)
    {
        unsigned row = first + threadIdx.y;
        int columns = row < g.rows ? g.columns : 0;
        size_t at = (size_t)row * g.columns;
        float center = columns > 0 ? mean[row] : 0, scale = columns > 0 ? rstd[row] : 0;
        RowPart<T> normal, gradient;
        normal.load(x + at, columns, center);
        gradient.load(gy + at, columns, 0);
        float h = 0, h_xhat = 0;
        normal.for_values(columns, [&](int i)
        {
            normal.v[i] = (normal.v[i] - center) * scale;
            sum.v[i] += gradient.v[i];
            sum_xhat.v[i] = fmaf(gradient.v[i], normal.v[i], sum_xhat.v[i]);
            gradient.v[i] *= weight.v[i];
            h += gradient.v[i];
            h_xhat = fmaf(gradient.v[i], normal.v[i], h_xhat);
        });
        float mean_h = row_reduce<Sum>(h, scratch) / count;
        float mean_h_xhat = row_reduce<Sum>(h_xhat, scratch) / count;
        normal.for_values(columns, [&](int i) { gradient.v[i] = scale * (gradient.v[i] - mean_h - normal.v[i] * mean_h_xhat); });
        gradient.store(gx + at, columns);
    }

    parts += (size_t)blockIdx.x * g.columns;
    store_joined(sum, joined, parts, g.columns);
    store_joined(sum_xhat, joined, parts + (size_t)gridDim.x * g.columns, g.columns);
}

// gx of rows that are longer than what registers hold: they are read twice.
template <class T>
__device__ __forceinline__ void layernorm_grad_input(
    const LayerNormGeometry& g, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ mean,
    const float* __restrict__ rstd, const T* __restrict__ gy, T* __restrict__ gx)
{
    __shared__ float scratch[32];
    int row = blockIdx.x, span = RowPart<T>::span();
    size_t at = (size_t)row * g.columns;
    float center = mean[row], scale = rstd[row], count = g.columns, h = 0, h_xhat = 0, mean_h = 0, mean_h_xhat = 0;
    for (int pass = 0; pass < 2; pass++)
    {
        for (int start = 0; start < g.columns; start += span)
        {
            RowPart<T> normal, gradient, weight;
            normal.load(x + at + start, g.columns - start, center);
            gradient.load(gy + at + start, g.columns - start, 0);
            weight.load(gamma + start, g.columns - start, 0);
#pragma unroll
            for (int i = 0; i < normal.count; i++)
            {
                float xhat = (normal.v[i] - center) * scale, product = gradient.v[i] * weight.v[i];
                h += product;
                h_xhat = fmaf(product, xhat, h_xhat);
                gradient.v[i] = scale * (product - mean_h - xhat * mean_h_xhat);
            }
            if (pass == 1)
                gradient.store(gx + at + start, g.columns - start);
        }
        if (pass == 0)
        {
            mean_h = row_reduce<Sum>(h, scratch) / count;
            mean_h_xhat = row_reduce<Sum>(h_xhat, scratch) / count;
        }
    }
}

// A part is a run of rows. A thread adds up every eighth row of its column, then the block its threads' sums in pairs.
template <class T>
__device__ __forceinline__ void layernorm_grad_parts(
    const LayerNormGeometry& g, int rows_per_part, const T* __restrict__ x, const float* __restrict__ mean,
    const float* __restrict__ rstd, const T* __restrict__ gy, float* __restrict__ parts)
{
    __shared__ float partial[2][8][32];
    int part = blockIdx.y, column = blockIdx.x * 32 + threadIdx.x;
    float sum = 0, sum_xhat = 0;
    if (column < g.columns)
    {
        int end = min(g.rows, (part + 1) * rows_per_part);
        for (int row = part * rows_per_part + threadIdx.y; row < end; row += 8)
        {
            size_t i = (size_t)row * g.columns + column;
            float gradient = to_float(gy[i]);
            sum += gradient;
            sum_xhat = fmaf(gradient, (to_float(x[i]) - mean[row]) * rstd[row], sum_xhat);
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
        parts[(size_t)part * g.columns + column] = partial[0][0][threadIdx.x];
        parts[((size_t)gridDim.y + part) * g.columns + column] = partial[1][0][threadIdx.x];
    }
}

#define KERNELS(suffix, T) \
    extern "C" __global__ void __launch_bounds__(512) layernorm_forward_##suffix( \
        LayerNormGeometry g, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, \
        T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd) \
    { \
        layernorm_forward<T>(g, x, gamma, beta, y, mean, rstd); \
    } \
    extern "C" __global__ void __launch_bounds__(512) layernorm_grad_##suffix( \
        LayerNormGeometry g, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ mean, \
        const float* __restrict__ rstd, const T* __restrict__ gy, T* __restrict__ gx, float* __restrict__ parts) \
    { \
        layernorm_grad<T>(g, x, gamma, mean, rstd, gy, gx, parts); \
    } \
    extern "C" __global__ void __launch_bounds__(512) layernorm_grad_input_##suffix( \
        LayerNormGeometry g, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ mean, \
        const float* __restrict__ rstd, const T* __restrict__ gy, T* __restrict__ gx) \
    { \
        layernorm_grad_input<T>(g, x, gamma, mean, rstd, gy, gx); \
    } \
    extern "C" __global__ void layernorm_grad_parts_##suffix( \
        LayerNormGeometry g, int rows_per_part, const T* __restrict__ x, const float* __restrict__ mean, \
        const float* __restrict__ rstd, const T* __restrict__ gy, float* __restrict__ parts) \
    { \
        layernorm_grad_parts<T>(g, rows_per_part, x, mean, rstd, gy, parts); \
    }

KERNELS(f32, float)
KERNELS(bf16, bfloat16)
