using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>
/// Kernels that are correct in ways that are easily taken for wrong: checked mode must say nothing, in any order of blocks and warps, and
/// the results must be right.
/// </summary>
public sealed class CorrectKernelTests
{
    private static readonly KernelCompiler s_compiler = new(cacheFolder: null);

    /// <summary>
    /// The kernel <c>k(int* x, int* y, int n)</c>: x holds 0, 1, ..., n - 1, y holds n zeros. <paramref name="Expected"/>: element i of y
    /// afterwards.
    /// </summary>
    private sealed record Sample(string Name, Dim3 Grid, Dim3 Block, int Shared, int N, Func<int, int> Expected, string Source);

    private static readonly Sample[] s_samples = [.. Exchanges(), .. SharedMemory(), .. Blocks(), .. Language()];

    public static TheoryData<string> Names() => new(s_samples.Select(sample => sample.Name));

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void ACorrectKernelIsNotReported(string name)
    {
        TestNvrtc.Require();
        var sample = s_samples.Single(each => each.Name == name);
        foreach (ulong? seed in new ulong?[] { null, 1, 2 })
        {
            using var driver = new EmulatedCudaDriver(new EmulatorOptions
            {
                Mode = ExecutionMode.Checked, ScheduleSeed = seed, MemoryBytes = 1 << 26, InstructionBudget = 50_000_000,
            });
            using var context = new CudaContext(driver);
            var kernel = context.LoadModule(s_compiler.Compile(new KernelSource(name + ".cu", sample.Source), context.Target)).GetKernel("k");
            using var x = context.Allocate(4L * sample.N, "x");
            using var y = context.Allocate(4L * sample.N, "y");
            x.CopyFrom<int>([.. Enumerable.Range(0, sample.N)]);
            y.Clear();
            kernel.Launch(sample.Grid, sample.Block, sample.Shared, x.Pointer, y.Pointer, sample.N);
            int[] values = new int[sample.N];
            y.CopyTo<int>(values);
            Assert.Equal(Enumerable.Range(0, sample.N).Select(sample.Expected), values);
        }
    }

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

    private static IEnumerable<Sample> Language() =>
    [
        new("a_local_array_with_computed_indices", 1, 32, 0, 32, i => 7 - i % 8, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int values[8];
                for (int i = 0; i < 8; i++)
                    values[x[7 - i]] = i;
                y[threadIdx.x] = values[x[threadIdx.x] % 8];
            }
            """),
        new("a_pointer_to_a_local_variable", 1, 32, 0, 32, i => 3 * i, """
            __device__ __noinline__ void triple(int* p) { *p *= 3; }

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[threadIdx.x];
                triple(&v);
                y[threadIdx.x] = v;
            }
            """),
        new("a_switch", 1, 64, 0, 64, i => (i % 6) switch { 0 => i + 1, 1 => 2 * i, 2 => i * i, 3 => -i, 4 => i / 3, _ => 99 }, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[threadIdx.x];
                switch (v % 6)
                {
                    case 0: y[threadIdx.x] = v + 1; break;
                    case 1: y[threadIdx.x] = 2 * v; break;
                    case 2: y[threadIdx.x] = v * v; break;
                    case 3: y[threadIdx.x] = -v; break;
                    case 4: y[threadIdx.x] = v / 3; break;
                    default: y[threadIdx.x] = 99; break;
                }
            }
            """),
        new("loops_that_end_at_different_times", 1, 64, 0, 64, i => Collatz(i + 1), """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int v = x[threadIdx.x] + 1, steps = 0;
                while (v != 1)
                {
                    if (v % 2 == 0)
                        v /= 2;
                    else
                        v = 3 * v + 1;
                    steps++;
                }
                y[threadIdx.x] = steps;
            }
            """),
        new("continue_and_break", 1, 32, 0, 32, i => Enumerable.Range(0, 32).Where(j => j % 3 != 0).TakeWhile(j => j <= i).Sum(), """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                int sum = 0;
                for (int i = 0; i < n; i++)
                {
                    if (i % 3 == 0)
                        continue;
                    if (i > (int)threadIdx.x)
                        break;
                    sum += x[i];
                }
                y[threadIdx.x] = sum;
            }
            """),
        new("constants_by_index", 1, 32, 0, 32, i => 10 * (i % 4), """
            __constant__ int table[4] = { 0, 10, 20, 30 };

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                y[threadIdx.x] = table[x[threadIdx.x] % 4];
            }
            """),
        new("structures_are_copied", 1, 16, 0, 16, i => i + 2 * i + 3, """
            struct Item { int a; float b; long long c; };

            __device__ __noinline__ Item make(int v) { return { v, 2.0f * v, 3 }; }

            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ Item items[16];
                items[threadIdx.x] = make(x[threadIdx.x]);
                __syncthreads();
                Item item = items[threadIdx.x];
                y[threadIdx.x] = item.a + (int)item.b + (int)item.c;
            }
            """),
        new("vectors_of_four", 1, 16, 0, 64, i => 2 * i, """
            extern "C" __global__ void k(int4* x, int4* y, int n)
            {
                int4 v = x[threadIdx.x];
                y[threadIdx.x] = make_int4(2 * v.x, 2 * v.y, 2 * v.z, 2 * v.w);
            }
            """),
        new("a_barrier_in_a_branch_that_all_take", 1, 64, 0, 64, i => 63 - i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[64];
                tile[threadIdx.x] = x[threadIdx.x];
                if (n == 64)
                    __syncthreads();
                y[threadIdx.x] = tile[63 - threadIdx.x];
            }
            """),
        new("a_barrier_in_a_loop_of_equal_length", 1, 64, 0, 64, i => (i + 5) % 64, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                __shared__ int tile[64];
                int i = threadIdx.x;
                tile[i] = x[i];
                for (int r = 0; r < 5; r++)
                {
                    __syncthreads();
                    int right = tile[(i + 1) % 64];
                    __syncthreads();
                    tile[i] = right;
                }
                y[i] = tile[i];
            }
            """),
        new("threads_that_leave_early_without_a_barrier", 1, 64, 0, 64, i => i < 10 ? 0 : Math.Min(i, 40), """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                if (threadIdx.x < 10)
                    return;
                for (int r = 0; r < (int)threadIdx.x; r++)
                {
                    if (r == 40)
                        return;
                    y[threadIdx.x] = r + 1;
                }
            }
            """),
        new("printing", 1, 4, 0, 4, i => i, """
            extern "C" __global__ void k(int* x, int* y, int n)
            {
                printf("%d of %d\n", x[threadIdx.x], n);
                y[threadIdx.x] = x[threadIdx.x];
            }
            """),
    ];

    private static int Collatz(int value)
    {
        int steps = 0;
        for (; value != 1; steps++)
            value = value % 2 == 0 ? value / 2 : 3 * value + 1;
        return steps;
    }
}
