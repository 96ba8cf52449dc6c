// Tensor cores and asynchronous copies, one instruction each (PTX ISA, "Warp Level Matrix Multiply-Accumulate Instructions" and "Data
// Movement Instructions: Asynchronous copy"). They exist from compute capability 8.0 on; below, including this file declares nothing.
//
// Fragments: with g = lane / 4 and t = lane % 4, a lane holds rows g and g + 8 of A, column g of B, and of C the rows g and g + 8 in the
// columns 2t and 2t + 1. All 32 lanes of a warp take part in every mma and ldmatrix.
//
// A loop with S stages:  issue copies of stages 0 .. S-2, a commit after each;  then for every tile: cp_async_wait<S - 2>();
// __syncthreads(); issue the copies of tile + S - 1 into the stage that was computed last, commit (also where nothing was left to issue);
// compute. One barrier a tile: the one before the copies says that everyone has left the stage they overwrite.
#pragma once

#include "scalar.cuh"

#if __CUDA_ARCH__ >= 800

// d += A B, A 16 x 16 and B 16 x 8 in bfloat16, two elements of neighbouring k in a register, the lower k in the lower half.
//   a[0] (g, 2t)   a[1] (g + 8, 2t)   a[2] (g, 2t + 8)   a[3] (g + 8, 2t + 8)      row, k
//   b[0] (2t, g)   b[1] (2t + 8, g)                                               k, column
//   d[0] (g, 2t)   d[1] (g, 2t + 1)   d[2] (g + 8, 2t)   d[3] (g + 8, 2t + 1)      row, column
__device__ __forceinline__ void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// d += A B, A 16 x 8 and B 8 x 8 in tf32, an element in a register (see to_tf32); d as above.
//   a[0] (g, t)   a[1] (g + 8, t)   a[2] (g, t + 4)   a[3] (g + 8, t + 4)           row, k
//   b[0] (t, g)   b[1] (t + 4, g)                                                  k, column
__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The nearest number with 10 fraction bits, ties away from zero. The tensor core itself cuts the lower bits off, which would pull every
// product toward zero.
__device__ __forceinline__ unsigned to_tf32(float x)
{
    unsigned y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
}

// The same for a float that ldmatrix has brought as bits.
__device__ __forceinline__ unsigned to_tf32(unsigned bits)
{
    return to_tf32(__uint_as_float(bits));
}

// An accumulator's d[0], d[1] rounded to bfloat16, as a fragment of the next product.
__device__ __forceinline__ unsigned pack_bf16(float low, float high)
{
    return round_to_bfloat16_pair(low, high);
}

// Where a generic pointer into shared memory points, for the instructions below.
__device__ __forceinline__ unsigned shared_address(const void* pointer)
{
    return (unsigned)__cvta_generic_to_shared(pointer);
}

// Four 8 x 8 matrices of 16-bit elements, r[i] from the matrix whose eight rows of 16 bytes begin at the addresses of lanes 8i .. 8i + 7:
// lane receives row g, elements 2t and 2t + 1. Of 32-bit elements these are 8 x 4 matrices: row g, element t.
//   A from [row][k]:     lane l passes row l % 16, and the second half of k where l >= 16; r is a of mma.
//   B from [column][k]:  lane l passes column l % 8 (+ 8 where l >= 16), and the second half of k where l / 8 is odd;
//                        r[0], r[1] are b of eight columns, r[2], r[3] of the next eight.
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}

// Two matrices; addresses of lanes 0 .. 15. B from [column][k]: lane l passes column l % 8, and the second half of k where l / 8 is odd.
__device__ __forceinline__ void ldmatrix_x2(unsigned (&r)[2], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address));
}

// The same with each matrix transposed: lane receives column g, elements 2t and 2t + 1. 16-bit elements only.
//   A from [k][row]:     lane l passes k l % 8 (+ 8 where l >= 16), and the second eight rows where l / 8 is odd.
//   B from [k][column]:  lane l passes k l % 16, and the second eight columns where l >= 16;
//                        r[0], r[1] are b of eight columns, r[2], r[3] of the next eight.
__device__ __forceinline__ void ldmatrix_x4_transposed(unsigned (&r)[4], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address));
}

// B from [k][column]: lane l passes k l % 16.
__device__ __forceinline__ void ldmatrix_x2_transposed(unsigned (&r)[2], unsigned address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(address));
}

// 16 bytes from global memory (aligned to 16) to shared memory, past registers and L1. Only the first `bytes` are read, the others become
// zero: 0 at the borders of a matrix, where `from` may be any aligned address, also outside of it.
__device__ __forceinline__ void cp_async_16(unsigned to, const void* from, int bytes = 16)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(to), "l"(__cvta_generic_to_global(from)), "r"(bytes) : "memory");
}

// The same through L1, for what this multiprocessor will read again soon.
__device__ __forceinline__ void cp_async_16_cached(unsigned to, const void* from, int bytes = 16)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" : : "r"(to), "l"(__cvta_generic_to_global(from)), "r"(bytes) : "memory");
}

// The same for 4 bytes (aligned to 4), through L1: for rows whose length is no multiple of 16 bytes.
__device__ __forceinline__ void cp_async_4(unsigned to, const void* from, int bytes = 4)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" : : "r"(to), "l"(__cvta_generic_to_global(from)), "r"(bytes) : "memory");
}

// Copies issued so far and not yet in a group become one.
__device__ __forceinline__ void cp_async_commit()
{
    asm volatile("cp.async.commit_group;" : : : "memory");
}

// Waits until at most Pending of this thread's groups, the youngest ones, are under way. Other threads' copies need a barrier after it.
template <int Pending>
__device__ __forceinline__ void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" : : "n"(Pending) : "memory");
}

// Where 16 bytes lie in a tile whose rows have RowBytes (32, 64, 128 or more, a power of two): byte offset of chunk `chunk` of a row. The
// chunks of a row are permuted by exclusive-or so that eight rows in a column (a matrix of ldmatrix) as well as eight chunks in a row
// (cp.async, 16-byte loads) cover all 32 banks. The tile begins at a multiple of 128 bytes.
template <int RowBytes>
__device__ __forceinline__ unsigned swizzle(unsigned row, unsigned chunk)
{
    constexpr unsigned chunks = RowBytes / 16 < 8 ? RowBytes / 16 : 8, rows_in_128_bytes = 8 / chunks;
    return row * RowBytes + (chunk ^ row / rows_in_128_bytes % chunks) * 16;
}

// The same for 32-bit elements read one by one down a column, which ldmatrix cannot transpose: with rows of 128 bytes or more, rows
// k .. k + 3 (t) by columns n .. n + 7 (g, n a multiple of 8) cover all banks.
template <int RowBytes>
__device__ __forceinline__ unsigned swizzle_words(unsigned row, unsigned chunk)
{
    static_assert(RowBytes >= 128, "four rows of eight words need 128 bytes");
    return row * RowBytes + (chunk ^ row % 4 * 2) * 16;
}

#endif
