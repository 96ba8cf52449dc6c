// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3") and what is made of its integers, the
// same as in Philox.cs: element i takes lane i % 4 of block i / 4 of the stream.
#pragma once
#include "scalar.cuh"

// Key = seed, counter = (offset + block, stream). PhiloxStream in C#, field for field.
struct PhiloxState
{
    unsigned long long seed;
    unsigned long long stream;
    unsigned long long offset;
    // In a graph, how far the stream has gone on since the recording; else null.
    const unsigned long long* advance;
};

// The four 32-bit integers of a block.
__device__ __forceinline__ uint4 philox_block(const PhiloxState& state, unsigned long long block)
{
    unsigned long long counter = state.offset + block;
    if (state.advance != nullptr)
        counter += *state.advance;
    unsigned c0 = counter, c1 = counter >> 32, c2 = state.stream, c3 = state.stream >> 32;
    unsigned k0 = state.seed, k1 = state.seed >> 32;
#pragma unroll
    for (int round = 0; round < 10; round++)
    {
        unsigned low0 = 0xD2511F53u * c0, high0 = __umulhi(0xD2511F53u, c0);
        unsigned low1 = 0xCD9E8D57u * c2, high1 = __umulhi(0xCD9E8D57u, c2);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(c0, c1, c2, c3);
}

// In [0, 1), a multiple of 2^-24.
__device__ __forceinline__ float uniform(unsigned r)
{
    return (r >> 8) * 5.9604644775390625e-8f;
}

// Two standard normals (Box and Muller 1958): radius sqrt(-2 ln u1) at the angle 2 pi u2, u1 in (0, 1].
__device__ __forceinline__ float2 box_muller(unsigned r0, unsigned r1)
{
    float u1 = ((r0 >> 8) + 1) * 5.9604644775390625e-8f;
    float radius = sqrtf(-2 * logf(u1));
    float sine, cosine;
    sincospif(2 * uniform(r1), &sine, &cosine);
    return make_float2(radius * cosine, radius * sine);
}

// The four normals of a block.
__device__ __forceinline__ Pack<float> box_muller(uint4 r)
{
    float2 first = box_muller(r.x, r.y), second = box_muller(r.z, r.w);
    return {first.x, first.y, second.x, second.y};
}

// A standard normal by the inverse of its distribution function: sqrt(2) erfinv(v), v in (-1, 1) exact in float.
__device__ __forceinline__ float normal_quantile(unsigned r)
{
    float v = (2 * (r >> 9) + 1) * 1.1920928955078125e-7f - 1;
    return 1.41421356f * erfinvf(v);
}

// An integer in [0, range), each equally likely (Lemire 2019): see Philox.Integer. r is the element's integer; redraw k takes the
// same lane of the same block of the stream whose top bits are changed by k.
__device__ __forceinline__ unsigned philox_integer(const PhiloxState& state, unsigned long long block, int lane, unsigned r, unsigned range)
{
    unsigned threshold = (0u - range) % range;
    unsigned low = r * range;
    for (unsigned long long attempt = 1; low < threshold; attempt++)
    {
        PhiloxState other = {state.seed, state.stream ^ attempt << 48, state.offset, state.advance};
        uint4 redrawn = philox_block(other, block);
        r = lane == 0 ? redrawn.x : lane == 1 ? redrawn.y : lane == 2 ? redrawn.z : redrawn.w;
        low = r * range;
    }
    return __umulhi(r, range);
}
