using RawDiffusion.Backends;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// Kernels that are to be bound by memory must not be bound by their instructions. A multiprocessor of an H100 issues 128 lanes'
/// instructions a clock of 1.755 GHz, in which the memory, at 3.0 TB/s a copy, moves 13 bytes for each of the 132: 9.8 instructions a byte
/// that has to be moved. What is left of that hides barriers and the latency of the memory. Counted are instructions of PTX, of which the
/// assembler drops some (moves, negations, absolute values).
/// </summary>
public class InstructionBudgetTests
{
    private const double PerByte = 128 / (3.0e12 / 132 / 1.755e9);

    /// <summary>The norms of the UNets. Images are as large as there, the batch is one.</summary>
    [SkippableTheory]
    [InlineData(DType.Float32, 1024, 128, 32, 0.62, 0.62)]
    [InlineData(DType.BFloat16, 1024, 128, 32, 0.82, 0.86)]
    [InlineData(DType.Float32, 784, 32, 8, 0.62, 0.62)]
    [InlineData(DType.BFloat16, 784, 32, 8, 0.82, 0.86)]
    public void GroupNormWithSiluLeavesTimeToWaitForTheMemory(DType type, int spatial, int channels, int groups, double forward, double gradient)
    {
        using var traffic = new KernelTraffic();
        var a = new KernelArrays(traffic.Device, type);
        var g = new GroupNormGeometry(1, spatial, channels, groups, 1e-5);
        int n = spatial * channels;
        Storage x = a.Random(n), gy = a.Random(n), gamma = a.RandomFloats(channels), beta = a.RandomFloats(channels), y = a.Empty(n), gx = a.Empty(n);
        Storage mean = a.EmptyFloats(groups), rstd = a.EmptyFloats(groups), gGamma = a.EmptyFloats(channels), gBeta = a.EmptyFloats(channels);
        a.Device.GroupNorm(g, true, x, gamma, beta, y, mean, rstd);
        a.Device.GroupNormGrad(g, true, x, gamma, beta, mean, rstd, gy, gx, gGamma, gBeta);
        AssertShare(forward, traffic.Of(Name("groupnorm_whole_forward", type)), 2L * n * type.Size());
        AssertShare(gradient, traffic.Of(Name("groupnorm_whole_grad", type)), 3L * n * type.Size());
    }

    /// <summary>Rows that fill half of a warp's registers take as few instructions an element as rows that fill them.</summary>
    [SkippableTheory]
    [InlineData(DType.Float32, 256)]
    [InlineData(DType.Float32, 512)]
    [InlineData(DType.BFloat16, 256)]
    [InlineData(DType.BFloat16, 512)]
    public void RowsLeaveTimeToWaitForTheMemory(DType type, int columns)
    {
        using var traffic = new KernelTraffic();
        var a = new KernelArrays(traffic.Device, type);
        int rows = 64, n = rows * columns;
        Storage x = a.Random(n), y = a.Empty(n), gamma = a.RandomFloats(columns), beta = a.RandomFloats(columns);
        a.Device.Softmax(rows, columns, false, x, y);
        a.Device.LayerNorm(new LayerNormGeometry(rows, columns, 1e-5), x, gamma, beta, y, a.EmptyFloats(rows), a.EmptyFloats(rows));
        // An exponential, a maximum and a mean with its deviations are much for 4 bytes of bfloat16: these stay bound by instructions.
        AssertShare(type == DType.Float32 ? 0.65 : 1.2, traffic.Of(Name("softmax_forward", type)), 2L * n * type.Size());
        AssertShare(type == DType.Float32 ? 0.65 : 1.1, traffic.Of(Name("layernorm_forward", type)), 2L * n * type.Size());
    }

    /// <summary>Norm of the gradients, clipping, AdamW and moving average: 40 bytes a parameter.</summary>
    [SkippableFact]
    public void TheOptimizerLeavesTimeToWaitForTheMemory()
    {
        using var traffic = new KernelTraffic();
        var a = new KernelArrays(traffic.Device, DType.Float32);
        int n = 1 << 16;
        Storage parameter = a.Random(n), gradient = a.Random(n), m = a.Random(n), v = a.Random(n), average = a.Random(n), norm = a.Empty(1);
        a.Device.Reduce(ReduceOp.SumOfSquares, new ReduceGeometry(1, n, 1), gradient, norm);
        a.Device.AdamW(new AdamWStep(1e-3, 0.9, 0.999, 1e-8, 0.01, true, 0.5, 0.5), parameter, gradient, m, v, norm, 1, average, 0.999);
        AssertShare(0.2, traffic.Of("optimizer_adamw_f32"), 36L * n);
        AssertShare(0.5, traffic.Of("reduction_sum_of_squares_rows_f32"), 4L * n);
    }

    /// <summary>The sums for a norm's weight and bias are few: what they take is their launches, so there is one.</summary>
    [SkippableTheory]
    [InlineData(64, "_packed")]
    [InlineData(33, "")]
    [InlineData(1, "")]
    public void TheGradientOfANormIsTwoLaunches(int channels, string packed)
    {
        foreach (bool layer in (bool[])[false, true])
        {
            using var traffic = new KernelTraffic();
            var a = new KernelArrays(traffic.Device, DType.Float32);
            int batch = 5, spatial = 9, rows = batch * spatial, n = rows * channels, statistics = layer ? rows : batch;
            Storage x = a.Random(n), gamma = a.RandomFloats(channels), beta = a.RandomFloats(channels), mean = a.RandomFloats(statistics), rstd = a.RandomFloats(statistics);
            Storage gy = a.Random(n), gx = a.Empty(n), gGamma = a.EmptyFloats(channels), gBeta = a.EmptyFloats(channels);
            if (layer)
                a.Device.LayerNormGrad(new LayerNormGeometry(rows, channels, 1e-5), x, gamma, mean, rstd, gy, gx, gGamma, gBeta);
            else
                a.Device.GroupNormGrad(new GroupNormGeometry(batch, spatial, channels, 1, 1e-5), false, x, gamma, beta, mean, rstd, gy, gx, gGamma, gBeta);
            Assert.Equal(1, traffic.Of($"reduction_sum_two{packed}_f32").Launches);
            Assert.Single(traffic.Launched, name => name.StartsWith("reduction", StringComparison.Ordinal));
            double[] xs = a.Read(x), gradients = a.Read(gy), means = a.Read(mean), scales = a.Read(rstd);
            for (int c = 0; c < channels; c++)
            {
                double bias = 0, weight = 0;
                for (int row = 0; row < rows; row++)
                {
                    int i = row * channels + c, statistic = layer ? row : row / spatial;
                    bias += gradients[i];
                    weight += gradients[i] * (xs[i] - means[statistic]) * scales[statistic];
                }
                // 45 terms of about 1 in float32.
                Assert.Equal(bias, a.Read(gBeta)[c], 1e-4);
                Assert.Equal(weight, a.Read(gGamma)[c], 1e-3);
            }
        }
    }

    private static string Name(string kernel, DType type) => kernel + (type == DType.BFloat16 ? "_bf16" : "_f32");

    /// <param name="bytes">What has to be moved at least.</param>
    private static void AssertShare(double most, KernelTraffic.Moved moved, long bytes)
    {
        double share = moved.Instructions / (PerByte * bytes);
        Assert.True(share <= most, $"{moved.Instructions / (double)bytes:0.00} instructions a byte are {share:P0} of what a multiprocessor issues meanwhile");
    }
}
