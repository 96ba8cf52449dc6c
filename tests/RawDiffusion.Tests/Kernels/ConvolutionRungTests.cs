using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cli.Kernels;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests.Kernels;

/// <summary>The ladders of convolutions: every rung and every tile is right, and each rung does what its sentence says.</summary>
public class ConvolutionRungTests
{
    // Strides, padding of one side, groups, channels that fill chunks of 16 bytes and those that do not, images of several samples in a
    // tile, a gradient of a weight in several parts, and nothing at all.
    private static readonly Conv2dGeometry[] s_shapes =
    [
        new(1, 4, 5, 1, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1),
        new(1, 4, 5, 3, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1),
        new(2, 4, 5, 8, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1),
        new(2, 6, 7, 4, 4, 4, 4, 3, 3, 1, 1, 1, 1, 1),
        new(2, 5, 7, 8, 16, 2, 5, 2, 3, 2, 0, 1, 3, 1),
        new(2, 5, 4, 32, 34, 2, 2, 2, 2, 0, 0, 0, 0, 2),
        new(1, 4, 3, 6, 6, 3, 3, 1, 1, 1, 1, 1, 1, 6),
        new(3, 5, 5, 16, 40, 1, 1, 1, 1, 0, 0, 0, 0, 1),
        new(4, 9, 9, 16, 32, 3, 3, 2, 2, 0, 1, 0, 1, 1),
        new(9, 8, 8, 8, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1),
        new(0, 4, 4, 3, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1),
    ];

    // Two tiles and a part in each direction for the largest tile of every pass; 23 slices of tf32.
    private static readonly Conv2dGeometry s_large = new(3, 7, 9, 40, 136, 3, 3, 1, 1, 1, 1, 1, 1, 1);

    // A layer of a small UNet.
    private static readonly Conv2dGeometry s_layer = new(2, 8, 8, 32, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1);

    // No other test may ask for rungs on them meanwhile.
    private static readonly Emulated s_emulated = new(), s_shuffled = new(scheduleSeed: 1), s_turing = new(computeCapability: 75);

    private static readonly Lazy<Dictionary<string, Totals>> s_counted = new(Count);

    public static TheoryData<string> Rungs => [.. ConvolutionLadders.Forward.Rungs.Select(rung => rung.Name)];

    public static TheoryData<string, bool> LargeTiles
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (var tile in ConvolutionTile.All.Where(tile => $"{tile}" is "gemm_128x64" or "mma_128x128" or "mma_128x64"))
            {
                data.Add($"{tile}", false);
                if ($"{tile}".StartsWith("mma", StringComparison.Ordinal))
                    data.Add($"{tile}", true);
            }
            return data;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Rungs))]
    public void EveryRungAgreesWithReference(string name)
    {
        TestNvrtc.Require();
        var device = s_emulated.Device;
        using var forced = Use(device, name);
        foreach (var shape in s_shapes)
            Compare(shape, device, ConvolutionLadders.Forward[name].Precision);
    }

    /// <summary>Where there are no instructions for bfloat16 it is converted on the way.</summary>
    [SkippableFact]
    public void BFloat16NeedsNoTensorCores()
    {
        TestNvrtc.Require();
        var device = s_turing.Device;
        foreach (var shape in s_shapes)
            Compare(shape, device, Precision.BFloat16);
        Assert.Throws<NotSupportedException>(() => device.Use(ConvolutionLadders.Forward[ConvolutionLadders.BFloat16]));
    }

    [SkippableTheory]
    [MemberData(nameof(LargeTiles))]
    public void TilesBeyondOneBlockAgreeWithReference(string name, bool bfloat16)
    {
        TestNvrtc.Require();
        var device = s_shuffled.Device;
        var tile = ConvolutionTile.All.Single(tile => $"{tile}" == name);
        var sample = new ConvolutionSample(s_large, device, bfloat16 ? Precision.BFloat16 : name.StartsWith("mma", StringComparison.Ordinal) ? Precision.Tf32 : Precision.Float32);
        sample.Run(tile);
        Check.Passes(sample.Compare());
    }

    [SkippableFact]
    public void ARungRefusesWhatItDoesNotMultiply()
    {
        TestNvrtc.Require();
        var device = s_emulated.Device;
        var sample = new ConvolutionSample(s_shapes[0], device, Precision.Float32);
        using var forced = Use(device, ConvolutionLadders.BFloat16);
        Assert.Contains("tensor-cores-bf16", Assert.Throws<NotSupportedException>(sample.Run).Message);
    }

    /// <summary>Larger tiles for larger products; the guarded kernels where a copy of 16 bytes would reach beyond a pixel.</summary>
    [Theory]
    [InlineData(true, 100352, 32, "mma_64x32")]
    [InlineData(true, 25088, 64, "mma_128x64")]
    [InlineData(true, 6272, 64, "mma_64x32")]
    [InlineData(true, 131072, 128, "mma_128x128")]
    [InlineData(true, 8192, 256, "mma_128x64")]
    [InlineData(true, 2048, 256, "mma_64x32")]
    [InlineData(false, 131072, 128, "mma_guarded_64x32")]
    public void TheTileFillsTheGpu(bool whole, int rows, int columns, string expected) =>
        Assert.Equal(expected, $"{ConvolutionTile.Mma(whole, 1, rows, columns)}");

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(9)]
    [InlineData(28)]
    [InlineData(641)]
    [InlineData(65536)]
    [InlineData(1_000_000_007)]
    [InlineData(int.MaxValue)]
    public void DivisionByMultiplicationIsExact(int divisor)
    {
        var by = new Divisor(divisor);
        var random = new Random(divisor);
        int last = (int)((long)int.MaxValue / divisor * divisor - 1);
        foreach (int n in new[] { 0, 1, divisor - 1, divisor, last, int.MaxValue - 1, int.MaxValue })
            Assert.Equal(n / divisor, by.Quotient(n));
        for (int i = 0; i < 1000; i++)
        {
            int n = random.Next() >> random.Next(31);
            Assert.Equal(n / divisor, by.Quotient(n));
        }
    }

    /// <summary>Forward, gradient of the input, gradient of the weight: each rung asks less of global memory for the same flops.</summary>
    [SkippableTheory]
    [InlineData("conv2d_forward")]
    [InlineData("conv2d_grad_input")]
    [InlineData("conv2d_grad_weight")]
    public void EachRungMovesLessForTheSameSums(string pass)
    {
        Totals naive = Counted($"{pass}_naive_f32"), gemm = Counted($"{pass}_gemm_128x"), tf32 = Counted($"{pass}_mma_64x32_f32");
        Totals bfloat16 = Counted($"{pass}_mma_64x32_bf16");

        // Every product of the naive kernels is one fma and two loads; tiles of 128 x 32 and more fetch an element for 25 or more of them.
        Assert.True(naive.GlobalLoads > 1.9 * naive.Fmas, $"{naive}");
        Assert.True(gemm.SectorsPerFlop < naive.SectorsPerFlop / 4, $"{gemm}, naive {naive}");
        Assert.True(gemm.GlobalBytes / gemm.Flops < naive.GlobalBytes / naive.Flops / 10, $"{gemm}, naive {naive}");

        // A tile's sums: 8 x 8 or 8 x 4 of a thread from 4 or 3 loads of 16 bytes.
        Assert.True(gemm.SharedLoads * 8 <= gemm.Fmas, $"{gemm}");

        // Tensor cores make all products. Elements of half the size need half the sectors.
        Assert.True(tf32.Mmas > 0 && bfloat16.Mmas > 0 && tf32.Mmas == 2 * bfloat16.Mmas, $"{tf32}; {bfloat16}");
        Assert.True(tf32.Fmas == 0 && bfloat16.Fmas == 0, $"{tf32}; {bfloat16}");
        Assert.InRange(bfloat16.CopySectors / tf32.CopySectors, 0.45, 0.55);
        Assert.True(bfloat16.WarpInstructions < gemm.WarpInstructions / 3, $"{bfloat16}, gemm {gemm}");
    }

    /// <summary>Swizzled slices: copies, ldmatrix and the words of transposed tf32 need no pass more than their bytes do.</summary>
    [SkippableTheory]
    [InlineData("conv2d_forward_mma_64x32_bf16")]
    [InlineData("conv2d_grad_input_mma_64x32_bf16")]
    [InlineData("conv2d_grad_weight_mma_64x32_bf16")]
    [InlineData("conv2d_forward_mma_64x32_f32")]
    [InlineData("conv2d_grad_input_mma_64x32_f32")]
    [InlineData("conv2d_grad_weight_mma_64x32_f32")]
    public void SharedMemoryMeetsNoBankConflict(string kernel)
    {
        var counted = Counted(kernel);
        Assert.True(counted.Ldmatrices + counted.SharedLoads > 0 && counted.Copies > 0, $"{counted}");
        Assert.True(counted.ExcessPasses == 0, $"{counted}");
    }

    /// <summary>A sixth of the pixels that a 3 x 3 kernel looks at in an image of 8 x 8 lie in its padding: copies of nothing, and no lane goes its own way.</summary>
    [SkippableFact]
    public void PaddingIsFilledAndNotBranchedAround()
    {
        foreach (string type in (string[])["f32", "bf16"])
        {
            var counted = Counted($"conv2d_forward_mma_64x32_{type}");
            Assert.True(counted.Divergences == 0, $"{counted}");
            Assert.True(counted.CopySectors < 0.95 * counted.Copies * 16, $"{counted}: nothing was left out");
        }
    }

    [SkippableTheory]
    [InlineData("bf16", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")]
    [InlineData("f32", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")]
    public void TensorCoreKernelsHoldTheirInstructions(string type, string mma)
    {
        TestNvrtc.Require();
        string ptx = new KernelCompiler().Compile(KernelLibrary.Source("convolution_mma.cu"), new KernelTarget("compute_80")).Ptx;
        foreach (var tile in ConvolutionTile.All.Where(tile => tile.Forward.File == "convolution_mma.cu"))
        {
            foreach (var slot in (KernelSlot[])[tile.Forward, tile.GradInput, tile.GradWeight])
            {
                string text = PtxText.OfKernel(ptx, $"{slot.Name}_{type}");
                Assert.Contains(mma, text);
                // Windows share pixels, so those go through L1; what is read once passes it by.
                if (!slot.Name.Contains("guarded", StringComparison.Ordinal))
                {
                    Assert.Contains("cp.async.ca.shared.global", text);
                    Assert.Contains("cp.async.cg.shared.global", text);
                }
                // Operands that lie across are transposed by ldmatrix in bfloat16 and read word by word in tf32.
                if (slot != tile.GradWeight)
                    Assert.Contains("ldmatrix.sync.aligned.m8n8.x4.shared.b16", text);
                if (slot != tile.Forward)
                    Assert.Equal(type == "bf16", text.Contains("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16", StringComparison.Ordinal));
            }
        }
    }

    private static void Compare(in Conv2dGeometry shape, CudaBackend device, Precision precision)
    {
        var sample = new ConvolutionSample(shape, device, precision);
        sample.Run();
        Check.Passes(sample.Compare());
    }

    private static Together Use(CudaBackend device, string name) => new(
        [device.Use(ConvolutionLadders.Forward[name]), device.Use(ConvolutionLadders.GradInput[name]), device.Use(ConvolutionLadders.GradWeight[name])]);

    private sealed record Together(IDisposable[] Parts) : IDisposable
    {
        public void Dispose()
        {
            foreach (var part in Parts)
                part.Dispose();
        }
    }

    /// <summary>What a kernel did for <see cref="s_layer"/>, all instructions together; loads and copies by lanes.</summary>
    private sealed record Totals(
        double Flops, double Fmas, double GlobalLoads, double GlobalBytes, double GlobalSectors, double SharedLoads, double Copies, double CopySectors,
        long Mmas, long Ldmatrices, long ExcessPasses, long Divergences, long WarpInstructions)
    {
        public double SectorsPerFlop => GlobalSectors / Flops;
    }

    private static Totals Counted(string kernel)
    {
        TestNvrtc.Require();
        return s_counted.Value.Single(pair => pair.Key.StartsWith(kernel, StringComparison.Ordinal)).Value;
    }

    private static Dictionary<string, Totals> Count()
    {
        using var driver = new EmulatedCudaDriver(EmulatorOptions.Default with { Mode = ExecutionMode.Counted });
        using var device = new CudaBackend(driver);
        foreach (var rung in ConvolutionLadders.Forward.Rungs)
        {
            using var forced = Use(device, rung.Name);
            new ConvolutionSample(s_layer, device, rung.Precision, silu: false).Run();
        }
        device.Synchronize();
        return driver.Counters.Where(each => each.Kernel.Name.StartsWith("conv2d", StringComparison.Ordinal)).ToDictionary(each => each.Kernel.Name, Sum);
    }

    private static Totals Sum(KernelCounters counters)
    {
        var totals = new Totals(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        for (int pc = 0; pc < counters.Instructions.Length; pc++)
        {
            var counts = counters.Instructions[pc];
            var opcode = counters.Kernel.Code[pc].Opcode;
            // A pass moves 128 bytes at best; a request of fewer bytes needs one.
            long best = counts.SharedRequests == 0 ? 0 : counts.SharedRequests * Math.Max(1, (counts.SharedBytes / counts.SharedRequests + 127) / 128);
            totals = totals with
            {
                Flops = totals.Flops + counts.Flops,
                Fmas = totals.Fmas + (opcode == Opcode.Fma ? counts.LaneExecutions : 0),
                GlobalLoads = totals.GlobalLoads + (opcode == Opcode.Ld && counts.GlobalRequests > 0 ? counts.LaneExecutions : 0),
                GlobalBytes = totals.GlobalBytes + counts.GlobalBytes,
                GlobalSectors = totals.GlobalSectors + counts.GlobalSectors,
                SharedLoads = totals.SharedLoads + (opcode == Opcode.Ld && counts.SharedRequests > 0 ? counts.LaneExecutions : 0),
                Copies = totals.Copies + (opcode == Opcode.CpAsync ? counts.WarpExecutions : 0),
                CopySectors = totals.CopySectors + (opcode == Opcode.CpAsync ? counts.GlobalSectors : 0),
                Mmas = totals.Mmas + (opcode == Opcode.Mma ? counts.WarpExecutions : 0),
                Ldmatrices = totals.Ldmatrices + (opcode == Opcode.Ldmatrix ? counts.WarpExecutions : 0),
                ExcessPasses = totals.ExcessPasses + Math.Max(0, counts.SharedPasses - best),
                Divergences = totals.Divergences + counts.Divergences,
                WarpInstructions = totals.WarpInstructions + counts.WarpExecutions,
            };
        }
        return totals;
    }
}
