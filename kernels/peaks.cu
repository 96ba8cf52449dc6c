// What a device can do at most: the yardsticks of the bench, measured in the same run as everything else.
//
//   peaks_copy_b128   y[n] = x[n], 16 bytes a thread at a time
//   peaks_fma_f32     chains of multiply-adds in registers: y[thread] = the sum of the chains' ends
//   peaks_mma_*       chains of tensor-core products in registers: y[thread] = the sum of the accumulators
//
// Launch: peaks_copy: blocks of 256 threads, a few for each multiprocessor, which walk the array with the stride of the grid. The others:
// blocks of 256 threads, enough to fill every multiprocessor with warps; `rounds` sets how long they take.
// Bytes: 32 n for the copy, 4 a thread at the end for the others. Flops: 2 * 16 * 8 a round and thread for peaks_fma; for peaks_mma
// 8 products a round and warp of 2 * 16 * 8 * 16 (bf16) or 2 * 16 * 8 * 8 (tf32).
// Limit: the memory; the multiply-add units; the tensor cores as far as mma.sync can feed them. On Hopper that is about two thirds of
// what wgmma reaches, so a kernel that uses wgmma may exceed it.
#include "tensorcore.cuh"

extern "C" __global__ void __launch_bounds__(256) peaks_copy_b128(long long n, const uint4* x, uint4* y)
{
    long long stride = (long long)gridDim.x * blockDim.x, i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    // Four loads under way at a time: one alone would wait for the memory too often.
    for (; i + 3 * stride < n; i += 4 * stride)
    {
        uint4 a = x[i], b = x[i + stride], c = x[i + 2 * stride], d = x[i + 3 * stride];
        y[i] = a;
        y[i + stride] = b;
        y[i + 2 * stride] = c;
        y[i + 3 * stride] = d;
    }
    for (; i < n; i += stride)
        y[i] = x[i];
}

// chain = chain * a + b. Eight independent chains: the result of a multiply-add is needed again after four cycles, and each scheduler has
// several warps to choose from besides.
extern "C" __global__ void __launch_bounds__(256) peaks_fma_f32(int rounds, float a, float b, float* y)
{
    constexpr int chains = 8, unrolled = 16;
    float x[chains];
#pragma unroll
    for (int c = 0; c < chains; c++)
        x[c] = (float)(threadIdx.x + c);
    for (int round = 0; round < rounds; round++)
    {
#pragma unroll
        for (int u = 0; u < unrolled; u++)
        {
#pragma unroll
            for (int c = 0; c < chains; c++)
                x[c] = fmaf(x[c], a, b);
        }
    }
    float sum = 0;
#pragma unroll
    for (int c = 0; c < chains; c++)
        sum += x[c];
    y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

#if __CUDA_ARCH__ >= 800

struct ProductBFloat16
{
    // 1/64 in both halves.
    static constexpr unsigned element = 0x3c803c80u;
    static __device__ __forceinline__ void add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { mma_bf16(d, a, b); }
};

struct ProductTf32
{
    static constexpr unsigned element = 0x3c800000u;
    static __device__ __forceinline__ void add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { mma_tf32(d, a, b); }
};

// Eight accumulators that do not wait for each other.
template <class Product>
__device__ __forceinline__ void multiply(int rounds, float* y)
{
    constexpr int accumulators = 8;
    float d[accumulators][4] = {};
    unsigned a[4], b[2];
#pragma unroll
    for (int i = 0; i < 4; i++)
        a[i] = Product::element;
    b[0] = b[1] = Product::element;
    for (int round = 0; round < rounds; round++)
    {
#pragma unroll
        for (int i = 0; i < accumulators; i++)
            Product::add(d[i], a, b);
    }
    float sum = 0;
#pragma unroll
    for (int i = 0; i < accumulators; i++)
        sum += d[i][0] + d[i][1] + d[i][2] + d[i][3];
    y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256) peaks_mma_bf16(int rounds, float* y)
{
    multiply<ProductBFloat16>(rounds, y);
}

extern "C" __global__ void __launch_bounds__(256) peaks_mma_tf32(int rounds, float* y)
{
    multiply<ProductTf32>(rounds, y);
}

#endif
