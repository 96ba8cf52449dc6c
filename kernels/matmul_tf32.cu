// Matrix products of float on tensor cores: factors are rounded to tf32 (10 fraction bits) and summed in float. C[b] = op(A[b]) op(B[b])
// (+ bias[N] added to every row), C is [Batch, M, N]. Layouts nn, nt, tn, tt as in matmul_simt.cu. Compute capability 8.0.
//
//                                 128x256     128x128     64x64       mma (the rung below)
// Launch     threads              256         128         128         128
//            a warp's tile        64 x 64     64 x 64     32 x 32     64 x 64
//            stages               4           4           4           2
//            dynamic shared KiB   96          64          32          32
//            grid (Batch * ceil(M / rows) * ceil(N / columns), parts of K); part_depth is a multiple of 16
//            blocks on an H100    1           2           4
// Bytes      4 (M K ceil(N / columns) + K N ceil(M / rows)) from L2: 43, 32 and 16 flops a byte; C once; flops 2 M N K.
// Limit      the tensor cores by mma.sync, at half of bfloat16's rate. A warp reads 64 + 64 lines, 4 KiB, for 64 x 64 x 8 multiply-adds:
//            1/8 byte of shared memory for each; shared memory and L2 allow half of what they do in bfloat16. Where lines are contiguous
//            (A transposed, B not) they come 4 bytes at a time, since ldmatrix transposes 16-bit elements only: four instructions for one,
//            without bank conflicts.

#include "matmul_tensorcore.cuh"

#if __CUDA_ARCH__ >= 800

// Tensor cores: a warp multiplies 16 x 16 by 16 x 8 in one instruction, and ldmatrix reads a fragment of four 8 x 8 matrices in another.
using Mma = MmaShape<float, 128, 128, 64, 64, 2, 2, false>;
MATMUL_MMA(matmul_mma_tf32_nn_f32, Mma, false, false)

// Three stages are on their way while one is multiplied, and the swizzled places of a fragment's rows are in different banks: neither
// memory nor bank conflicts hold the tensor cores up.
using Large = MmaShape<float, 128, 256, 64, 64, 1, 4, true>;
MATMUL_MMA(matmul_multistage_tf32_nn_128x256_f32, Large, false, false)
MATMUL_MMA(matmul_multistage_tf32_nt_128x256_f32, Large, false, true)
MATMUL_MMA(matmul_multistage_tf32_tn_128x256_f32, Large, true, false)
MATMUL_MMA(matmul_multistage_tf32_tt_128x256_f32, Large, true, true)

using Medium = MmaShape<float, 128, 128, 64, 64, 2, 4, true>;
MATMUL_MMA(matmul_multistage_tf32_nn_128x128_f32, Medium, false, false)
MATMUL_MMA(matmul_multistage_tf32_nt_128x128_f32, Medium, false, true)
MATMUL_MMA(matmul_multistage_tf32_tn_128x128_f32, Medium, true, false)
MATMUL_MMA(matmul_multistage_tf32_tt_128x128_f32, Medium, true, true)

using Small = MmaShape<float, 64, 64, 32, 32, 4, 4, true>;
MATMUL_MMA(matmul_multistage_tf32_nn_64x64_f32, Small, false, false)
MATMUL_MMA(matmul_multistage_tf32_nt_64x64_f32, Small, false, true)
MATMUL_MMA(matmul_multistage_tf32_tn_64x64_f32, Small, true, false)
MATMUL_MMA(matmul_multistage_tf32_tt_64x64_f32, Small, true, true)

#endif
