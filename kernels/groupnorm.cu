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
//            Flops: 8 and 20 an element, with SiLU an exponential more forward and two in the gradient.
// Limit      memory.
#include "groupnorm.cuh"

// A block's share of x, and a thread's of that: the same pack of channels in every blockDim.y-th pixel.
template <class T>
struct Slab
{
    static constexpr int width = Pack<T>::size;

    int sample, channels, groups, group_width, first_pixel, pixels, pixel_stride;
    int channel; // The thread's first, among all of the sample.
    int part_channel; // The same among those of the slab.
    int group; // The slab's first, among those of all samples.
    int offset; // Of the thread's first pack; the elements of a storage are counted by an int.

    __device__ __forceinline__ Slab(const GroupNormGeometry& g)
    {
        channels = blockDim.x * width;
        group_width = g.channels / g.groups;
        groups = channels / group_width;
        int slabs = g.channels / channels, slab = blockIdx.x % slabs;
        sample = blockIdx.x / slabs;
        group = sample * g.groups + slab * groups;
        int in_part = (g.spatial + gridDim.y - 1) / gridDim.y;
        first_pixel = blockIdx.y * in_part;
        pixels = max(0, min(in_part, g.spatial - first_pixel));
        part_channel = threadIdx.x * width;
        channel = slab * channels + part_channel;
        pixel_stride = blockDim.y * g.channels;
        offset = (sample * g.spatial + first_pixel + (int)threadIdx.y) * g.channels + channel;
    }

    // Whether the thread has an i-th pixel, and where its pack lies.
    __device__ __forceinline__ bool has(int i) const { return threadIdx.y + i * blockDim.y < pixels; }
    __device__ __forceinline__ int at(int i) const { return offset + i * pixel_stride; }

    // The group of the k-th channel of the thread's pack, among those of the slab.
    __device__ __forceinline__ int group_of(int k) const { return (part_channel + k) / group_width; }
};

// Packs as they lie in memory: 8 bfloat16 take half the registers of 8 floats.
template <class T, int Count>
struct Held
{
    uint4 bits[Count];

    // All loads before the first use, so that they are under way together.
    __device__ __forceinline__ void load(const Slab<T>& slab, const T* __restrict__ x)
    {
#pragma unroll
        for (int i = 0; i < Count; i++)
        {
            if (slab.has(i))
                bits[i] = *(const uint4*)(x + slab.at(i));
        }
    }

    __device__ __forceinline__ Pack<T> operator[](int i) const { return load_pack((const T*)&bits[i]); }
};

constexpr int groupnorm_threads = 512, groupnorm_groups = 64;

// The sums over a slab's pixels, channel by channel, and from them over groups.
template <class T, int Count>
struct ChannelSums
{
    static constexpr int width = Pack<T>::size, quads = width / 4;

    // Quads of channels of neighbouring threads lie side by side, and the quads of a pack 64 bytes apart among the banks: neither threads
    // with a quad each nor threads with a channel each meet a conflict.
    float4 values[Count][quads][groupnorm_threads + 4];

    __device__ __forceinline__ float channel(int which, int c) const
    {
        const float* quad = (const float*)&values[which][c / 4 % quads][c / width];
        return quad[c % 4];
    }

    // Adds up what the threads of each pack have, in pairs; channel() is valid then. All threads of the block.
    __device__ __forceinline__ void add_up(const float (&mine)[Count][width])
    {
        int thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
        for (int which = 0; which < Count; which++)
        {
#pragma unroll
            for (int q = 0; q < quads; q++)
                values[which][q][thread] = make_float4(mine[which][4 * q], mine[which][4 * q + 1], mine[which][4 * q + 2], mine[which][4 * q + 3]);
        }
        __syncthreads();
        // The first power of two that covers the rows in two halves.
        int half = 1;
        while (2 * half < blockDim.y)
            half *= 2;
        for (; half > 0; half /= 2)
        {
            if (threadIdx.y < half && threadIdx.y + half < blockDim.y)
            {
#pragma unroll
                for (int which = 0; which < Count; which++)
                {
#pragma unroll
                    for (int q = 0; q < quads; q++)
                    {
                        float4 a = values[which][q][thread], b = values[which][q][thread + half * blockDim.x];
                        values[which][q][thread] = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
                    }
                }
            }
            __syncthreads();
        }
    }

    // results[group] = f(sum over the group's channels of weight(channel) sum[channel]), a warp for a group.
    template <class Weight, class Function>
    __device__ __forceinline__ void over_groups(const Slab<T>& slab, int which, float* results, Weight weight, Function f) const
    {
        int thread = threadIdx.y * blockDim.x + threadIdx.x, lane = thread % 32, warps = blockDim.x * blockDim.y / 32;
        // Lanes of a last warp that is not whole have none.
        for (int group = thread / 32; group < slab.groups && thread / 32 < warps; group += warps)
        {
            float sum = 0;
            for (int c = group * slab.group_width + lane; c < (group + 1) * slab.group_width; c += 32)
                sum = fmaf(weight(c), channel(which, c), sum);
            sum = warp_reduce<Sum>(sum);
            if (lane == 0)
                results[group] = f(sum);
        }
    }
};

// Means of the slab's groups over its pixels and f(sum of squared differences from them), in shared memory; all threads see them.
template <class T, int Count, class Function>
__device__ __forceinline__ void slab_moments(
    const Slab<T>& slab, const Held<T, Count>& x, ChannelSums<T, 1>& sums, float* means, float* results, Function f)
{
    constexpr int width = Pack<T>::size;
    auto one = [](int) { return 1.0f; };
    float total[1][width] = {};
#pragma unroll
    for (int i = 0; i < Count; i++)
    {
        if (slab.has(i))
        {
            Pack<T> pack = x[i];
#pragma unroll
            for (int k = 0; k < width; k++)
                total[0][k] += pack.v[k];
        }
    }
    sums.add_up(total);
    float count = max(1, slab.pixels * slab.group_width);
    sums.over_groups(slab, 0, means, one, [&](float sum) { return sum / count; });
    __syncthreads();

    float center[width];
#pragma unroll
    for (int k = 0; k < width; k++)
    {
        center[k] = means[slab.group_of(k)];
        total[0][k] = 0;
    }
#pragma unroll
    for (int i = 0; i < Count; i++)
    {
        if (slab.has(i))
        {
            Pack<T> pack = x[i];
#pragma unroll
            for (int k = 0; k < width; k++)
            {
                float difference = pack.v[k] - center[k];
                total[0][k] = fmaf(difference, difference, total[0][k]);
            }
        }
    }
    sums.add_up(total);
    sums.over_groups(slab, 0, results, one, f);
    __syncthreads();
}

// A statistic of each of the slab's groups, read once for the block. Visible to all threads after the next barrier.
template <class T>
__device__ __forceinline__ void stage(const Slab<T>& slab, const float* __restrict__ from, float (&to)[groupnorm_groups])
{
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int i = thread; i < slab.groups; i += blockDim.x * blockDim.y)
        to[i] = from[slab.group + i];
}

// A parameter of each channel of a pack. Parameters are windows on an arena, which may begin anywhere.
template <int Width>
__device__ __forceinline__ void load_parameters(const float* __restrict__ from, float (&to)[Width])
{
    bool aligned = is_aligned(from);
#pragma unroll
    for (int k = 0; k < Width; k += 4)
    {
        float4 quad = aligned ? *(const float4*)(from + k) : make_float4(from[k], from[k + 1], from[k + 2], from[k + 3]);
        to[k] = quad.x;
        to[k + 1] = quad.y;
        to[k + 2] = quad.z;
        to[k + 3] = quad.w;
    }
}

template <class T, bool Silu, int Count>
__device__ __forceinline__ void store_normalized(
    const Slab<T>& slab, const Held<T, Count>& x, const float* mean, const float* rstd, const float* __restrict__ gamma,
    const float* __restrict__ beta, T* __restrict__ y)
{
    constexpr int width = Pack<T>::size;
    float center[width], scale[width], shift[width];
    load_parameters(gamma + slab.channel, scale);
    load_parameters(beta + slab.channel, shift);
#pragma unroll
    for (int k = 0; k < width; k++)
    {
        center[k] = mean[slab.group_of(k)];
        scale[k] *= rstd[slab.group_of(k)];
    }
#pragma unroll
    for (int i = 0; i < Count; i++)
    {
        if (slab.has(i))
        {
            Pack<T> pack = x[i];
#pragma unroll
            for (int k = 0; k < width; k++)
            {
                // The mean comes off first: folded into the shift it would take the digits of values far from zero with it.
                float z = fmaf(pack.v[k] - center[k], scale[k], shift[k]);
                pack.v[k] = Silu ? silu(z) : z;
            }
            store_pack(y + slab.at(i), pack);
        }
    }
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
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    if (thread < slab.groups)
    {
        mean[slab.group + thread] = means[thread];
        rstd[slab.group + thread] = scales[thread];
    }
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
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    if (thread < slab.groups)
        moments[(size_t)(slab.group + thread) * gridDim.y + blockIdx.y] = make_float2(means[thread], squares[thread]);
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
    int group = element_index() / 32, lane = threadIdx.x % 32;
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
#pragma unroll
        for (int k = 0; k < width; k++)
        {
            center[k] = mean[slab.group_of(k)];
            scale[k] = rstd[slab.group_of(k)];
        }
    }

    __device__ __forceinline__ float xhat(int k, float x) const { return (x - center[k]) * scale[k]; }
};

template <class T, bool Silu, int Count>
__device__ __forceinline__ void add_gradients(
    const Slab<T>& slab, const Held<T, Count>& x, const Held<T, Count>& gy, const Channels<T>& channels, float (&total)[2][Pack<T>::size])
{
#pragma unroll
    for (int i = 0; i < Count; i++)
    {
        if (slab.has(i))
        {
            Pack<T> value = x[i], gradient = gy[i];
#pragma unroll
            for (int k = 0; k < Pack<T>::size; k++)
            {
                float xhat = channels.xhat(k, value.v[k]);
                float gz = gradient_of_z<Silu>(gradient.v[k], xhat, channels.gamma[k], channels.beta[k]);
                total[0][k] += gz;
                total[1][k] = fmaf(gz, xhat, total[1][k]);
            }
        }
    }
}

// The sums of gz and gz xhat over the slab's pixels for each of its channels. They go to to[where] and to[between + where].
template <class T, int Count>
__device__ __forceinline__ void slab_grad_sums(
    const Slab<T>& slab, bool with_silu, const Held<T, Count>& x, const Held<T, Count>& gy, const Channels<T>& channels,
    ChannelSums<T, 2>& sums, float* __restrict__ to, size_t where, size_t between)
{
    float total[2][Pack<T>::size] = {};
    if (with_silu)
        add_gradients<T, true>(slab, x, gy, channels, total);
    else
        add_gradients<T, false>(slab, x, gy, channels, total);
    sums.add_up(total);
    for (int c = threadIdx.y * blockDim.x + threadIdx.x; c < slab.channels; c += blockDim.x * blockDim.y)
    {
        to[where + c] = sums.channel(0, c);
        to[between + where + c] = sums.channel(1, c);
    }
}

// With h = gz gamma and m(.) the mean over the sample's group: gx = rstd (h - m(h) - xhat m(h xhat)), because mean and rstd depend on
// every x of the group.
template <class T, bool Silu, int Count>
__device__ __forceinline__ void store_grad_input(
    const Slab<T>& slab, const Held<T, Count>& x, const Held<T, Count>& gy, const Channels<T>& channels, const float* mean_h,
    const float* mean_h_xhat, T* __restrict__ gx)
{
    float mean[Pack<T>::size], mean_xhat[Pack<T>::size];
#pragma unroll
    for (int k = 0; k < Pack<T>::size; k++)
    {
        mean[k] = mean_h[slab.group_of(k)];
        mean_xhat[k] = mean_h_xhat[slab.group_of(k)];
    }
#pragma unroll
    for (int i = 0; i < Count; i++)
    {
        if (slab.has(i))
        {
            Pack<T> value = x[i], gradient = gy[i];
#pragma unroll
            for (int k = 0; k < Pack<T>::size; k++)
            {
                float xhat = channels.xhat(k, value.v[k]);
                float gz = gradient_of_z<Silu>(gradient.v[k], xhat, channels.gamma[k], channels.beta[k]);
                value.v[k] = channels.scale[k] * (fmaf(gz, channels.gamma[k], -mean[k]) - xhat * mean_xhat[k]);
            }
            store_pack(gx + slab.at(i), value);
        }
    }
}

template <class T, int Count>
__device__ __forceinline__ void store_grad_input(
    const Slab<T>& slab, bool with_silu, const Held<T, Count>& x, const Held<T, Count>& gy, const Channels<T>& channels,
    const float* mean_h, const float* mean_h_xhat, T* __restrict__ gx)
{
    if (with_silu)
        store_grad_input<T, true>(slab, x, gy, channels, mean_h, mean_h_xhat, gx);
    else
        store_grad_input<T, false>(slab, x, gy, channels, mean_h, mean_h_xhat, gx);
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
    slab_grad_sums(
        slab, with_silu, value, gradient, channels, sums, to, (size_t)slab.sample * g.channels + first, (size_t)g.batch * g.channels);
    float count = slab.pixels * slab.group_width;
    for (int which = 0; which < 2; which++)
        sums.over_groups(slab, which, means[which], [&](int c) { return gamma[first + c]; }, [&](float sum) { return sum / count; });
    __syncthreads();
    store_grad_input(slab, with_silu, value, gradient, channels, means[0], means[1], gx);
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
    slab_grad_sums(
        slab, with_silu, value, gradient, channels, sums, to, ((size_t)slab.sample * gridDim.y + blockIdx.y) * g.channels + slab.channel - slab.part_channel,
        (size_t)g.batch * gridDim.y * g.channels);
}

extern "C" __global__ void groupnorm_split_grad_means_f32(
    GroupNormGeometry g, const float* __restrict__ gamma, const float* __restrict__ sums, float* __restrict__ means)
{
    int group = element_index() / 32, lane = threadIdx.x % 32, groups = g.batch * g.groups;
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
    store_grad_input(slab, with_silu, value, gradient, channels, mean_h, mean_h_xhat, gx);
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
