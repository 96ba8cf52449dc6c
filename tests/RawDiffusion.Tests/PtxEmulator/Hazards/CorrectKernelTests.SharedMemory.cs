namespace RawDiffusion.Tests;

// Shared memory and barriers.
public sealed partial class CorrectKernelTests
{
    private static IEnumerable<Sample> SharedMemory() =>
    [
        new("block_sum", 2, 128, 0, 256, i => 128 * 127 / 2 + i / 128 * 128 * 128, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int sums[128];
                int i = threadIdx.x, g = blockIdx.x * 128 + i;
                sums[i] = x[g];
                __syncthreads();
                for (int half = 64; half > 0; half /= 2)
                {
                    if (i < half)
                        sums[i] += sums[i + half];
                    __syncthreads();
                }
                y[g] = sums[0];
            }
            """),
        new("block_sum_by_warps", 1, 256, 0, 256, _ => 255 * 128, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int sums[8];
                int v = x[threadIdx.x];
                for (int offset = 16; offset > 0; offset /= 2)
                    v += __shfl_down_sync(0xffffffff, v, offset);
                if (threadIdx.x % 32 == 0)
                    sums[threadIdx.x / 32] = v;
                __syncthreads();
                if (threadIdx.x < 32)
                {
                    v = threadIdx.x < 8 ? sums[threadIdx.x] : 0;
                    for (int offset = 4; offset > 0; offset /= 2)
                        v += __shfl_down_sync(0xffffffff, v, offset);
                    if (threadIdx.x == 0)
                        sums[0] = v;
                }
                __syncthreads();
                y[threadIdx.x] = sums[0];
            }
            """),
        new("reverse_in_dynamic_shared_memory", 1, 64, 256, 64, i => 63 - i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                extern __shared__ int tile[];
                tile[threadIdx.x] = x[threadIdx.x];
                __syncthreads();
                y[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
            }
            """),
        new("double_buffer", 1, 64, 0, 256, i => i < 64 ? 4 * (63 - i) + 384 : 0, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[2][64];
                int i = threadIdx.x, sum = 0;
                for (int r = 0; r < 4; r++)
                {
                    // Two buffers need one barrier a round.
                    tile[r % 2][i] = x[64 * r + i];
                    __syncthreads();
                    sum += tile[r % 2][63 - i];
                }
                y[i] = sum;
            }
            """),
        new("transpose_of_tiles", (2, 2), (16, 16), 0, 1024, i => i % 32 * 32 + i / 32, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[16][17];
                int column = blockIdx.x * 16 + threadIdx.x, row = blockIdx.y * 16 + threadIdx.y;
                tile[threadIdx.y][threadIdx.x] = x[row * 32 + column];
                __syncthreads();
                column = blockIdx.y * 16 + threadIdx.x;
                row = blockIdx.x * 16 + threadIdx.y;
                y[row * 32 + column] = tile[threadIdx.x][threadIdx.y];
            }
            """),
        new("histogram_by_shared_atomics", 2, 64, 0, 128, i => i < 4 ? 32 : 0, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int bins[4];
                if (threadIdx.x < 4)
                    bins[threadIdx.x] = 0;
                __syncthreads();
                atomicAdd(&bins[x[blockIdx.x * 64 + threadIdx.x] % 4], 1);
                __syncthreads();
                if (threadIdx.x < 4)
                    atomicAdd(&y[threadIdx.x], bins[threadIdx.x]);
            }
            """),
        new("scan", 1, 128, 0, 128, i => i * (i + 1) / 2, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int sums[128];
                int i = threadIdx.x;
                sums[i] = x[i];
                for (int step = 1; step < 128; step *= 2)
                {
                    __syncthreads();
                    int left = i >= step ? sums[i - step] : 0;
                    __syncthreads();
                    sums[i] += left;
                }
                y[i] = sums[i];
            }
            """),
        new("bitonic_sort", 1, 128, 0, 128, i => i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int values[128];
                int i = threadIdx.x;
                values[i] = x[i] * 37 % 128;
                __syncthreads();
                for (int size = 2; size <= 128; size *= 2)
                {
                    for (int step = size / 2; step > 0; step /= 2)
                    {
                        int other = i ^ step;
                        if (other > i && (values[i] > values[other]) == ((i & size) == 0))
                        {
                            int t = values[i];
                            values[i] = values[other];
                            values[other] = t;
                        }
                        __syncthreads();
                    }
                }
                y[i] = values[i];
            }
            """),
        new("several_arrays_in_dynamic_shared_memory", 1, 32, 32 * 12, 32, i => 3 * (31 - i), """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                extern __shared__ char raw[];
                int* ints = (int*)raw;
                double* doubles = (double*)(raw + 32 * 4);
                int i = threadIdx.x;
                ints[i] = x[i];
                doubles[i] = 2.0 * x[i];
                __syncthreads();
                y[i] = ints[31 - i] + (int)doubles[31 - i];
            }
            """),
        new("neighbouring_bytes", 1, 64, 0, 64, i => 63 - i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ unsigned char bytes[64];
                bytes[threadIdx.x] = x[threadIdx.x];
                __syncthreads();
                y[threadIdx.x] = bytes[63 - threadIdx.x];
            }
            """),
        new("neighbouring_halves_of_a_word_by_two_blocks", 2, 16, 0, 16, i => i << 17 | 2 * i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                // Block 0 writes the lower, block 1 the upper 16 bits.
                ((unsigned short*)y)[2 * threadIdx.x + blockIdx.x] = 2 * x[threadIdx.x];
            }
            """),
        new("a_barrier_that_counts", 1, 96, 0, 96, _ => 32, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                y[threadIdx.x] = __syncthreads_count(x[threadIdx.x] % 3 == 0);
            }
            """),
        new("producer_and_consumer_at_named_barriers", 1, 64, 0, 64, i => i < 32 ? 0 : 4 * (63 - i) + 96 + 96, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[32];
                int lane = threadIdx.x % 32, sum = 0;
                for (int r = 0; r < 4; r++)
                {
                    if (threadIdx.x < 32)
                    {
                        tile[lane] = x[lane] + 32 * r;
                        asm volatile("bar.arrive 1, 64;" ::: "memory");
                        asm volatile("bar.sync 2, 64;" ::: "memory");
                    }
                    else
                    {
                        asm volatile("bar.sync 1, 64;" ::: "memory");
                        sum += tile[31 - lane];
                        asm volatile("bar.arrive 2, 64;" ::: "memory");
                    }
                }
                if (threadIdx.x >= 32)
                    y[threadIdx.x] = sum;
            }
            """),
        new("halves_of_a_block_with_barriers_of_their_own", 1, 128, 0, 128, i => i ^ 63, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[128];
                int i = threadIdx.x;
                tile[i] = x[i];
                if (i < 64)
                    asm volatile("bar.sync 1, 64;" ::: "memory");
                else
                    asm volatile("bar.sync 2, 64;" ::: "memory");
                y[i] = tile[i ^ 63];
            }
            """),
        // More barriers than the times that checked mode can tell apart.
        new("values_from_many_barriers_ago", 1, 64, 0, 64, _ => 7, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int value;
                if (threadIdx.x == 0)
                    value = x[7];
                for (int r = 0; r < 150000; r++)
                    __syncthreads();
                y[threadIdx.x] = value;
            }
            """),
        new("global_values_from_many_barriers_ago", 1, 64, 0, 64, i => 64 - i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                y[63 - threadIdx.x] = x[threadIdx.x];
                for (int r = 0; r < 300000; r++)
                    __syncthreads();
                y[threadIdx.x] += 1;
            }
            """),
        new("asynchronous_copies_in_two_stages", 1, 32, 0, 128, i => i < 32 ? 4 * (31 - i) + 192 : 0, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[2][32];
                int i = threadIdx.x, sum = 0;
                unsigned at = (unsigned)__cvta_generic_to_shared(&tile[0][i]);
                asm volatile("cp.async.ca.shared.global [%0], [%1], 4; cp.async.commit_group;" :: "r"(at), "l"(x + i) : "memory");
                for (int r = 0; r < 4; r++)
                {
                    if (r < 3)
                        asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(at + 128 * ((r + 1) % 2)), "l"(x + 32 * (r + 1) + i) : "memory");
                    asm volatile("cp.async.commit_group; cp.async.wait_group 1;" ::: "memory");
                    __syncthreads();
                    sum += tile[r % 2][31 - i];
                    __syncthreads();
                }
                y[i] = sum;
            }
            """),
    ];
}
