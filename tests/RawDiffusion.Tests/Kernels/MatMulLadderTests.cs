using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// What each rung of the ladder claims to do better than the one before it, by the counters of the emulator, on a product of
/// 256 x 256 x 64 that fills all tiles.
/// </summary>
public class MatMulLadderTests
{
    private const int M = 256, N = 256, K = 64;

    private const long MultiplyAdds = (long)M * N * K;

    [SkippableFact]
    public void CoalescingBringsTheSectorsOfARequestFrom32To4()
    {
        Counts naive = Count(MatMulLadder.Naive), coalesced = Count(MatMulLadder.Coalesced);
        Assert.Equal(32, naive.MostSectors(Opcode.Ld));
        Assert.Equal(32, naive.MostSectors(Opcode.St));
        Assert.Equal(4, coalesced.MostSectors(Opcode.Ld));
        Assert.Equal(4, coalesced.MostSectors(Opcode.St));
    }

    [SkippableFact]
    public void SharedTilesLoadEachElement32TimesLessOften()
    {
        Assert.Equal(2 * MultiplyAdds, Count(MatMulLadder.Coalesced).Lanes(Opcode.Ld, StateSpace.Global));
        Assert.Equal(2 * MultiplyAdds / 32, Count(MatMulLadder.SharedTiles).Lanes(Opcode.Ld, StateSpace.Global));
        // The tiles of the next rungs have 64 and 128 rows and columns.
        Assert.Equal(2 * MultiplyAdds / 64, Count(MatMulLadder.RegisterTile1D).Lanes(Opcode.Ld, StateSpace.Global));
        Assert.Equal(2 * MultiplyAdds / 128, Count(MatMulLadder.RegisterTile2D).Lanes(Opcode.Ld, StateSpace.Global));
    }

    [SkippableFact]
    public void RegisterTilesReadSharedMemoryLessForAMultiplyAdd()
    {
        Assert.Equal(2 * MultiplyAdds, Count(MatMulLadder.SharedTiles).Lanes(Opcode.Ld, StateSpace.Shared));
        Assert.Equal(9 * MultiplyAdds / 8, Count(MatMulLadder.RegisterTile1D).Lanes(Opcode.Ld, StateSpace.Shared));
        Assert.Equal(16 * MultiplyAdds / 64, Count(MatMulLadder.RegisterTile2D).Lanes(Opcode.Ld, StateSpace.Shared));
        Assert.Equal(4 * MultiplyAdds / 64, Count(MatMulLadder.Vectorised).Lanes(Opcode.Ld, StateSpace.Shared));
    }

    [SkippableFact]
    public void VectorsTakeAQuarterOfTheLoadsAndFewerInstructions()
    {
        Counts scalar = Count(MatMulLadder.RegisterTile2D), vectors = Count(MatMulLadder.Vectorised);
        Assert.Equal(scalar.Lanes(Opcode.Ld, StateSpace.Global) / 4, vectors.Lanes(Opcode.Ld, StateSpace.Global));
        Assert.Equal(scalar.GlobalBytes(Opcode.Ld), vectors.GlobalBytes(Opcode.Ld));
        // 1 is the multiply-add itself; what comes on top at least halves.
        double overhead = scalar.InstructionsPerMultiplyAdd - 1;
        Assert.InRange(vectors.InstructionsPerMultiplyAdd - 1, 0.0625, overhead / 2);
    }

    /// <summary>16 bytes for each of 32 lanes are four passes at best.</summary>
    [SkippableFact]
    public void WarpTilesMeetNoBankConflicts()
    {
        Counts vectorised = Count(MatMulLadder.Vectorised), warpTiles = Count(MatMulLadder.WarpTiles);
        Assert.True(vectorised.PassesPerRequest(Opcode.Ld) > 4);
        Assert.Equal(4, warpTiles.PassesPerRequest(Opcode.Ld));
        Assert.True(warpTiles.HasNoBankConflicts);
        Assert.True(Count(MatMulLadder.DoubleBuffer).HasNoBankConflicts);
    }

    [SkippableFact]
    public void DoubleBufferingCopiesPastTheRegistersWithFewerBarriers()
    {
        Counts registers = Count(MatMulLadder.WarpTiles), buffered = Count(MatMulLadder.DoubleBuffer);
        Assert.Equal(0, buffered.Lanes(Opcode.Ld, StateSpace.Global));
        Assert.Equal(0, registers.Lanes(Opcode.CpAsync));
        Assert.Equal(registers.GlobalBytes(Opcode.Ld), buffered.GlobalBytes(Opcode.CpAsync));
        // Two for 8 indices, and one for 16.
        Assert.Equal(2 * K / 8, registers.BarriersPerWarp);
        Assert.Equal(K / 16, buffered.BarriersPerWarp);
    }

    [SkippableTheory]
    [InlineData("mma-tf32", 8)]
    [InlineData("mma-bf16", 16)]
    [InlineData("multistage-tf32", 8)]
    [InlineData("multistage-bf16", 16)]
    public void TensorCoresDoAllMultiplyAdds(string name, int depth)
    {
        Counts counts = Count(MatMulLadder.Ladder[name]);
        Assert.Equal(MultiplyAdds / (16 * 8 * depth) * 32, counts.Lanes(Opcode.Mma));
        Assert.Equal(0, counts.Lanes(Opcode.Fma));
        Assert.True(counts.Lanes(Opcode.Ldmatrix) > 0 && counts.Lanes(Opcode.CpAsync) > 0);
    }

    [SkippableTheory]
    [InlineData("mma-tf32", "multistage-tf32")]
    [InlineData("mma-bf16", "multistage-bf16")]
    public void SwizzledTilesMeetNoBankConflicts(string plain, string swizzled)
    {
        // Rows of 64 bytes: four of the eight rows of a matrix begin in the same bank.
        Assert.True(Count(MatMulLadder.Ladder[plain]).PassesPerRequest(Opcode.Ldmatrix) >= 16);
        Counts counts = Count(MatMulLadder.Ladder[swizzled]);
        Assert.Equal(4, counts.PassesPerRequest(Opcode.Ldmatrix));
        Assert.Equal(4, counts.PassesPerRequest(Opcode.CpAsync));
        Assert.True(counts.HasNoBankConflicts);
    }

    /// <summary>The instructions by which these rungs are named are in what is compiled for GPUs, and no register spills.</summary>
    [SkippableTheory]
    [InlineData("double-buffer", "sm_80", "cp.async.ca.shared.global", "cp.async.cg.shared.global", "cp.async.wait_group 0")]
    [InlineData("double-buffer", "sm_90a", "cp.async.ca.shared.global", "cp.async.cg.shared.global", "cp.async.wait_group 0")]
    [InlineData("mma-tf32", "sm_80", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "cvt.rna.tf32.f32")]
    [InlineData("mma-bf16", "sm_80", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16")]
    [InlineData("multistage-tf32", "sm_80", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "cp.async.cg.shared.global", "cp.async.wait_group 2")]
    [InlineData("multistage-tf32", "sm_90a", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "cp.async.cg.shared.global", "cp.async.wait_group 2")]
    [InlineData("multistage-bf16", "sm_80", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "cp.async.cg.shared.global", "cp.async.wait_group 2")]
    [InlineData("multistage-bf16", "sm_90a", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "cp.async.cg.shared.global", "cp.async.wait_group 2")]
    public void RungsUseTheInstructionsTheyAreNamedBy(string name, string architecture, params string[] instructions)
    {
        TestNvrtc.Require();
        var rung = MatMulLadder.Ladder[name];
        string ptx = new KernelCompiler().Compile(KernelLibrary.Source(rung.File), new KernelTarget(architecture.Replace("sm_", "compute_"))).Ptx;
        string[] kernels = [.. ptx.Split(".entry ").Skip(1).Where(text => text.StartsWith(rung.Kernel, StringComparison.Ordinal))];
        Assert.NotEmpty(kernels);
        // Layouts differ in how they read A and B, so not each kernel has each instruction; tf32 and bf16 never mix.
        foreach (string instruction in instructions)
            Assert.Contains(kernels, text => text.Contains(instruction, StringComparison.Ordinal));
        Assert.All(kernels, text => Assert.Contains(instructions[0], text));
        var compiled = new KernelCompiler().Compile(KernelLibrary.Source(rung.File), new KernelTarget(architecture));
        Assert.All(compiled.Resources, kernel => Assert.Equal(0, kernel.SpillStoreBytes + kernel.SpillLoadBytes));
    }

    [SkippableFact]
    public void ARungRefusesWhatItCannotDo()
    {
        TestNvrtc.Require();
        // Its own: to force a rung is to force it on all who share the device.
        using var device = Emulated.Plain.New();
        var g = new MatMulGeometry(1, 4, 4, 4, true, false, 0, 0);
        Storage x = device.Allocate(DType.Float32, 16), half = device.Allocate(DType.BFloat16, 16), c = device.Allocate(DType.Float32, 16);
        device.Fill(x, 1);
        using (device.Use(MatMulLadder.SharedTiles))
            Assert.Contains("transposed", Assert.Throws<NotSupportedException>(() => device.MatMul(g, x, x, null, c)).Message);
        using (device.Use(MatMulLadder.MultiStageBFloat16))
            Assert.Contains("float32", Assert.Throws<NotSupportedException>(() => device.MatMul(g, x, x, null, c)).Message);
        using (device.Use(MatMulLadder.WarpTiles))
            Assert.Contains("bfloat16", Assert.Throws<NotSupportedException>(() => device.MatMul(g, half, half, null, c)).Message);
        using var old = new Emulated(computeCapability: 75).New();
        Assert.Throws<NotSupportedException>(() => old.Use(MatMulLadder.DoubleBuffer));
    }

    /// <summary>What one launch of a rung's kernel did.</summary>
    private sealed class Counts(KernelCounters counters)
    {
        private IEnumerable<(Instruction Code, InstructionCounts Count)> All =>
            counters.Kernel.Code.Zip(counters.Instructions).Where(each => each.Second.WarpExecutions > 0);

        private IEnumerable<InstructionCounts> Of(Opcode opcode) => All.Where(each => each.Code.Opcode == opcode).Select(each => each.Count);

        /// <summary>Executions by lanes.</summary>
        public long Lanes(Opcode opcode, StateSpace? space = null) =>
            All.Where(each => each.Code.Opcode == opcode && (space is null || Touches(each, space.Value))).Sum(each => each.Count.LaneExecutions);

        public double MostSectors(Opcode opcode) => Of(opcode).Where(count => count.GlobalRequests > 0).Max(count => (double)count.GlobalSectors / count.GlobalRequests);

        public long GlobalBytes(Opcode opcode) => Of(opcode).Sum(count => count.GlobalBytes);

        public double PassesPerRequest(Opcode opcode) => (double)Of(opcode).Sum(count => count.SharedPasses) / Of(opcode).Sum(count => count.SharedRequests);

        /// <summary>Every request takes as many passes as its lanes' bytes need, one for all that read the same.</summary>
        public bool HasNoBankConflicts => All.Where(each => each.Count.SharedRequests > 0).All(each => each.Count.SharedPasses ==
            each.Count.SharedRequests * Math.Max(1, Bytes(each.Count) / 4));

        public double InstructionsPerMultiplyAdd => (double)All.Sum(each => each.Count.LaneExecutions) / Lanes(Opcode.Fma);

        public double BarriersPerWarp => (double)Of(Opcode.Bar).Sum(count => count.WarpExecutions) / counters.Warps;

        /// <summary>Of a lane.</summary>
        private static long Bytes(in InstructionCounts count) => count.SharedBytes / count.SharedRequests / 32;

        private static bool Touches((Instruction Code, InstructionCounts Count) each, StateSpace space) =>
            space == StateSpace.Shared ? each.Count.SharedRequests > 0 : each.Count.GlobalRequests > 0;
    }

    private static Counts Count(Rung rung)
    {
        TestNvrtc.Require();
        var driver = new EmulatedCudaDriver(new EmulatorOptions { Mode = ExecutionMode.Counted, ComputeCapability = 80 });
        using var device = new CudaBackend(driver);
        var type = rung.Precision == Precision.BFloat16 ? DType.BFloat16 : DType.Float32;
        Storage a = device.Allocate(type, M * K), b = device.Allocate(type, K * N), c = device.Allocate(type, M * N);
        device.Fill(a, 1);
        device.Fill(b, 1);
        using (device.Use(rung))
            device.MatMul(new MatMulGeometry(1, M, N, K, false, false, 0, 0), a, b, null, c);
        device.Synchronize();
        return new Counts(driver.Counters.Single(counters => counters.Kernel.Name.StartsWith(rung.Kernel, StringComparison.Ordinal)));
    }
}
