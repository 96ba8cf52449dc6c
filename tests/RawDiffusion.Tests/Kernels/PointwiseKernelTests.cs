using RawDiffusion.Backends;

namespace RawDiffusion.Tests.Kernels;

/// <summary>Resampling, indexing, random numbers and noise schedules in windows that begin anywhere, against Reference; and what they move.</summary>
public class PointwiseKernelTests
{
    private static readonly PhiloxState s_state = new(7, 11, 13);

    public static TheoryData<DType, int> TypesAndOffsets => new()
    {
        { DType.Float32, 0 }, { DType.Float32, 3 }, { DType.BFloat16, 0 }, { DType.BFloat16, 1 },
    };

    [SkippableTheory]
    [MemberData(nameof(TypesAndOffsets))]
    public void ResamplingOfAnyWindowAgreesWithReference(DType type, int offset)
    {
        // Whole windows and windows that the border cuts, channels of whole 16 bytes and others, one factor of 1.
        foreach (var g in (ResampleGeometry[])[new(2, 4, 6, 16, 2, 2), new(2, 5, 7, 8, 2, 3), new(1, 6, 4, 3, 2, 1)])
            Compare(type, offset, 4, arrays => RunResampling(arrays, g));
    }

    [SkippableTheory]
    [MemberData(nameof(TypesAndOffsets))]
    public void IndexingOfAnyWindowAgreesWithReference(DType type, int offset)
    {
        // Rows that are packed, of single elements, and of more packs than a block has threads; more indices than it looks at at a time.
        foreach (var g in (GatherGeometry[])[new(1, 10, 64, 300), new(1, 3, 5, 129), new(1, 2, 1100, 5), new(1, 4, 16, 0)])
            Compare(type, offset, Math.Max(1, g.Count / g.Rows), arrays => RunIndexing(arrays, g));
    }

    [SkippableTheory]
    [MemberData(nameof(TypesAndOffsets))]
    public void DropoutOfAnyWindowKeepsTheSameElements(DType type, int offset) => Compare(type, offset, 1, arrays =>
    {
        Storage x = arrays.Random(301), y = arrays.Empty(301);
        arrays.Device.Dropout(s_state, 0.4, x, y);
        return new() { ["dropout"] = arrays.Read(y) };
    });

    /// <summary>Samples of whole fours, and samples that begin within one.</summary>
    [SkippableTheory]
    [InlineData(0, 64)]
    [InlineData(0, 27)]
    [InlineData(3, 64)]
    public void NoiseSchedulesOfAnyWindowAgreeWithReference(int offset, int size) =>
        Compare(DType.Float32, offset, size, arrays => RunDiffusion(arrays, 5, size));

    /// <summary>A window is read or written by one thread, so no pixel is touched twice: small + large image, in whole sectors.</summary>
    [SkippableTheory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void ResamplingTouchesEveryPixelOnceIn16Bytes(DType type)
    {
        using var traffic = new KernelTraffic();
        var g = new ResampleGeometry(2, 8, 8, 64, 2, 2);
        RunResampling(new KernelArrays(traffic.Device, type), g);
        string suffix = type == DType.BFloat16 ? "bf16" : "f32";
        long image = 2 * 8 * 8 * 64 * type.Size();
        foreach (var (kernel, read, written) in ((string, long, long)[])
            [("upsample_nearest", image, 4 * image), ("pool_sum", image, image / 4), ("pool_sum_grad", image / 4, image)])
        {
            var moved = traffic.Of($"resampling_{kernel}_packed_{suffix}");
            Assert.Equal((read, written, 512.0), (moved.Loads.Bytes, moved.Stores.Bytes, moved.BytesPerRequest));
        }
    }

    /// <summary>
    /// Rows go by 16 bytes. The gradient reads gy and writes gx once and the indices once for each row of the table, 128 comparisons at a
    /// time: 4 instructions of a warp, where every element of gx looking for itself would take count for each 32 elements.
    /// </summary>
    [SkippableTheory]
    [InlineData(DType.Float32)]
    [InlineData(DType.BFloat16)]
    public void EmbeddingsMoveRowsOnceAndGradientsLookAtIndicesOnceARow(DType type)
    {
        using var traffic = new KernelTraffic();
        const int rows = 10, inner = 256, count = 128;
        RunIndexing(new KernelArrays(traffic.Device, type), new GatherGeometry(1, rows, inner, count));
        string suffix = type == DType.BFloat16 ? "bf16" : "f32";
        long all = (long)count * inner * type.Size();
        var forward = traffic.Of("indexing_embedding_b128");
        Assert.Equal(all, forward.Stores.Bytes);
        // Every warp reads its index too: a sector.
        Assert.Equal(all + all / 512 * 32, forward.Loads.Bytes);

        var gradient = traffic.Of($"indexing_embedding_grad_packed_{suffix}");
        Assert.Equal(rows * inner * type.Size(), gradient.Stores.Bytes);
        Assert.Equal(all + rows * count * sizeof(int), gradient.Loads.Bytes);
    }

    /// <summary>
    /// 16 bytes a lane for the arrays; each request for a number of a sample is a sector of its own, 32 bytes beside the 512 of a warp's share
    /// of an array.
    /// </summary>
    [SkippableFact]
    public void NoiseSchedulesAndRandomNumbersMoveEveryElementOnceIn16Bytes()
    {
        using var traffic = new KernelTraffic();
        var arrays = new KernelArrays(traffic.Device, DType.Float32);
        const int samples = 4, size = 1024, n = samples * size;
        RunDiffusion(arrays, samples, size);
        const long array = n * sizeof(float), number = array / 512 * 32;
        foreach (var (kernel, loads, numbers, stores) in ((string, int, int, int)[])
            [("diffusion_forward", 1, 2, 2), ("diffusion_step", 2, 0, 1), ("diffusion_weighted_mse_grad", 2, 2, 1)])
        {
            var moved = traffic.Of($"{kernel}_f32");
            Assert.Equal((loads * array + numbers * number, stores * array), (moved.Loads.Bytes / moved.Launches, moved.Stores.Bytes / moved.Launches));
        }
        Assert.Equal(2 * array, traffic.Of("diffusion_squared_error_f32").Loads.Bytes);

        var device = traffic.Device;
        Storage x = arrays.Empty(n), i = device.Allocate(DType.Int32, n), half = device.Allocate(DType.BFloat16, n), dropped = device.Allocate(DType.BFloat16, n);
        device.Uniform(s_state, 0, 1, x);
        device.Normal(NormalMethod.BoxMuller, s_state, x);
        device.Normal(NormalMethod.InverseCdf, s_state, x);
        device.Integers(s_state, 0, 10, i);
        device.Fill(half, 1);
        device.Dropout(s_state, 0.5, half, dropped);
        foreach (string kernel in (string[])["random_uniform_f32", "random_normal_f32", "random_normal_inverse_f32", "random_integers_i32"])
        {
            var moved = traffic.Of(kernel);
            Assert.Equal((0L, array, 512.0), (moved.Loads.Bytes, moved.Stores.Bytes, moved.BytesPerRequest));
        }
        var dropout = traffic.Of("random_dropout_bf16");
        Assert.Equal((array / 2, array / 2, 512.0), (dropout.Loads.Bytes, dropout.Stores.Bytes, dropout.BytesPerRequest));
    }

    /// <summary>
    /// Per parameter 28 bytes, 36 with the average where two launches take 40; momentum 20, the average and accumulation 12. Learning rates
    /// and norms come from parameters and the cache: a sector for each warp that has 512 bytes of an array.
    /// </summary>
    [SkippableFact]
    public void OptimizersTouchEveryArrayOnceIn16Bytes()
    {
        const int n = 4096;
        Dictionary<string, KernelTraffic.Moved> Run(Storage? average, KernelArrays arrays, KernelTraffic traffic)
        {
            var device = traffic.Device;
            Storage p = arrays.Random(n), g = arrays.Random(n), m = arrays.Random(n), v = arrays.Random(n);
            device.AdamW(new AdamWStep(0.01, 0.9, 0.99, 1e-8, 0.1, true, 0.1, 0.01), p, g, m, v, null, 0, average, 0.9);
            device.Sgd(new SgdStep(0.01, 0.9, 0.1, false, false), p, g, m, null, 0);
            device.Ema(0.9, p, m);
            device.Accumulate(g, m);
            return ((string[])["adamw", "sgd", "ema", "accumulate"]).ToDictionary(name => name, name => traffic.Of($"optimizer_{name}_f32"));
        }
        using var alone = new KernelTraffic();
        foreach (var (name, moved) in Run(null, new KernelArrays(alone.Device, DType.Float32), alone))
        {
            int bytes = name switch { "adamw" => 28, "sgd" => 20, _ => 12 };
            Assert.Equal((bytes * n, 512.0), (moved.Bytes, moved.BytesPerRequest));
        }
        using var together = new KernelTraffic();
        var inOne = new KernelArrays(together.Device, DType.Float32);
        Assert.Equal(36 * n, Run(inOne.Random(n), inOne, together)["adamw"].Bytes);
    }

    /// <summary>Rows of more blocks than the second axis of a grid has, which is 65,535.</summary>
    [SkippableFact]
    public void TheGradientOfAVeryWideTableIsLaunched()
    {
        using var traffic = new KernelTraffic();
        var device = traffic.Device;
        int wide = 65535 * 128 + 1;
        Storage index = device.Allocate(DType.Int32, 1), gy = device.Allocate(DType.Float32, wide), gx = device.Allocate(DType.Float32, wide);
        device.Upload([0], index);
        device.Fill(gy, 3);
        device.EmbeddingGrad(new GatherGeometry(1, 1, wide, 1), gy, index, gx);
        var y = new float[wide];
        device.Download(gx, y);
        Assert.Equal(-1, Array.FindIndex(y, value => value != 3));
    }

    private static void Compare(DType type, int offset, int terms, Func<KernelArrays, Dictionary<string, double[]>> run)
    {
        var arrays = new KernelArrays(Emulated.Plain.Device, type, offset);
        var actual = run(arrays);
        foreach (var (what, expected) in run(new KernelArrays(Device.Reference, type)))
            KernelArrays.AssertClose(what, type, terms, actual[what], expected);
        arrays.AssertNothingElseWritten();
    }

    private static Dictionary<string, double[]> RunResampling(KernelArrays arrays, ResampleGeometry g)
    {
        var device = arrays.Device;
        int size = g.Batch * g.Height * g.Width * g.Channels, small = g.Batch * (g.Height / g.FactorHeight) * (g.Width / g.FactorWidth) * g.Channels;
        Storage x = arrays.Random(size), gy = arrays.Random(small);
        Storage larger = arrays.Empty(size * g.FactorHeight * g.FactorWidth), pooled = arrays.Empty(small), gx = arrays.Empty(size);
        device.UpsampleNearest(g, x, larger);
        device.PoolSum(g, 0.25, x, pooled);
        device.PoolSumGrad(g, 0.25, gy, gx);
        return new() { ["upsample"] = arrays.Read(larger), ["pool"] = arrays.Read(pooled), ["pool's gradient"] = arrays.Read(gx) };
    }

    private static Dictionary<string, double[]> RunIndexing(KernelArrays arrays, GatherGeometry g)
    {
        var device = arrays.Device;
        Storage x = arrays.Random(g.Rows * g.Inner), index = arrays.Indices(g.Count, g.Rows), each = arrays.Indices(g.Count * g.Inner, g.Rows);
        Storage gy = arrays.Random(g.Count * g.Inner), taken = arrays.Empty(gy.Length), gathered = arrays.Empty(gy.Length);
        Storage gx = arrays.Empty(x.Length), gatherGrad = arrays.Empty(x.Length), oneHot = arrays.EmptyFloats(g.Count * g.Rows);
        device.Embedding(g, x, index, taken);
        device.EmbeddingGrad(g, gy, index, gx);
        device.Gather(g, x, each, gathered);
        device.GatherGrad(g, gy, each, gatherGrad);
        device.OneHot(g.Count, g.Rows, index, oneHot);
        return new()
        {
            ["embedding"] = arrays.Read(taken), ["its gradient"] = arrays.Read(gx), ["gather"] = arrays.Read(gathered),
            ["gather's gradient"] = arrays.Read(gatherGrad), ["one hot"] = arrays.Read(oneHot),
        };
    }

    private static Dictionary<string, double[]> RunDiffusion(KernelArrays arrays, int samples, int size)
    {
        var device = arrays.Device;
        int n = samples * size;
        Storage x0 = arrays.Random(n), eps = arrays.Random(n), alpha = arrays.Random(samples), sigma = arrays.Random(samples), weights = arrays.Random(samples);
        Storage xt = arrays.Empty(n), noise = arrays.Empty(n), next = arrays.Empty(n), losses = arrays.Empty(samples), gx = arrays.Empty(n);
        device.ForwardDiffusion(samples, size, s_state, x0, alpha, sigma, xt, noise);
        device.DiffusionStep(new DiffusionStepCoefficients(1.1, 0.3, 1, 0.5, 0.4, 0.2, 0.7), s_state, x0, eps, next);
        device.WeightedMse(samples, size, x0, eps, weights, losses);
        device.WeightedMseGrad(samples, size, x0, eps, weights, alpha, gx);
        return new()
        {
            ["x_t"] = arrays.Read(xt), ["noise"] = arrays.Read(noise), ["step"] = arrays.Read(next), ["losses"] = arrays.Read(losses),
            ["gradient"] = arrays.Read(gx),
        };
    }
}
