// Matrix products of bfloat16 on tensor cores, summed in float: C[b] = op(A[b]) op(B[b]) (+ bias[N] added to every row), C is
// [Batch, M, N] in bfloat16 or float. Layouts nn, nt, tn, tt as in matmul_simt.cu. Compute capability 8.0.
//
//                                 128x256     128x128     64x64       mma (the rung below)
// Launch     threads              256         128         128         128
//            a warp's tile        64 x 64     64 x 64     32 x 32     64 x 64
//            stages               4           4           4           2
//            dynamic shared KiB   96          64          32          32
//            grid (Batch * ceil(M / rows) * ceil(N / columns), parts of K); part_depth is a multiple of 32
//            blocks on an H100    1           2           4
// Bytes      2 (M K ceil(N / columns) + K N ceil(M / rows)) from L2: 85, 64 and 32 flops a byte; C once; flops 2 M N K.
// Limit      the tensor cores by mma.sync, which on an H100 reach about 60% of what wgmma does (arXiv 2402.13499; not measured here): some
//            1270 multiply-adds a cycle of a multiprocessor. A warp reads 64 + 64 lines, 4 KiB, for 64 x 64 x 16 of them, 1/16 byte of
//            shared memory for each (1/8 where its tile is 32 x 32); with the copies 128 bytes a cycle allow 1490, 1365 and 680. The 27
//            bytes a cycle that L2 has for a multiprocessor allow 1150, 880 and 430. Few tiles: the latency of four stages.

#include "matmul_tensorcore.cuh"

#if __CUDA_ARCH__ >= 800

// Tensor cores: a warp multiplies 16 x 16 by 16 x 8 in one instruction, and ldmatrix reads a fragment of four 8 x 8 matrices in another.
using Mma = MmaShape<bfloat16, 128, 128, 64, 64, 2, 2, false>;
MATMUL_MMA(matmul_mma_nn_bf16, Mma, false, false)

// Three stages are on their way while one is multiplied, and the swizzled places of a fragment's rows are in different banks: neither
// memory nor bank conflicts hold the tensor cores up.
using Large = MmaShape<bfloat16, 128, 256, 64, 64, 1, 4, true>;
MATMUL_MMA(matmul_multistage_nn_128x256_bf16, Large, false, false)
MATMUL_MMA(matmul_multistage_nt_128x256_bf16, Large, false, true)
MATMUL_MMA(matmul_multistage_tn_128x256_bf16, Large, true, false)
MATMUL_MMA(matmul_multistage_tt_128x256_bf16, Large, true, true)

using Medium = MmaShape<bfloat16, 128, 128, 64, 64, 2, 4, true>;
MATMUL_MMA(matmul_multistage_nn_128x128_bf16, Medium, false, false)
MATMUL_MMA(matmul_multistage_nt_128x128_bf16, Medium, false, true)
MATMUL_MMA(matmul_multistage_tn_128x128_bf16, Medium, true, false)
MATMUL_MMA(matmul_multistage_tt_128x128_bf16, Medium, true, true)

using Small = MmaShape<bfloat16, 64, 64, 32, 32, 4, 4, true>;
MATMUL_MMA(matmul_multistage_nn_64x64_bf16, Small, false, false)
MATMUL_MMA(matmul_multistage_nt_64x64_bf16, Small, false, true)
MATMUL_MMA(matmul_multistage_tn_64x64_bf16, Small, true, false)
MATMUL_MMA(matmul_multistage_tt_64x64_bf16, Small, true, true)

#endif
