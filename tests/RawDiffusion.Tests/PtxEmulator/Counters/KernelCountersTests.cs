using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>Counts of kernels for which they follow from the source.</summary>
public class KernelCountersTests
{
    private const string Patterns = """
        extern "C" __global__ void patterns(const float* x, float* y, const float4* q, int stride)
        {
            __shared__ float s[32 * 33];
            int i = threadIdx.x;
            float a = x[i * stride];
            s[i * stride] = a;
            __syncthreads();
            float b = s[0];
            float4 v = q[i];
            if (i < 8)
                b = b * v.x + v.y;
            y[i] = a + b * v.z + v.w;
        }
        """;

    [SkippableTheory]
    // Sectors have 32 bytes: 32 words side by side fill 4; from a stride of 8 words on each lane has its own.
    [InlineData(1, 4, 1)]
    [InlineData(2, 8, 2)]
    [InlineData(8, 32, 8)]
    [InlineData(32, 32, 32)]
    // A stride without a common factor with the 32 banks meets no conflict.
    [InlineData(33, 32, 1)]
    public void StridesCostSectorsInGlobalAndPassesInSharedMemory(int stride, int sectors, int passes)
    {
        KernelCounters counters = Run(stride, out DecodedKernel kernel);
        InstructionCounts strided = Line(kernel, counters, 5), stored = Line(kernel, counters, 6);
        Assert.Equal((1, sectors, 128), (strided.GlobalRequests, strided.GlobalSectors, strided.GlobalBytes));
        Assert.Equal((1, passes, 128), (stored.SharedRequests, stored.SharedPasses, stored.SharedBytes));
    }

    [SkippableFact]
    public void OneWordForAllLanesIsOnePassAndVectorsGoByQuartersOfAWarp()
    {
        KernelCounters counters = Run(1, out DecodedKernel kernel);
        InstructionCounts broadcast = Line(kernel, counters, 8), vectors = Line(kernel, counters, 9);
        Assert.Equal((1, 1), (broadcast.SharedRequests, broadcast.SharedPasses));
        Assert.Equal((1, 16, 512), (vectors.GlobalRequests, vectors.GlobalSectors, vectors.GlobalBytes));
    }

    [SkippableFact]
    public void FlopsBelongToTheLanesThatExecuteThem()
    {
        KernelCounters counters = Run(1, out DecodedKernel kernel);
        // One fma by 8 lanes, or by all 32 and a selection where the compiler prefers that.
        long conditional = Line(kernel, counters, 11).Flops;
        Assert.True(conditional is 16 or 64, $"{conditional} flops");
        // a + b * z + w: one fma and one addition by 32 lanes.
        Assert.Equal(3 * 32, Line(kernel, counters, 12).Flops);
    }

    /// <summary>ldmatrix reads 8 rows of 16 bytes in a pass, if they are in different banks; cp.async fills with zeros what it need not read.</summary>
    [SkippableTheory]
    [InlineData(16, 4)]
    [InlineData(64, 16)]
    [InlineData(128, 32)]
    public void MatricesAndAsynchronousCopiesAreCounted(int pitch, int passes)
    {
        using var module = EmulatedModule.Cuda("""
            extern "C" __global__ void matrices(const char* from, unsigned* to, int pitch, int valid)
            {
                __shared__ __align__(128) char tile[32 * 128];
                unsigned at = (unsigned)__cvta_generic_to_shared(tile) + threadIdx.x * pitch, r[4];
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(at), "l"(__cvta_generic_to_global(from + threadIdx.x * 16)), "r"(threadIdx.x < valid ? 16 : 0));
                asm volatile("cp.async.wait_all;");
                __syncwarp();
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
                to[threadIdx.x] = r[0] + r[1] + r[2] + r[3];
            }
            """);
        DecodedKernel kernel = module["matrices"];
        var counters = new KernelCounters(kernel);
        module.Options = new LaunchOptions { Mode = ExecutionMode.Counted, Counters = counters };
        module.Run("matrices", 1, 32, 0, module.Upload(new byte[512]), module.Allocate(128), pitch, 10);
        InstructionCounts Of(Opcode opcode) => counters.Instructions[Array.FindIndex(kernel.Code, each => each.Opcode == opcode)];
        InstructionCounts copy = Of(Opcode.CpAsync), matrix = Of(Opcode.Ldmatrix);
        Assert.Equal((1, 5, 160), (copy.GlobalRequests, copy.GlobalSectors, copy.GlobalBytes));
        Assert.Equal((1, passes, 512), (copy.SharedRequests, copy.SharedPasses, copy.SharedBytes));
        Assert.Equal((1, passes, 512), (matrix.SharedRequests, matrix.SharedPasses, matrix.SharedBytes));
    }

    [SkippableFact]
    public void DivergenceIsCountedWhereLanesPart()
    {
        using var module = EmulatedModule.Cuda("""
            extern "C" __global__ void part(int* y, int n)
            {
                int i = threadIdx.x;
                for (int k = 0; k < i % n; k++)
                    atomicAdd(y + k, 1);
            }
            """);
        DecodedKernel kernel = module["part"];
        foreach ((int n, bool parts) in new[] { (1, false), (4, true) })
        {
            var counters = new KernelCounters(kernel);
            module.Options = new LaunchOptions { Mode = ExecutionMode.Counted, Counters = counters };
            module.Run("part", 2, 64, 0, module.Upload(new int[8]), n);
            Assert.Equal((1, 2, 4), (counters.Launches, counters.Blocks, counters.Warps));
            Assert.Equal(parts, counters.Instructions.Sum(each => each.Divergences) > 0);
            long executed = counters.Instructions.Sum(each => each.WarpExecutions), lanes = counters.Instructions.Sum(each => each.LaneExecutions);
            Assert.Equal(!parts, lanes == 32 * executed);
        }
    }

    [SkippableFact]
    public void CountsOfSeveralWorkersAddUp()
    {
        using var module = EmulatedModule.Cuda(PtxTexts.Sgemm);
        DecodedKernel kernel = module["sgemm"];
        const int n = 64;
        ulong a = module.Upload(new float[n * n]), b = module.Upload(new float[n * n]), c = module.Allocate(4 * n * n);
        var counts = new List<InstructionCounts[]>();
        foreach (int workers in new[] { 1, 3 })
        {
            var counters = new KernelCounters(kernel);
            module.Options = new LaunchOptions { Mode = ExecutionMode.Counted, Counters = counters, Workers = workers };
            module.Run("sgemm", (4, 4), (16, 16), 0, a, b, c, n);
            // 2 n^3 for the products; nothing else in the kernel is in floating point.
            Assert.Equal(2L * n * n * n, counters.Instructions.Sum(each => each.Flops));
            counts.Add(counters.Instructions);
        }
        Assert.Equal(counts[0], counts[1]);
    }

    private static KernelCounters Run(int stride, out DecodedKernel kernel)
    {
        using var module = EmulatedModule.Cuda(Patterns);
        kernel = module["patterns"];
        var counters = new KernelCounters(kernel);
        module.Options = new LaunchOptions { Mode = ExecutionMode.Counted, Counters = counters };
        module.Run("patterns", 1, 32, 0, module.Upload(new float[32 * 33]), module.Allocate(128), module.Upload(new float[128]), stride);
        return counters;
    }

    private static InstructionCounts Line(DecodedKernel kernel, KernelCounters counters, int line)
    {
        InstructionCounts sum = default;
        for (int pc = 0; pc < kernel.Code.Length; pc++)
        {
            if (kernel.Code[pc].Line >= 0 && kernel.Lines[kernel.Code[pc].Line].Line == line)
                sum.Add(counters.Instructions[pc]);
        }
        return sum;
    }
}
