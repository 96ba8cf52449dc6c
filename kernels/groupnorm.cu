// Group normalization (Wu and He 2018) of x[Batch, Spatial, Channels], alone or followed by SiLU, and its gradients.
// With mean and variance over a sample's Spatial x Channels / Groups values: xhat = (x - mean) rstd, z = gamma xhat + beta, y = z or
// silu(z). The variance is that of the values less their mean: a second pass over x instead of a difference of large numbers.
//
//   groupnorm_forward_f32, groupnorm_silu_forward_f32      y, mean[Batch, Groups], rstd[Batch, Groups]
//   groupnorm_grad_sums_f32, groupnorm_silu_grad_sums_f32  for every sample and channel the sums over pixels of gz and gz xhat
//   groupnorm_grad_input_f32, groupnorm_silu_grad_input_f32  gx, from x, gy and those sums
// The gradients of beta and gamma are the sums added up over the samples, by whoever launches these.
//
// Launch     forward and grad_input: one block for each sample and group (grid Batch * Groups), of whole warps, at most 1024 threads.
//            grad_sums: grid Batch * ceil(Channels / blockDim.x), blocks (channels, pixels) of at most 256 threads, both powers of 2.
// Bytes      forward: 4 * 2 * elements, if the second and third pass over x find it in the cache (else 4 * 4 * elements);
//            backward: 4 * 5 * elements. Flops: 8 and 20 an element, with SiLU an exponential more.
// Limit      memory; and where there are fewer samples and groups than a GPU holds blocks, their number.
#include "common.cuh"
#include "math.cuh"

struct GroupNormGeometry
{
    int batch, spatial, channels, groups;
    double epsilon;
};

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

template <bool Silu>
__device__ __forceinline__ void groupnorm_forward(
    const GroupNormGeometry& g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    float* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd)
{
    __shared__ float scratch[32];
    int sample = blockIdx.x / g.groups, group = blockIdx.x % g.groups;
    float count = max(1, g.spatial * (g.channels / g.groups));

    float sum = 0;
    for_group(g, sample, group, [&](int i, int channel) { sum += x[i]; });
    float center = block_reduce<Sum>(sum, scratch) / count;

    float squares = 0;
    for_group(g, sample, group, [&](int i, int channel)
    {
        float difference = x[i] - center;
        squares = fmaf(difference, difference, squares);
    });
    float scale = 1 / sqrtf(block_reduce<Sum>(squares, scratch) / count + (float)g.epsilon);

    for_group(g, sample, group, [&](int i, int channel)
    {
        float z = fmaf((x[i] - center) * scale, gamma[channel], beta[channel]);
        y[i] = Silu ? silu(z) : z;
    });
    if (threadIdx.x == 0)
    {
        mean[blockIdx.x] = center;
        rstd[blockIdx.x] = scale;
    }
}

// The gradient for z: gy itself, or with SiLU gy times its derivative, z being computed anew.
template <bool Silu>
__device__ __forceinline__ float gradient_of_z(float gy, float xhat, float gamma, float beta)
{
    return Silu ? gy * silu_grad(fmaf(xhat, gamma, beta)) : gy;
}

// sums[0][Batch, Channels] = sum over pixels of gz, sums[1][Batch, Channels] = sum over pixels of gz xhat. A thread adds up every
// blockDim.y-th pixel of its channel, then the block its threads' sums in pairs.
template <bool Silu>
__device__ __forceinline__ void groupnorm_grad_sums(
    const GroupNormGeometry& g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const float* __restrict__ gy, float* __restrict__ sums)
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
            float xhat = (x[i] - center) * scale;
            float gz = gradient_of_z<Silu>(gy[i], xhat, weight, offset);
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
        sums[sample * g.channels + channel] = partial[0][at];
        sums[(g.batch + sample) * g.channels + channel] = partial[1][at];
    }
}

// With h = gz gamma and m(.) the mean over the sample's group: gx = rstd (h - m(h) - xhat m(h xhat)), because mean and rstd depend on
// every x of the group. Both means follow from the sums over pixels.
template <bool Silu>
__device__ __forceinline__ void groupnorm_grad_input(
    const GroupNormGeometry& g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const float* __restrict__ gy, const float* __restrict__ sums,
    float* __restrict__ gx)
{
    __shared__ float scratch[32];
    int sample = blockIdx.x / g.groups, group = blockIdx.x % g.groups, width = g.channels / g.groups;
    float h = 0, h_xhat = 0;
    for (int c = threadIdx.x; c < width; c += blockDim.x)
    {
        int channel = group * width + c;
        h = fmaf(gamma[channel], sums[sample * g.channels + channel], h);
        h_xhat = fmaf(gamma[channel], sums[(g.batch + sample) * g.channels + channel], h_xhat);
    }
    float count = g.spatial * width;
    float mean_h = block_reduce<Sum>(h, scratch) / count;
    float mean_h_xhat = block_reduce<Sum>(h_xhat, scratch) / count;

    float center = mean[blockIdx.x], scale = rstd[blockIdx.x];
    for_group(g, sample, group, [&](int i, int channel)
    {
        float xhat = (x[i] - center) * scale;
        float gz = gradient_of_z<Silu>(gy[i], xhat, gamma[channel], beta[channel]);
        gx[i] = scale * (fmaf(gz, gamma[channel], -mean_h) - xhat * mean_h_xhat);
    });
}

extern "C" __global__ void groupnorm_forward_f32(
    GroupNormGeometry g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    float* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd)
{
    groupnorm_forward<false>(g, x, gamma, beta, y, mean, rstd);
}

extern "C" __global__ void groupnorm_silu_forward_f32(
    GroupNormGeometry g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    float* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd)
{
    groupnorm_forward<true>(g, x, gamma, beta, y, mean, rstd);
}

extern "C" __global__ void groupnorm_grad_sums_f32(
    GroupNormGeometry g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const float* __restrict__ gy, float* __restrict__ sums)
{
    groupnorm_grad_sums<false>(g, x, gamma, beta, mean, rstd, gy, sums);
}

extern "C" __global__ void groupnorm_silu_grad_sums_f32(
    GroupNormGeometry g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const float* __restrict__ gy, float* __restrict__ sums)
{
    groupnorm_grad_sums<true>(g, x, gamma, beta, mean, rstd, gy, sums);
}

extern "C" __global__ void groupnorm_grad_input_f32(
    GroupNormGeometry g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const float* __restrict__ gy, const float* __restrict__ sums,
    float* __restrict__ gx)
{
    groupnorm_grad_input<false>(g, x, gamma, beta, mean, rstd, gy, sums, gx);
}

extern "C" __global__ void groupnorm_silu_grad_input_f32(
    GroupNormGeometry g, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const float* __restrict__ gy, const float* __restrict__ sums,
    float* __restrict__ gx)
{
    groupnorm_grad_input<true>(g, x, gamma, beta, mean, rstd, gy, sums, gx);
}
