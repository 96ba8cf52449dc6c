// A block's slab of a group norm: what a thread holds of x, sums over pixels and groups, means and squared differences. groupnorm.cu says
// what a slab is and how it is launched.
#pragma once
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
        unsigned slabs = g.channels / channels;
        sample = blockIdx.x / slabs;
        int slab = blockIdx.x - sample * slabs;
        group = sample * g.groups + slab * groups;
        // Most norms have one part, and a division takes as many instructions as a pack.
        int in_part = gridDim.y == 1 ? g.spatial : (g.spatial + gridDim.y - 1) / gridDim.y;
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

    // Calls visit(k, group) for each channel of the thread's pack with its group among those of the slab: one division, not one for each.
    template <class Visit>
    __device__ __forceinline__ void for_channels(Visit visit) const
    {
        int group = part_channel / group_width, next = (group + 1) * group_width - part_channel;
#pragma unroll
        for (int k = 0; k < width; k++)
        {
            if (k == next)
            {
                group++;
                next += group_width;
            }
            visit(k, group);
        }
    }
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

    // Calls visit(i, pack) for each pack that the thread has.
    template <class Visit>
    __device__ __forceinline__ void for_packs(const Slab<T>& slab, Visit visit) const
    {
#pragma unroll
        for (int i = 0; i < Count; i++)
        {
            if (slab.has(i))
                visit(i, (*this)[i]);
        }
    }
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
    x.for_packs(slab, [&](int, const Pack<T>& pack)
    {
#pragma unroll
        for (int k = 0; k < width; k++)
            total[0][k] += pack.v[k];
    });
    sums.add_up(total);
    float count = max(1, slab.pixels * slab.group_width);
    sums.over_groups(slab, 0, means, one, [&](float sum) { return sum / count; });
    __syncthreads();

    float center[width];
    slab.for_channels([&](int k, int group)
    {
        center[k] = means[group];
        total[0][k] = 0;
    });
    x.for_packs(slab, [&](int, const Pack<T>& pack)
    {
#pragma unroll
        for (int k = 0; k < width; k++)
        {
            float difference = pack.v[k] - center[k];
            total[0][k] = fmaf(difference, difference, total[0][k]);
        }
    });
    sums.add_up(total);
    sums.over_groups(slab, 0, results, one, f);
    __syncthreads();
}

// Calls f(group) for each of the slab's groups, a thread each: in bfloat16 there may be 64 groups and only 32 threads.
template <class T, class Function>
__device__ __forceinline__ void for_groups(const Slab<T>& slab, Function f)
{
    for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < slab.groups; i += blockDim.x * blockDim.y)
        f(i);
}

// A statistic of each of the slab's groups, read once for the block. Visible to all threads after the next barrier.
template <class T>
__device__ __forceinline__ void stage(const Slab<T>& slab, const float* __restrict__ from, float (&to)[groupnorm_groups])
{
    for_groups(slab, [&](int i) { to[i] = from[slab.group + i]; });
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
