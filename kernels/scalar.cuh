// The element types of tensors. Kernels are templates over the type that lies in memory; they compute and sum in float.
#pragma once

// A float without its lower 16 bits: the same range, 8 bits of significand.
struct bfloat16
{
    unsigned short bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }

__device__ __forceinline__ float to_float(bfloat16 x) { return __uint_as_float((unsigned)x.bits << 16); }

// Two neighbouring bfloat16 of a register.
__device__ __forceinline__ float2 to_float2(unsigned pair)
{
    return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

// The nearest bfloat16, the even one of two that are equally near; NaN stays NaN.
__device__ __forceinline__ unsigned short round_to_bfloat16(float x)
{
#if __CUDA_ARCH__ >= 800
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
#else
    unsigned bits = __float_as_uint(x);
    return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
#endif
}

// low in the lower half of the register, which is the first in memory.
__device__ __forceinline__ unsigned round_to_bfloat16_pair(float low, float high)
{
#if __CUDA_ARCH__ >= 800
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return round_to_bfloat16(low) | (unsigned)round_to_bfloat16(high) << 16;
#endif
}

template <class T>
__device__ __forceinline__ T from_float(float x);

template <>
__device__ __forceinline__ float from_float<float>(float x) { return x; }

template <>
__device__ __forceinline__ bfloat16 from_float<bfloat16>(float x) { return {round_to_bfloat16(x)}; }

// 16 bytes of T as floats in registers: what a thread reads and writes at a time.
template <class T>
struct Pack
{
    static constexpr int size = 16 / sizeof(T);
    float v[size];
};

// p is aligned to 16 bytes.
__device__ __forceinline__ Pack<float> load_pack(const float* p)
{
    float4 x = *reinterpret_cast<const float4*>(p);
    return {x.x, x.y, x.z, x.w};
}

__device__ __forceinline__ Pack<bfloat16> load_pack(const bfloat16* p)
{
    uint4 x = *reinterpret_cast<const uint4*>(p);
    float2 a = to_float2(x.x), b = to_float2(x.y), c = to_float2(x.z), d = to_float2(x.w);
    return {a.x, a.y, b.x, b.y, c.x, c.y, d.x, d.y};
}

__device__ __forceinline__ void store_pack(float* p, const Pack<float>& x)
{
    *reinterpret_cast<float4*>(p) = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
}

__device__ __forceinline__ void store_pack(bfloat16* p, const Pack<bfloat16>& x)
{
    *reinterpret_cast<uint4*>(p) = make_uint4(
        round_to_bfloat16_pair(x.v[0], x.v[1]), round_to_bfloat16_pair(x.v[2], x.v[3]),
        round_to_bfloat16_pair(x.v[4], x.v[5]), round_to_bfloat16_pair(x.v[6], x.v[7]));
}

// Whether a pack can be read or written there.
__device__ __forceinline__ bool is_aligned(const void* p)
{
    return (unsigned long long)p % 16 == 0;
}

// The pack from element i on of an array of n, i being a multiple of its size; zeros beyond the array's end. One access where the address
// allows it: arrays may begin at any element, and then all threads go the other way.
template <class T>
__device__ __forceinline__ Pack<T> load_pack(const T* x, unsigned i, unsigned n)
{
    if (is_aligned(x) && i + Pack<T>::size <= n)
        return load_pack(x + i);
    Pack<T> pack;
#pragma unroll
    for (int k = 0; k < Pack<T>::size; k++)
        pack.v[k] = i + k < n ? to_float(x[i + k]) : 0;
    return pack;
}

template <class T>
__device__ __forceinline__ void store_pack(T* y, unsigned i, unsigned n, const Pack<T>& pack)
{
    if (is_aligned(y) && i + Pack<T>::size <= n)
    {
        store_pack(y + i, pack);
        return;
    }
#pragma unroll
    for (int k = 0; k < Pack<T>::size; k++)
    {
        if (i + k < n)
            y[i + k] = from_float<T>(pack.v[k]);
    }
}
