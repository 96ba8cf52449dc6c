namespace RawDiffusion.Tests;

// Grids, warps and their exchanges.
public sealed partial class CorrectKernelTests
{
    private static IEnumerable<Sample> Exchanges() =>
    [
        new("grid_stride", 3, 64, 0, 1000, i => 2 * i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
                    y[i] = 2 * x[i];
            }
            """),
        new("warp_sum_by_shuffles", 1, 32, 0, 32, _ => 496, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[threadIdx.x];
                for (int offset = 16; offset > 0; offset /= 2)
                    v += __shfl_xor_sync(0xffffffff, v, offset);
                y[threadIdx.x] = v;
            }
            """),
        new("half_a_warp_shuffles", 1, 32, 0, 32, i => i < 16 ? 120 : i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[threadIdx.x];
                if (threadIdx.x < 16)
                {
                    for (int offset = 8; offset > 0; offset /= 2)
                        v += __shfl_xor_sync(0x0000ffff, v, offset);
                }
                y[threadIdx.x] = v;
            }
            """),
        new("a_warp_that_is_not_full", 1, 20, 0, 20, _ => 190, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[threadIdx.x];
                for (int offset = 16; offset > 0; offset /= 2)
                {
                    int from = threadIdx.x + offset;
                    int other = __shfl_sync(0x000fffff, v, min(from, 19));
                    if (from < 20)
                        v += other;
                }
                y[threadIdx.x] = __shfl_sync(0x000fffff, v, 0);
            }
            """),
        new("shuffle_after_a_divergent_loop", 1, 32, 0, 32, i => (i ^ 1) * ((i ^ 1) - 1) / 2, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int sum = 0;
                for (int i = 0; i < (int)threadIdx.x; i++)
                    sum += x[i];
                y[threadIdx.x] = __shfl_xor_sync(0xffffffff, sum, 1);
            }
            """),
        new("ballot_and_prefix_count", 1, 32, 0, 32, i => i % 3 == 0 ? i / 3 : -1, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int lane = threadIdx.x;
                unsigned keep = __ballot_sync(0xffffffff, x[lane] % 3 == 0);
                y[lane] = keep >> lane & 1 ? __popc(keep & ((1u << lane) - 1)) : -1;
            }
            """),
        new("match_any_groups", 1, 32, 0, 32, i => 8, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                unsigned peers = __match_any_sync(0xffffffff, x[threadIdx.x] % 4);
                y[threadIdx.x] = __popc(peers);
            }
            """),
        new("reduce_with_active_mask_of_a_branch", 1, 32, 0, 32, i => i % 2 == 0 ? 240 : 256, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                if (threadIdx.x % 2 == 0)
                    y[threadIdx.x] = __reduce_add_sync(0x55555555, x[threadIdx.x]);
                else
                    y[threadIdx.x] = __reduce_add_sync(0xaaaaaaaa, x[threadIdx.x]);
            }
            """),
        new("warp_synchronous_with_syncwarp", 1, 32, 0, 32, _ => 496, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int sums[32];
                int i = threadIdx.x;
                sums[i] = x[i];
                __syncwarp();
                for (int half = 16; half > 0; half /= 2)
                {
                    int other = i < half ? sums[i + half] : 0;
                    __syncwarp();
                    sums[i] += other;
                    __syncwarp();
                }
                y[i] = sums[0];
            }
            """),
        new("warp_synchronous_with_volatile", 1, 32, 0, 32, _ => 496, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ volatile int sums[64];
                int i = threadIdx.x;
                sums[i] = x[i];
                sums[i + 32] = 0;
                for (int half = 16; half > 0; half /= 2)
                    sums[i] = sums[i] + sums[i + half];
                y[i] = sums[0];
            }
            """),
        new("lanes_that_write_the_same_value", 1, 64, 0, 64, _ => 7, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int flag;
                flag = n - 57;
                __syncthreads();
                y[threadIdx.x] = flag;
            }
            """),
    ];
}
