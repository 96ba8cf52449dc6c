// Group normalization (Wu and He 2018) of x[Batch, Spatial, Channels], alone or followed by SiLU, and its gradients. With mean and
// variance over a sample's Spatial x Channels / Groups values: xhat = (x - mean) rstd, z = gamma xhat + beta, y = z or silu(z). The
// variance is that of the values less their mean, never a difference of large numbers. x, y and their gradients are T, all else float32.
//
// A block takes a slab: all pixels, or a part of them, of so many neighbouring groups that a pixel's channels are 32 to 128 bytes, whole
// sectors and whole packs of 16 bytes. The slab stays in registers between statistics and result.
//
//   groupnorm_whole_forward_T     y, mean[Batch, Groups], rstd[Batch, Groups], where a slab of all pixels fits: one pass
//   groupnorm_whole_grad_T        gx, and sums[0 and 1][Batch, Channels]: for every sample and channel the sums over pixels of gz and
//                                 gz xhat; the gradients of beta and gamma are these added up over the samples, by whoever launches it
// and for more pixels, in parts:
//   groupnorm_split_moments_T       moments[Batch, Groups, Parts]: mean of a part and its sum of squared differences from it
//   groupnorm_split_join_f32        mean, rstd from them, by Chan's formula in the order of the parts (Chan, Golub and LeVeque 1979)
//   groupnorm_split_apply_T         y from x, mean and rstd
//   groupnorm_split_grad_sums_T     sums[0 and 1][Batch, Parts, Channels]
//   groupnorm_split_grad_means_f32  means[0 and 1][Batch, Groups] of gz gamma and gz xhat gamma, from the sums over parts
//   groupnorm_split_grad_apply_T    gx from x, gy and those means
//
// Launch     slab kernels: grid (slabs of a sample * Batch, Parts), blocks (packs of a pixel, pixels) of 32 to 512 threads; a thread
//            holds at most 8 packs of x, or 4 of x and 4 of gy. GroupNormSlabs.cs chooses them. join and grad_means: a warp for each
//            sample and group, 128 threads a block.
// Bytes      forward 2 sizeof(T) an element, gradient 3: each is moved once. Split: 3 and 5. Beside them a block moves its groups'
//            statistics and, in the gradient, its channels' sums; each warp takes the slab's gamma and beta from the cache.
//            Flops: 8 and 20 an element, with SiLU an exponential more, in the gradient of split two.
// Limit      memory.
#include "groupnorm_slab.cuh"

template <class T, bool Silu, int Count>
__device__ __forceinline__ void store_normalized(
    const Slab<T>& slab, const Held<T, Count>& x, const float* mean, const float* rstd, const float* __restrict__ gamma,
    const float* __restrict__ beta, T* __restrict__ y)
{
    constexpr int width = Pack<T>::size;
    float center[width], scale[width], shift[width];
    load_parameters(gamma + slab.channel, scale);
    load_parameters(beta + slab.channel, shift);
    slab.for_channels([&](int k, int group)
    {
        center[k] = mean[group];
        scale[k] *= rstd[group];
    });
    x.for_packs(slab, [&](int i, Pack<T> pack)
    {
#pragma unroll
        for (int k = 0; k < width; k++)
        {
            // The mean comes off first: folded into the shift it would take the digits of values far from zero with it.
            float z = fmaf(pack.v[k] - center[k], scale[k], shift[k]);
            pack.v[k] = Silu ? silu<T>(z) : z;
        }
        store_pack(y + slab.at(i), pack);
    });
}

template <class T>
__device__ __forceinline__ void groupnorm_whole_forward(
    const GroupNormGeometry& g, bool with_silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd)
{
    __shared__ ChannelSums<T, 1> sums;
    __shared__ float means[groupnorm_groups], scales[groupnorm_groups];
    Slab<T> slab(g);
    Held<T, 8> held;
    held.load(slab, x);
    float count = max(1, slab.pixels * slab.group_width), epsilon = g.epsilon;
    slab_moments(slab, held, sums, means, scales, [&](float squares) { return 1 / sqrtf(squares / count + epsilon); });
    if (with_silu)
        store_normalized<T, true>(slab, held, means, scales, gamma, beta, y);
    else
        store_normalized<T, false>(slab, held, means, scales, gamma, beta, y);
    for_groups(slab, [&](int i)
    {
        mean[slab.group + i] = means[i];
        rstd[slab.group + i] = scales[i];
    });
}

template <class T>
__device__ __forceinline__ void groupnorm_split_moments(const GroupNormGeometry& g, const T* __restrict__ x, float2* __restrict__ moments)
{
    __shared__ ChannelSums<T, 1> sums;
    __shared__ float means[groupnorm_groups], squares[groupnorm_groups];
    Slab<T> slab(g);
    Held<T, 8> held;
    held.load(slab, x);
    slab_moments(slab, held, sums, means, squares, [](float sum) { return sum; });
    for_groups(slab, [&](int i) { moments[(size_t)(slab.group + i) * gridDim.y + blockIdx.y] = make_float2(means[i], squares[i]); });
}

// Count, mean and sum of squared differences from it, of two sets of values together.
struct Moments
{
    struct Value
    {
        float count, mean, squares;
    };

    static __device__ __forceinline__ Value identity() { return {0, 0, 0}; }

    static __device__ __forceinline__ Value join(Value a, Value b)
    {
        float count = a.count + b.count, share = count > 0 ? b.count / count : 0, difference = b.mean - a.mean;
        return {count, fmaf(difference, share, a.mean), a.squares + b.squares + difference * difference * a.count * share};
    }
};

__device__ __forceinline__ Moments::Value shuffle_xor(Moments::Value value, int distance)
{
    return {shuffle_xor(value.count, distance), shuffle_xor(value.mean, distance), shuffle_xor(value.squares, distance)};
}

extern "C" __global__ void groupnorm_split_join_f32(
    GroupNormGeometry g, int parts, const float2* __restrict__ moments, float* __restrict__ mean, float* __restrict__ rstd)
{
    unsigned group = warp_index(), lane = threadIdx.x % 32;
    if (group >= g.batch * g.groups)
        return;
    int in_part = (g.spatial + parts - 1) / parts, group_width = g.channels / g.groups;
    Moments::Value all = Moments::identity();
    for (int part = lane; part < parts; part += 32)
    {
        float2 of_part = moments[(size_t)group * parts + part];
        float count = max(0, min(in_part, g.spatial - part * in_part)) * group_width;
        all = Moments::join(all, {count, of_part.x, of_part.y});
    }
    all = warp_reduce<Moments>(all);
    if (lane == 0)
    {
        mean[group] = all.mean;
        rstd[group] = 1 / sqrtf(all.squares / all.count + (float)g.epsilon);
    }
}

template <class T>
__device__ __forceinline__ void groupnorm_split_apply(
    const GroupNormGeometry& g, bool with_silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, T* __restrict__ y)
{
    __shared__ float means[groupnorm_groups], scales[groupnorm_groups];
    Slab<T> slab(g);
    Held<T, 8> held;
    held.load(slab, x);
    stage(slab, mean, means);
    stage(slab, rstd, scales);
    __syncthreads();
    if (with_silu)
        store_normalized<T, true>(slab, held, means, scales, gamma, beta, y);
    else
        store_normalized<T, false>(slab, held, means, scales, gamma, beta, y);
}

// The statistics and parameters of the channels of a thread's pack.
template <class T>
struct Channels
{
    static constexpr int width = Pack<T>::size;

    float center[width], scale[width], gamma[width], beta[width];

    // mean and rstd of the slab's first group.
    __device__ __forceinline__ Channels(
        const Slab<T>& slab, const float* mean, const float* rstd, const float* __restrict__ weight, const float* __restrict__ offset)
    {
        load_parameters(weight + slab.channel, gamma);
        load_parameters(offset + slab.channel, beta);
        slab.for_channels([&](int k, int group)
        {
            center[k] = mean[group];
            scale[k] = rstd[group];
        });
    }

    __device__ __forceinline__ float xhat(int k, float x) const { return (x - center[k]) * scale[k]; }

    template <bool Silu>
    __device__ __forceinline__ float gz(int k, float gy, float xhat) const { return gradient_of_z<T, Silu>(gy, xhat, gamma[k], beta[k]); }
};

// Gradients for z of what a thread holds.
template <class T, int Count>
using Gradients = float[Count][Pack<T>::size];

template <class T, bool Silu, int Count>
__device__ __forceinline__ void add_gradients(
    const Slab<T>& slab, const Held<T, Count>& x, const Held<T, Count>& gy, const Channels<T>& channels, Gradients<T, Count>& gz,
    float (&total)[2][Pack<T>::size])
{
    x.for_packs(slab, [&](int i, const Pack<T>& value)
    {
        Pack<T> gradient = gy[i];
#pragma unroll
        for (int k = 0; k < Pack<T>::size; k++)
        {
            float xhat = channels.xhat(k, value.v[k]);
            gz[i][k] = channels.template gz<Silu>(k, gradient.v[k], xhat);
            total[0][k] += gz[i][k];
            total[1][k] = fmaf(gz[i][k], xhat, total[1][k]);
        }
    });
}

// gz, and its sums and those of gz xhat over the slab's pixels for each of its channels. They go to to[where] and to[between + where].
template <class T, int Count>
__device__ __forceinline__ void slab_grad_sums(
    const Slab<T>& slab, bool with_silu, const Held<T, Count>& x, const Held<T, Count>& gy, const Channels<T>& channels,
    Gradients<T, Count>& gz, ChannelSums<T, 2>& sums, float* __restrict__ to, size_t where, size_t between)
{
    float total[2][Pack<T>::size] = {};
    if (with_silu)
        add_gradients<T, true>(slab, x, gy, channels, gz, total);
    else
        add_gradients<T, false>(slab, x, gy, channels, gz, total);
    sums.add_up(total);
    for (int c = threadIdx.y * blockDim.x + threadIdx.x; c < slab.channels; c += blockDim.x * blockDim.y)
    {
        to[where + c] = sums.channel(0, c);
        to[between + where + c] = sums.channel(1, c);
    }
}

// With h = gz gamma and m(.) the mean over the sample's group: gx = rstd (h - m(h) - xhat m(h xhat)), because mean and rstd depend on
// every x of the group. gradient(i, k, xhat) is gz of the k-th channel of the i-th pack.
template <class T, int Count, class Gradient>
__device__ __forceinline__ void store_grad_input(
    const Slab<T>& slab, const Held<T, Count>& x, const Channels<T>& channels, const float* mean_h, const float* mean_h_xhat,
    T* __restrict__ gx, Gradient gradient)
{
    float mean[Pack<T>::size], mean_xhat[Pack<T>::size];
    slab.for_channels([&](int k, int group)
    {
        mean[k] = mean_h[group];
        mean_xhat[k] = mean_h_xhat[group];
    });
    x.for_packs(slab, [&](int i, Pack<T> value)
    {
#pragma unroll
        for (int k = 0; k < Pack<T>::size; k++)
        {
            float xhat = channels.xhat(k, value.v[k]);
            value.v[k] = channels.scale[k] * (fmaf(gradient(i, k, xhat), channels.gamma[k], -mean[k]) - xhat * mean_xhat[k]);
        }
        store_pack(gx + slab.at(i), value);
    });
}

template <class T>
__device__ __forceinline__ void groupnorm_whole_grad(
    const GroupNormGeometry& g, bool with_silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, float* __restrict__ to, T* __restrict__ gx)
{
    __shared__ ChannelSums<T, 2> sums;
    __shared__ float centers[groupnorm_groups], scales[groupnorm_groups], means[2][groupnorm_groups];
    Slab<T> slab(g);
    Held<T, 4> value, gradient;
    value.load(slab, x);
    gradient.load(slab, gy);
    stage(slab, mean, centers);
    stage(slab, rstd, scales);
    __syncthreads();
    Channels<T> channels(slab, centers, scales, gamma, beta);
    int first = slab.channel - slab.part_channel;
    // Made once for the sums and for gx, in the registers that gy leaves: with SiLU's derivative it is most of the arithmetic.
    Gradients<T, 4> gz;
    slab_grad_sums(
        slab, with_silu, value, gradient, channels, gz, sums, to, (size_t)slab.sample * g.channels + first, (size_t)g.batch * g.channels);
    float count = slab.pixels * slab.group_width;
    for (int which = 0; which < 2; which++)
        sums.over_groups(slab, which, means[which], [&](int c) { return gamma[first + c]; }, [&](float sum) { return sum / count; });
    __syncthreads();
    store_grad_input(slab, value, channels, means[0], means[1], gx, [&](int i, int k, float) { return gz[i][k]; });
}

template <class T>
__device__ __forceinline__ void groupnorm_split_grad_sums(
    const GroupNormGeometry& g, bool with_silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, float* __restrict__ to)
{
    __shared__ ChannelSums<T, 2> sums;
    __shared__ float centers[groupnorm_groups], scales[groupnorm_groups];
    Slab<T> slab(g);
    Held<T, 4> value, gradient;
    value.load(slab, x);
    gradient.load(slab, gy);
    stage(slab, mean, centers);
    stage(slab, rstd, scales);
    __syncthreads();
    Channels<T> channels(slab, centers, scales, gamma, beta);
    Gradients<T, 4> gz;
    slab_grad_sums(
        slab, with_silu, value, gradient, channels, gz, sums, to,
        ((size_t)slab.sample * gridDim.y + blockIdx.y) * g.channels + slab.channel - slab.part_channel, (size_t)g.batch * gridDim.y * g.channels);
}

extern "C" __global__ void groupnorm_split_grad_means_f32(
    GroupNormGeometry g, const float* __restrict__ gamma, const float* __restrict__ sums, float* __restrict__ means)
{
    unsigned group = warp_index(), lane = threadIdx.x % 32, groups = g.batch * g.groups;
    if (group >= groups)
        return;
    int group_width = g.channels / g.groups, first = group % g.groups * group_width;
    const float* of_sample = sums + (size_t)(group / g.groups) * g.channels;
    float h = 0, h_xhat = 0;
    for (int c = first + lane; c < first + group_width; c += 32)
    {
        h = fmaf(gamma[c], of_sample[c], h);
        h_xhat = fmaf(gamma[c], of_sample[(size_t)g.batch * g.channels + c], h_xhat);
    }
    h = warp_reduce<Sum>(h);
    h_xhat = warp_reduce<Sum>(h_xhat);
    if (lane == 0)
    {
        float count = (float)g.spatial * group_width;
        means[group] = h / count;
        means[groups + group] = h_xhat / count;
    }
}

// The same with gz made here.
template <class T, bool Silu, int Count>
__device__ __forceinline__ void store_grad_input_of(
    const Slab<T>& slab, const Held<T, Count>& x, const Held<T, Count>& gy, const Channels<T>& channels, const float* mean_h,
    const float* mean_h_xhat, T* __restrict__ gx)
{
    store_grad_input(slab, x, channels, mean_h, mean_h_xhat, gx, [&](int i, int k, float xhat)
    {
        return channels.template gz<Silu>(k, gy[i].v[k], xhat);
    });
}

template <class T>
__device__ __forceinline__ void groupnorm_split_grad_apply(
    const GroupNormGeometry& g, bool with_silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, const float* __restrict__ means,
    T* __restrict__ gx)
{
    __shared__ float centers[groupnorm_groups], scales[groupnorm_groups], mean_h[groupnorm_groups], mean_h_xhat[groupnorm_groups];
    Slab<T> slab(g);
    Held<T, 4> value, gradient;
    value.load(slab, x);
    gradient.load(slab, gy);
    stage(slab, mean, centers);
    stage(slab, rstd, scales);
    stage(slab, means, mean_h);
    stage(slab, means + g.batch * g.groups, mean_h_xhat);
    __syncthreads();
    Channels<T> channels(slab, centers, scales, gamma, beta);
    if (with_silu)
        store_grad_input_of<T, true>(slab, value, gradient, channels, mean_h, mean_h_xhat, gx);
    else
        store_grad_input_of<T, false>(slab, value, gradient, channels, mean_h, mean_h_xhat, gx);
}

#define KERNELS(suffix, T) \
    extern "C" __global__ void __launch_bounds__(512, 1) groupnorm_whole_forward_##suffix( \
        GroupNormGeometry g, int silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, \
        T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd) \
    { \
        groupnorm_whole_forward<T>(g, silu, x, gamma, beta, y, mean, rstd); \
    } \
    extern "C" __global__ void __launch_bounds__(512, 1) groupnorm_whole_grad_##suffix( \
        GroupNormGeometry g, int silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, \
        const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, float* __restrict__ sums, \
        T* __restrict__ gx) \
    { \
        groupnorm_whole_grad<T>(g, silu, x, gamma, beta, mean, rstd, gy, sums, gx); \
    } \
    extern "C" __global__ void __launch_bounds__(512, 1) groupnorm_split_moments_##suffix( \
        GroupNormGeometry g, const T* __restrict__ x, float2* __restrict__ moments) \
    { \
        groupnorm_split_moments<T>(g, x, moments); \
    } \
    extern "C" __global__ void __launch_bounds__(512, 1) groupnorm_split_apply_##suffix( \
        GroupNormGeometry g, int silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, \
        const float* __restrict__ mean, const float* __restrict__ rstd, T* __restrict__ y) \
    { \
        groupnorm_split_apply<T>(g, silu, x, gamma, beta, mean, rstd, y); \
    } \
    extern "C" __global__ void __launch_bounds__(512, 1) groupnorm_split_grad_sums_##suffix( \
        GroupNormGeometry g, int silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, \
        const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, float* __restrict__ sums) \
    { \
        groupnorm_split_grad_sums<T>(g, silu, x, gamma, beta, mean, rstd, gy, sums); \
    } \
    extern "C" __global__ void __launch_bounds__(512, 1) groupnorm_split_grad_apply_##suffix( \
        GroupNormGeometry g, int silu, const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, \
        const float* __restrict__ mean, const float* __restrict__ rstd, const T* __restrict__ gy, const float* __restrict__ means, \
        T* __restrict__ gx) \
    { \
        groupnorm_split_grad_apply<T>(g, silu, x, gamma, beta, mean, rstd, gy, means, gx); \
    }

KERNELS(f32, float)
KERNELS(bf16, bfloat16)
