// Blocks of one launch that work together: they wait for each other, and read what the others have written. All of them must run at the
// same time: there may be no more than the device holds.
#pragma once

// What other blocks have written: from the L2 cache, which all blocks share.
__device__ __forceinline__ float fresh(const float* x) { return __ldcg(x); }
__device__ __forceinline__ float4 fresh_four(const float* x) { return __ldcg((const float4*)x); }

// All blocks wait for each other: what any thread wrote before arrive is read by every thread after wait. Between the two a block can
// do what concerns no other. The counter only grows, so nobody has to reset it between two waits.
__device__ __forceinline__ void arrive(unsigned* arrived)
{
    __syncthreads();
    if (threadIdx.x == 0)
    {
        __threadfence();
        atomicAdd(arrived, 1u);
    }
}

__device__ __forceinline__ void wait(unsigned* arrived, unsigned& rounds)
{
    rounds++;
    if (threadIdx.x == 0)
    {
        while (*(volatile unsigned*)arrived < rounds * gridDim.x)
            __nanosleep(20);
        __threadfence();
    }
    __syncthreads();
}
