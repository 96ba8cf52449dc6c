namespace RawDiffusion.Tests;

// Blocks that work together, fences and atomics.
public sealed partial class CorrectKernelTests
{
    private static IEnumerable<Sample> Blocks() =>
    [
        new("the_last_block_adds_up", 8, 64, 0, 512, i => i == 0 ? 511 * 256 : 0, """
            __device__ int parts[8];
            __device__ unsigned ticket;

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ bool last;
                __shared__ int sum;
                if (threadIdx.x == 0)
                    sum = 0;
                __syncthreads();
                atomicAdd(&sum, x[blockIdx.x * 64 + threadIdx.x]);
                __syncthreads();
                if (threadIdx.x == 0)
                {
                    parts[blockIdx.x] = sum;
                    __threadfence();
                    last = atomicAdd(&ticket, 1) == gridDim.x - 1;
                }
                __syncthreads();
                if (last)
                {
                    if (threadIdx.x == 0)
                        sum = 0;
                    __syncthreads();
                    if (threadIdx.x < 8)
                        atomicAdd(&sum, parts[threadIdx.x]);
                    __syncthreads();
                    if (threadIdx.x == 0)
                        y[0] = sum;
                }
            }
            """),
        new("a_spin_lock_between_blocks", 6, 32, 0, 64, i => i == 0 ? 6 : 0, """
            __device__ int lock;

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                if (threadIdx.x == 0)
                {
                    while (atomicCAS(&lock, 0, 1) != 0)
                        ;
                    __threadfence();
                    y[0] = y[0] + 1;
                    __threadfence();
                    atomicExch(&lock, 0);
                }
            }
            """),
        new("a_flag_between_warps", 1, 64, 0, 64, i => i < 32 ? 0 : 2 * (i - 32), """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int data[32];
                __shared__ volatile int ready;
                if (threadIdx.x == 0)
                    ready = 0;
                __syncthreads();
                if (threadIdx.x < 32)
                {
                    data[threadIdx.x] = 2 * x[threadIdx.x];
                    __syncwarp();
                    __threadfence_block();
                    if (threadIdx.x == 0)
                        ready = 1;
                }
                else
                {
                    while (ready == 0)
                        ;
                    __threadfence_block();
                    y[threadIdx.x] = data[threadIdx.x - 32];
                }
            }
            """),
        new("blocks_that_wait_for_later_ones", 6, 32, 0, 192, i => i / 32 * 10, """
            __device__ int done[7];

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                // The last block goes first, each tells the one before it.
                __shared__ int from_right;
                if (threadIdx.x == 0)
                {
                    if (blockIdx.x < gridDim.x - 1)
                    {
                        while (*(volatile int*)&done[blockIdx.x + 1] == 0)
                            ;
                    }
                    __threadfence();
                    from_right = 10 * (int)blockIdx.x;
                }
                __syncthreads();
                y[blockIdx.x * 32 + threadIdx.x] = from_right;
                __threadfence();
                __syncthreads();
                if (threadIdx.x == 0)
                    *(volatile int*)&done[blockIdx.x] = 1;
            }
            """),
        new("a_barrier_of_the_grid", 8, 32, 0, 256, i => 255 - i, """
            __device__ int arrived;
            __device__ int scratch[256];

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int i = blockIdx.x * 32 + threadIdx.x;
                scratch[i] = x[i];
                __syncthreads();
                if (threadIdx.x == 0)
                {
                    __threadfence();
                    atomicAdd(&arrived, 1);
                    while (*(volatile int*)&arrived < gridDim.x)
                        ;
                    __threadfence();
                }
                __syncthreads();
                y[i] = scratch[255 - i];
            }
            """),
        // Within the budget only if a block that sleeps lets the others go on at once.
        new("a_thousand_barriers_of_the_grid", 8, 32, 0, 256, i => (i + 32 * 500) % 256, """
            __device__ unsigned arrived;
            __device__ int scratch[256];

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int i = blockIdx.x * 32 + threadIdx.x, value = x[i];
                for (unsigned round = 1; round <= 1000; round++)
                {
                    if (round % 2 == 1)
                        scratch[i] = value;
                    else
                        value = scratch[(i + 32) % 256];
                    __syncthreads();
                    if (threadIdx.x == 0)
                    {
                        __threadfence();
                        atomicAdd(&arrived, 1u);
                        while (*(volatile unsigned*)&arrived < round * gridDim.x)
                            __nanosleep(20);
                        __threadfence();
                    }
                    __syncthreads();
                }
                y[i] = value;
            }
            """),
        new("tickets_hand_out_work", 2, 64, 0, 500, i => i + 1, """
            __device__ int next;

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                for (int i = atomicAdd(&next, 1); i < n; i = atomicAdd(&next, 1))
                    y[i] = x[i] + 1;
            }
            """),
        new("atomic_maximum_and_minimum", 4, 64, 0, 256, i => i == 0 ? 255 : i == 1 ? -255 : 0, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[blockIdx.x * 64 + threadIdx.x];
                atomicMax(&y[0], v);
                atomicMin(&y[1], -v);
            }
            """),
        new("a_float_sum_by_compare_and_swap", 2, 64, 0, 128, i => i == 0 ? BitConverter.SingleToInt32Bits(8128) : 0, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                float v = x[blockIdx.x * 64 + threadIdx.x];
                int old = atomicAdd(y, 0), seen;
                do
                {
                    seen = old;
                    old = atomicCAS(y, seen, __float_as_int(__int_as_float(seen) + v));
                } while (old != seen);
            }
            """),
        new("blocks_that_are_not_needed_return", 4, 64, 0, 100, i => i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int i = blockIdx.x * 64 + threadIdx.x;
                if (i >= n)
                    return;
                y[i] = x[i];
            }
            """),
        new("whole_blocks_return_before_a_barrier", 4, 32, 0, 64, i => i / 32 * 32 + 31 - i % 32, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[32];
                if (blockIdx.x * 32 >= n)
                    return;
                tile[threadIdx.x] = x[blockIdx.x * 32 + threadIdx.x];
                __syncthreads();
                y[blockIdx.x * 32 + threadIdx.x] = tile[31 - threadIdx.x];
            }
            """),
        new("blocks_of_three_dimensions", (2, 2, 2), (4, 2, 2), 0, 128, i => i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
                int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
                y[block * 16 + thread] = x[block * 16 + thread];
            }
            """),
        new("own_part_of_global_scratch", 4, 64, 0, 256, i => i / 64 * 64 + 63 - i % 64, """
            __device__ int scratch[256];

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int first = blockIdx.x * 64;
                scratch[first + threadIdx.x] = x[first + threadIdx.x];
                __syncthreads();
                y[first + threadIdx.x] = scratch[first + 63 - threadIdx.x];
            }
            """),
    ];
}
