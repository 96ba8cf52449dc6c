// The first rung of the ladder of group norm: groupnorm.cu says what is computed. A block for each group takes its values one by one,
// channels / groups neighbours of every pixel. It does any shape, and windows that begin anywhere.
//
//   groupnorm_naive_forward_T      y, mean[Batch, Groups], rstd[Batch, Groups]
//   groupnorm_naive_grad_sums_T    for every sample and channel the sums over pixels of gz and gz xhat
//   groupnorm_naive_grad_input_T   gx, from x, gy and those sums
//
// Launch     forward and grad_input: one block for each sample and group (grid Batch * Groups), of whole warps, at most 1024 threads.
//            grad_sums: grid Batch * ceil(Channels / blockDim.x), blocks (channels, pixels) of at most 256 threads, both powers of 2.
// Bytes      forward 4 sizeof(T) an element, x being read three times; backward 5. With groups of less than 32 bytes a pixel a sector
//            is moved for every group that it belongs to. Flops: 8 and 20 an element, with SiLU an exponential more.
// Limit      memory; and where there are fewer samples and groups than a GPU holds blocks, their number.
#include "groupnorm.cuh"

// Calls visit(index, channel) for this thread's share of the elements of a sample's group.
template <class Visit>
__device__ __forceinline__ void for_group(const GroupNormGeometry& g, int sample, int group, Visit visit)
{
    int width = g.channels / g.groups;
    int start = sample * g.spatial * g.channels + group * width;
    int pixel = threadIdx.x / width, channel = threadIdx.x % width;
    // The block advances by so many pixels and channels: no division for each element.
    int pixels = blockDim.x / width, channels = blockDim.x % width;
    while (pixel < g.spatial)
    {
        visit(start + pixel * g.channels + channel, group * width + channel);
        pixel += pixels;
        channel += channels;
        if (channel >= width)
        {
            channel -= width;
            pixel++;
        }
    }
}

template <class T, bool Silu>
__device__ __forceinline__ void groupnorm_forward(
    const GroupNormGeometry& g, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd)
{
    __shared__ float scratch[32];
    int sample = blockIdx.x / g.groups, group = blockIdx.x % g.groups;
    float count = max(1, g.spatial * (g.channels / g.groups));

    float sum = 0;
    for_group(g, sample, group, [&](int i, int channel) { sum += to_float(x[i]); });
    float center = block_reduce<Sum>(sum, scratch) / count;

    float squares = 0;
    for_group(g, sample, group, [&](int i, int channel)
    {
        float difference = to_float(x[i]) - center;
        squares = fmaf(difference, difference, squares);
    });
    float scale = 1 / sqrtf(block_reduce<Sum>(squares, scratch) / count + (float)g.epsilon);

    for_group(g, sample, group, [&](int i, int channel)
    {
        float z = fmaf((to_float(x[i]) - center) * scale, gamma[channel], beta[channel]);
        y[i] = from_float<T>(Silu ? silu<T>(z) : z);
    });
    if (threadIdx.x == 0)
    {
        mean[blockIdx.x] = center;
        rstd[blockIdx.x] = scale;
    }
}

// sums[0][Batch, Channels] = sum over pixels of gz, sums[1][Batch, Channels] = sum over pixels of gz xhat. A thread adds up every
// blockDim.y-th pixel of its channel, then the block its threads' sums in pairs.
template <class T, bool Silu>
__device__ __forceinline__ void groupnorm_grad_sums(
    const GroupNormGeometry& g, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, float* __restrict__ sums)
{
    __shared__ float partial[2][256];
    int blocks = (g.channels + blockDim.x - 1) / blockDim.x;
    int sample = blockIdx.x / blocks, channel = blockIdx.x % blocks * blockDim.x + threadIdx.x;
    float sum = 0, sum_xhat = 0;
    if (channel < g.channels)
    {
        int group = sample * g.groups + channel / (g.channels / g.groups);
        float center = mean[group], scale = rstd[group], weight = gamma[channel], offset = beta[channel];
        for (int pixel = threadIdx.y; pixel < g.spatial; pixel += blockDim.y)
        {
            int i = (sample * g.spatial + pixel) * g.channels + channel;
            float xhat = (to_float(x[i]) - center) * scale;
            float gz = gradient_of_z<T, Silu>(to_float(gy[i]), xhat, weight, offset);
            sum += gz;
            sum_xhat = fmaf(gz, xhat, sum_xhat);
        }
    }
    int at = threadIdx.y * blockDim.x + threadIdx.x;
    partial[0][at] = sum;
    partial[1][at] = sum_xhat;
    __syncthreads();
    for (int half = blockDim.y / 2; half > 0; half /= 2)
    {
        if (threadIdx.y < half)
        {
            partial[0][at] += partial[0][at + half * blockDim.x];
            partial[1][at] += partial[1][at + half * blockDim.x];
        }
        __syncthreads();
    }
    if (threadIdx.y == 0 && channel < g.channels)
    {
        sums[(size_t)sample * g.channels + channel] = partial[0][at];
        sums[(size_t)(g.batch + sample) * g.channels + channel] = partial[1][at];
    }
}

// With h = gz gamma and m(.) the mean over the sample's group: gx = rstd (h - m(h) - xhat m(h xhat)), because mean and rstd depend on
// every x of the group. Both means follow from the sums over pixels.
template <class T, bool Silu>
__device__ __forceinline__ void groupnorm_grad_input(
    const GroupNormGeometry& g, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, const float* __restrict__ sums,
    T* __restrict__ gx)
{
    __shared__ float scratch[32];
    int sample = blockIdx.x / g.groups, group = blockIdx.x % g.groups, width = g.channels / g.groups;
    float h = 0, h_xhat = 0;
    for (int c = threadIdx.x; c < width; c += blockDim.x)
    {
        int channel = group * width + c;
        h = fmaf(gamma[channel], sums[(size_t)sample * g.channels + channel], h);
        h_xhat = fmaf(gamma[channel], sums[(size_t)(g.batch + sample) * g.channels + channel], h_xhat);
    }
    float count = g.spatial * width;
    float mean_h = block_reduce<Sum>(h, scratch) / count;
    float mean_h_xhat = block_reduce<Sum>(h_xhat, scratch) / count;

    float center = mean[blockIdx.x], scale = rstd[blockIdx.x];
    for_group(g, sample, group, [&](int i, int channel)
    {
        float xhat = (to_float(x[i]) - center) * scale;
        float gz = gradient_of_z<T, Silu>(to_float(gy[i]), xhat, gamma[channel], beta[channel]);
        gx[i] = from_float<T>(scale * (fmaf(gz, gamma[channel], -mean_h) - xhat * mean_h_xhat));
    });
}

#define KERNELS(suffix, T) \
    extern "C" __global__ void groupnorm_naive_forward_##suffix( \
        GroupNormGeometry g, int silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, \
        T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd) \
    { \
        if (silu) \
            groupnorm_forward<T, true>(g, x, gamma, beta, y, mean, rstd); \
        else \
            groupnorm_forward<T, false>(g, x, gamma, beta, y, mean, rstd); \
    } \
    extern "C" __global__ void groupnorm_naive_grad_sums_##suffix( \
        GroupNormGeometry g, int silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, \
        const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, float* __restrict__ sums) \
    { \
        if (silu) \
            groupnorm_grad_sums<T, true>(g, x, gamma, beta, mean, rstd, gy, sums); \
        else \
            groupnorm_grad_sums<T, false>(g, x, gamma, beta, mean, rstd, gy, sums); \
    } \
    extern "C" __global__ void groupnorm_naive_grad_input_##suffix( \
        GroupNormGeometry g, int silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, \
        const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, const float* __restrict__ sums, \
        T* __restrict__ gx) \
    { \
        if (silu) \
            groupnorm_grad_input<T, true>(g, x, gamma, beta, mean, rstd, gy, sums, gx); \
        else \
            groupnorm_grad_input<T, false>(g, x, gamma, beta, mean, rstd, gy, sums, gx); \
    }

KERNELS(f32, float)
KERNELS(bf16, bfloat16)
