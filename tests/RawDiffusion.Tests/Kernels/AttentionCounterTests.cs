using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests.Kernels;

/// <summary>What each rung of attention claims to save, as the emulator counts it, and the instructions by which it does.</summary>
public partial class AttentionCounterTests
{
    private const int Length = 128;

    /// <summary>Bytes written to global memory: by the naive rung the scores too, twice, by the others the results only.</summary>
    [SkippableFact]
    public void OnlyTheNaiveRungWritesScores()
    {
        const long result = 4 * Length * 64, rows = 4 * Length, scores = 4 * Length * Length;
        Assert.Equal(2 * scores + result + rows, Forward(AttentionLadder.Naive, DType.Float32, 64).Written);
        foreach (var rung in (Rung[])[AttentionLadder.Flash, AttentionLadder.TensorTf32, AttentionLadder.TwoStripsTf32])
            Assert.Equal(result + rows, Forward(rung, DType.Float32, 64).Written);
        foreach (var rung in (Rung[])[AttentionLadder.TensorBFloat16, AttentionLadder.TwoStripsBFloat16])
            Assert.Equal(result / 2 + rows, Forward(rung, DType.BFloat16, 64).Written);
        Assert.Equal(2 * scores + 3 * result + rows, Backward(AttentionLadder.NaiveGrad, DType.Float32, 64).Written);
        // delta is written, and once more corrected.
        Assert.Equal(3 * result + 2 * rows, Backward(AttentionLadder.FlashGrad, DType.Float32, 64).Written);
        Assert.Equal(3 * result + 2 * rows, Backward(AttentionLadder.TensorTf32Grad, DType.Float32, 64).Written);
    }

    /// <summary>Bytes read from global memory (or its caches), as the tiles make them.</summary>
    [SkippableFact]
    public void LargerBlocksReadKeysAndValuesLessOften()
    {
        const long tensor = 4 * Length * 64;
        long naive = Forward(AttentionLadder.Naive, DType.Float32, 64).Read;
        // A score reads a query and a key; the softmax reads scores three times; an element of the result reads a row of them and a column of v.
        Assert.Equal(2L * 4 * Length * Length * 64 + 3 * 4 * Length * Length + 2L * 4 * Length * Length * 64, naive);
        // Blocks of 32 queries stage queries, keys and values for each of the tiles of 32 keys.
        Assert.Equal((Length / 32) * 3 * tensor, Forward(AttentionLadder.Flash, DType.Float32, 64).Read);
        // Blocks of 64 and of 128 queries, which read these once.
        Assert.Equal(tensor + 2 * 2 * tensor, Forward(AttentionLadder.TensorTf32, DType.Float32, 64).Read);
        Assert.Equal(tensor + 2 * tensor, Forward(AttentionLadder.TwoStripsTf32, DType.Float32, 64).Read);
        Assert.Equal((tensor + 2 * 2 * tensor) / 2, Forward(AttentionLadder.TensorBFloat16, DType.BFloat16, 64).Read);
    }

    /// <summary>A fragment from shared memory serves 8 flops a byte in tf32, 16 in bfloat16, and twice as many for two strips.</summary>
    [SkippableTheory]
    [InlineData("tensor-tf32", DType.Float32, 8)]
    [InlineData("two-strips-tf32", DType.Float32, 16)]
    [InlineData("tensor-bf16", DType.BFloat16, 16)]
    [InlineData("two-strips-bf16", DType.BFloat16, 32)]
    public void FragmentsServeAsManyProductsAsClaimed(string rung, DType type, int flopsPerByte)
    {
        var counts = Forward(AttentionLadder.Forward[rung], type, 64);
        Assert.Equal(4L * Length * Length * 64, counts.TensorFlops);
        Assert.Equal(flopsPerByte, (double)counts.TensorFlops / counts.FragmentBytes);
    }

    /// <summary>Every request for shared memory takes as many passes as its bytes do, for every width and both types.</summary>
    [SkippableTheory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void SwizzledTilesMeetNoBankConflict(DType type)
    {
        bool brain = type == DType.BFloat16;
        Rung forward = brain ? AttentionLadder.TensorBFloat16 : AttentionLadder.TensorTf32, backward = brain ? AttentionLadder.TensorBFloat16Grad : AttentionLadder.TensorTf32Grad;
        foreach (int dim in brain ? (int[])[16, 32, 64, 128, 256] : [32, 64, 128, 256])
        {
            foreach (var counts in (Counts[])[Forward(forward, type, dim, 64), Backward(backward, type, dim, 64)])
            {
                Assert.True(counts.SharedRequests > 0);
                Assert.Equal(0, counts.BankConflicts);
            }
        }
    }

    [SkippableFact]
    public void TheGradientMakesSevenProducts() =>
        Assert.Equal(14L * Length * Length * 64, Backward(AttentionLadder.TensorBFloat16Grad, DType.BFloat16, 64).TensorFlops);

    [SkippableTheory]
    [InlineData(80, true, DType.BFloat16, 64, "attention_mma_forward_64_bf16")]
    [InlineData(80, true, DType.BFloat16, 80, "attention_mma_forward_128_bf16")]
    [InlineData(80, true, DType.BFloat16, 20, "attention_forward_32_bf16")]
    [InlineData(80, true, DType.Float32, 64, "attention_mma_forward_64_f32")]
    [InlineData(80, false, DType.Float32, 64, "attention_forward_64_f32")]
    [InlineData(75, false, DType.BFloat16, 64, "attention_forward_64_bf16")]
    public void TheBackendChoosesByTypeHeadAndDevice(int capability, bool allowTf32, DType type, int dim, string kernel) =>
        Assert.Equal([kernel], Count(null, type, dim, 8, backward: false, capability, allowTf32).Kernels);

    [SkippableTheory]
    [InlineData("attention_mma.cu")]
    [InlineData("attention_mma_grad.cu")]
    public void KernelsForTensorCoresUseTheirInstructions(string file)
    {
        TestNvrtc.Require();
        string ptx = new KernelCompiler().Compile(KernelLibrary.Source(file), new KernelTarget("compute_80")).Ptx;
        string[] entries = ptx.Split(".visible .entry ")[1..];
        Assert.NotEmpty(entries);
        foreach (string entry in entries)
        {
            bool brain = Name().Match(entry).Value.EndsWith("bf16", StringComparison.Ordinal);
            Assert.Contains("cp.async.cg.shared.global", entry);
            Assert.Contains("ldmatrix.sync.aligned.m8n8.x4.shared.b16", entry);
            Assert.Contains("ex2.approx.ftz.f32", entry);
            Assert.Contains(brain ? "mma.sync.aligned.m16n8k16.row.col.f32.bf16" : "mma.sync.aligned.m16n8k8.row.col.f32.tf32", entry);
            Assert.Equal(brain, entry.Contains("ldmatrix.sync.aligned.m8n8.x4.trans", StringComparison.Ordinal));
            Assert.DoesNotContain("atom.", entry);
        }
    }

    // Several tests look at the same call.
    private static readonly Dictionary<(Rung, DType, int, int), Counts> s_forward = [], s_backward = [];

    private static Counts Forward(Rung rung, DType type, int dim, int length = Length) =>
        CollectionsMarshal.GetValueRefOrAddDefault(s_forward, (rung, type, dim, length), out _) ??= Count(rung, type, dim, length, backward: false);

    private static Counts Backward(Rung rung, DType type, int dim, int length = Length) =>
        CollectionsMarshal.GetValueRefOrAddDefault(s_backward, (rung, type, dim, length), out _) ??= Count(rung, type, dim, length, backward: true);

    private static Counts Count(Rung? rung, DType type, int dim, int length, bool backward, int capability = 90, bool allowTf32 = false)
    {
        TestNvrtc.Require();
        var driver = new EmulatedCudaDriver(new EmulatorOptions { Mode = ExecutionMode.Counted, ComputeCapability = capability });
        using var device = new CudaBackend(driver);
        if (allowTf32)
            device.AllowTf32 = true;
        using var forced = rung is null ? null : device.Use(rung);
        var g = new AttentionGeometry(1, 1, length, length, dim, 0.125);
        var t = Enumerable.Range(0, 8).Select(_ => device.Allocate(type, length * dim)).ToArray();
        var logSumExp = device.Allocate(DType.Float32, length);
        foreach (var each in t)
            device.Fill(each, 0.5);
        device.Fill(logSumExp, 1);
        if (backward)
            device.AttentionGrad(g, t[0], t[1], t[2], t[3], logSumExp, t[4], t[5], t[6], t[7]);
        else
            device.Attention(g, t[0], t[1], t[2], t[3], logSumExp);
        device.Synchronize();
        var counts = new Counts { Kernels = [.. driver.Counters.Where(each => each.Launches > 0).Select(each => each.Kernel.Name)] };
        foreach (var counters in driver.Counters)
            counts.Add(counters);
        return counts;
    }

    [GeneratedRegex(@"^\w+")]
    private static partial Regex Name();

    /// <summary>The sums over all kernels of a call.</summary>
    private sealed class Counts
    {
        public required string[] Kernels { get; init; }

        /// <summary>Global memory, in bytes that lanes took or gave.</summary>
        public long Read { get; private set; }

        public long Written { get; private set; }

        public long TensorFlops { get; private set; }

        /// <summary>Bytes that came from shared memory into fragments.</summary>
        public long FragmentBytes { get; private set; }

        public long SharedRequests { get; private set; }

        /// <summary>Passes beyond those that the bytes need.</summary>
        public long BankConflicts { get; private set; }

        public void Add(KernelCounters counters)
        {
            for (int pc = 0; pc < counters.Instructions.Length; pc++)
            {
                var counts = counters.Instructions[pc];
                var opcode = counters.Kernel.Code[pc].Opcode;
                if (opcode == Opcode.St)
                    Written += counts.GlobalBytes;
                else
                    Read += counts.GlobalBytes;
                if (opcode == Opcode.Mma)
                    TensorFlops += counts.Flops;
                if (opcode is Opcode.Ldmatrix or Opcode.Ld)
                    FragmentBytes += counts.SharedBytes;
                SharedRequests += counts.SharedRequests;
                BankConflicts += counts.SharedPasses - Math.Max(counts.SharedRequests, counts.SharedBytes / 128);
            }
        }
    }
}
