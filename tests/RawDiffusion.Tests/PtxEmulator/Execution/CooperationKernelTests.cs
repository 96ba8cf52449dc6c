using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>
/// Kernels whose lanes and warps work together in less common ways. In checked mode, in order and with blocks and warps shuffled, they
/// report nothing and compute what they should.
/// </summary>
public class CooperationKernelTests
{
    public static TheoryData<ulong?> Seeds => new(null, 1ul, 2ul);

    private static EmulatedModule Load(string source, ulong? seed, params string[] options)
    {
        var module = EmulatedModule.Cuda(source, "compute_80", options);
        module.Options = new LaunchOptions { Mode = ExecutionMode.Checked, ScheduleSeed = seed, InstructionBudget = 20_000_000 };
        return module;
    }

    private static int[] Numbers(int count, int below, int seed = 5)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(below))];
    }

    [SkippableTheory]
    [MemberData(nameof(Seeds))]
    public void AtomicsAggregatedByTheLanesOfAWarp(ulong? seed)
    {
        using var module = Load("""
            __device__ int place(int* counter)
            {
                unsigned active = __activemask();
                int leader = __ffs(active) - 1, base;
                unsigned below;
                asm("mov.u32 %0, %%lanemask_lt;" : "=r"(below));
                int rank = __popc(active & below);
                if (rank == 0)
                    base = atomicAdd(counter, __popc(active));
                return __shfl_sync(active, base, leader) + rank;
            }
            extern "C" __global__ void filter(const int* x, int n, int* y, int* counter)
            {
                int i = blockIdx.x * blockDim.x + threadIdx.x;
                if (i < n && x[i] % 3 == 0)
                    y[place(counter)] = x[i];
            }
            """, seed);
        int[] x = Numbers(1000, 10000);
        int[] expected = [.. x.Where(value => value % 3 == 0).Order()];
        ulong y = module.Allocate(4000), counter = module.Upload(0);
        module.Run("filter", 8, 128, 0, module.Upload(x), x.Length, y, counter);
        Assert.Equal([expected.Length], module.Download<int>(counter, 1));
        Assert.Equal(expected, module.Download<int>(y, expected.Length).Order());
    }

    [SkippableTheory]
    [MemberData(nameof(Seeds))]
    public void TilesThatArriveByAsynchronousCopiesWhileTheLastIsUsed(ulong? seed)
    {
        using var module = Load("""
            __device__ void copy(float* shared, const float* global)
            {
                asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" :: "r"((unsigned)__cvta_generic_to_shared(shared)), "l"(global) : "memory");
            }
            extern "C" __global__ void pipeline(const float* x, float* y, int tiles)
            {
                __shared__ __align__(16) float buffer[2][128];
                int t = threadIdx.x;
                copy(&buffer[0][4 * t], x + 4 * t);
                asm volatile("cp.async.commit_group;");
                float sum = 0;
                for (int k = 0; k < tiles; k++) {
                    if (k + 1 < tiles)
                        copy(&buffer[(k + 1) & 1][4 * t], x + (k + 1) * 128 + 4 * t);
                    asm volatile("cp.async.commit_group;");
                    asm volatile("cp.async.wait_group 1;" ::: "memory");
                    __syncthreads();
                    for (int i = 0; i < 4; i++)
                        sum += (k + 1) * buffer[k & 1][(t + 32 * i) ^ 5];
                    __syncthreads();
                }
                y[t] = sum;
            }
            """, seed);
        const int tiles = 5;
        float[] x = [.. Numbers(128 * tiles, 100).Select(value => (float)value)];
        ulong y = module.Allocate(128);
        module.Run("pipeline", 1, 32, 0, module.Upload(x), y, tiles);
        float[] expected = new float[32];
        for (int t = 0; t < 32; t++)
        {
            for (int k = 0; k < tiles; k++)
            {
                for (int i = 0; i < 4; i++)
                    expected[t] += (k + 1) * x[128 * k + ((t + 32 * i) ^ 5)];
            }
        }
        Assert.Equal(expected, module.Download<float>(y, 32));
    }

    [SkippableTheory]
    [MemberData(nameof(Seeds))]
    public void ALockTakenByLanesOfTheSameWarp(ulong? seed)
    {
        using var module = Load("""
            extern "C" __global__ void locked(int* lock, volatile int* count)
            {
                bool done = false;
                while (!done) {
                    if (atomicCAS(lock, 0, 1) == 0) {
                        __threadfence();
                        *count = *count + 1;
                        __threadfence();
                        atomicExch(lock, 0);
                        done = true;
                    }
                }
            }
            """, seed);
        ulong mutex = module.Upload(0), count = module.Upload(0);
        module.Run("locked", 3, 64, 0, mutex, count);
        Assert.Equal([192], module.Download<int>(count, 1));
    }

    [SkippableTheory]
    [MemberData(nameof(Seeds))]
    public void AProductOnTensorCores(ulong? seed)
    {
        using var module = Load("""
            extern "C" __global__ void product(const unsigned short* a, const unsigned short* b, float* c, int depth)
            {
                // 16 x 8 of C from row-major A (16 x depth) and column-major B (depth x 8), by ldmatrix through shared memory.
                __shared__ __align__(16) unsigned short as[16][24], bs[8][24];
                int lane = threadIdx.x;
                float acc[4] = {};
                for (int k = 0; k < depth; k += 16) {
                    for (int e = lane; e < 256; e += 32)
                        as[e >> 4][e & 15] = a[(e >> 4) * depth + k + (e & 15)];
                    for (int e = lane; e < 128; e += 32)
                        bs[e >> 4][e & 15] = b[(e >> 4) * depth + k + (e & 15)];
                    __syncwarp();
                    unsigned x[4], y[2];
                    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                        : "r"((unsigned)__cvta_generic_to_shared(&as[lane & 15][lane >> 4 << 3])) : "memory");
                    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(y[0]), "=r"(y[1])
                        : "r"((unsigned)__cvta_generic_to_shared(&bs[lane & 7][(lane >> 3 & 1) << 3])) : "memory");
                    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3]) : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
                    __syncwarp();
                }
                int row = lane >> 2, column = lane % 4 * 2;
                c[row * 8 + column] = acc[0];
                c[row * 8 + column + 1] = acc[1];
                c[(row + 8) * 8 + column] = acc[2];
                c[(row + 8) * 8 + column + 1] = acc[3];
            }
            """, seed);
        const int depth = 48;
        // Integers up to 16 are exact in bfloat16, and their sums in every accumulator.
        int[] a = Numbers(16 * depth, 17, 1), b = Numbers(8 * depth, 17, 2);
        ulong c = module.Allocate(4 * 128);
        module.Run("product", 1, 32, 0, module.Upload(Brain(a)), module.Upload(Brain(b)), c, depth);
        float[] expected = new float[128];
        for (int row = 0; row < 16; row++)
        {
            for (int column = 0; column < 8; column++)
                expected[row * 8 + column] = Enumerable.Range(0, depth).Sum(k => a[row * depth + k] * b[column * depth + k]);
        }
        Assert.Equal(expected, module.Download<float>(c, 128));

        static ushort[] Brain(int[] values) => [.. values.Select(value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16))];
    }

    [SkippableTheory]
    [MemberData(nameof(Seeds))]
    public void ProducersAndConsumersAtNamedBarriers(ulong? seed)
    {
        using var module = Load("""
            extern "C" __global__ void relay(const int* x, int* y, int rounds)
            {
                // Warp 0 produces, warp 1 consumes: barrier 1 says full, barrier 2 empty.
                __shared__ int slot[32];
                int lane = threadIdx.x & 31;
                if (threadIdx.x < 32) {
                    for (int r = 0; r < rounds; r++) {
                        if (r > 0)
                            asm volatile("bar.sync 2, 64;" ::: "memory");
                        slot[lane] = x[r * 32 + lane];
                        asm volatile("bar.arrive 1, 64;" ::: "memory");
                    }
                } else {
                    for (int r = 0; r < rounds; r++) {
                        asm volatile("bar.sync 1, 64;" ::: "memory");
                        y[r * 32 + lane] = slot[31 - lane] * 2;
                        if (r + 1 < rounds)
                            asm volatile("bar.arrive 2, 64;" ::: "memory");
                    }
                }
            }
            """, seed);
        int[] x = Numbers(32 * 6, 1000);
        ulong y = module.Allocate(4 * x.Length);
        module.Run("relay", 1, 64, 0, module.Upload(x), y, 6);
        Assert.Equal(Enumerable.Range(0, x.Length).Select(i => 2 * x[i - i % 32 + 31 - i % 32]), module.Download<int>(y, x.Length));
    }
}
