using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// Every rung of group norm in float32 and bfloat16 against Reference, for every way of cutting groups into packs and pixels into parts,
/// in windows that begin anywhere; and what each rung moves.
/// </summary>
public class GroupNormKernelTests
{
    // Its own: to force a rung is to force it on all who share the device.
    private static readonly Emulated s_emulated = new();

    private static readonly (int Offset, GroupNormGeometry Geometry)[] s_shapes =
    [
        // Groups of 1, 2, 3 and 32 channels: packs hold several groups, parts of groups, and groups straddle packs.
        (0, new(2, 20, 32, 32, 1e-5)), (0, new(2, 30, 16, 8, 1e-5)), (0, new(1, 25, 48, 16, 1e-5)), (0, new(2, 17, 64, 2, 1e-5)),
        // One pixel; one group; packs that are not a power of two; a row of them that is no warp.
        (0, new(3, 1, 32, 4, 1e-5)), (0, new(2, 9, 8, 1, 1e-5)), (0, new(1, 40, 96, 2, 1e-5)), (0, new(2, 33, 136, 1, 1e-5)),
        // More pixels than the gradient's registers hold, and than those of the forward pass.
        (0, new(1, 1100, 16, 4, 1e-5)), (0, new(1, 2100, 16, 2, 1e-5)), (0, new(1, 300, 64, 1, 1e-5)),
        // More groups of a slab than threads of a block.
        (0, new(2, 5, 64, 64, 1e-5)),
        // Channels that are not whole packs, and windows that begin in the middle of one.
        (0, new(2, 9, 33, 11, 1e-5)), (0, new(2, 50, 12, 4, 1e-5)), (1, new(2, 30, 16, 8, 1e-5)), (3, new(1, 25, 48, 16, 1e-5)),
    ];

    public static TheoryData<string, DType, int> Rungs
    {
        get
        {
            var data = new TheoryData<string, DType, int>();
            foreach (string rung in (string[])["", .. NormLadders.GroupNorm.Rungs.Select(rung => rung.Name)])
            {
                foreach (var type in (DType[])[DType.Float32, DType.BFloat16])
                {
                    for (int i = 0; i < s_shapes.Length; i++)
                        data.Add(rung, type, i);
                }
            }
            return data;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Rungs))]
    public void EveryRungAgreesWithReferenceOrSaysWhyItCannot(string rung, DType type, int shape)
    {
        var (offset, g) = s_shapes[shape];
        var arrays = new KernelArrays(s_emulated.Device, type, offset);
        var reference = new KernelArrays(Device.Reference, type);
        foreach (bool silu in g.Spatial > 1000 ? [shape % 2 == 0] : new[] { false, true })
        {
            var expected = Run(reference, g, silu, mean: 0);
            Dictionary<string, double[]> actual;
            using (Use(rung, silu))
            {
                try
                {
                    actual = Run(arrays, g, silu, mean: 0);
                }
                catch (NotSupportedException e) when (rung is "split" or "one-pass")
                {
                    Assert.Contains("whole packs of 16 bytes", e.Message);
                    // Not for want of trying: a pack is out of reach, or the pixels are too many.
                    Assert.True(offset % 4 != 0 || g.Channels * type.Size() % 16 != 0 || (rung == "one-pass" && g.Spatial >= 300), e.Message);
                    return;
                }
            }
            foreach (var (what, values) in actual)
                KernelArrays.AssertClose($"{what} of {g}", type, g.Spatial * Math.Max(g.Batch, g.Channels / g.Groups), values, expected[what]);
        }
        arrays.AssertNothingElseWritten();
    }

    /// <summary>With a mean of a thousand deviations a difference of squares would have no digit left.</summary>
    [SkippableTheory]
    [InlineData("naive")]
    [InlineData("split")]
    [InlineData("one-pass")]
    public void ValuesFarFromZeroKeepTheirVariance(string rung)
    {
        var g = new GroupNormGeometry(1, 120, 16, 4, 1e-5);
        var expected = Run(new KernelArrays(Device.Reference, DType.Float32), g, silu: false, mean: 1000);
        using (Use(rung, silu: false))
        {
            var actual = Run(new KernelArrays(s_emulated.Device, DType.Float32), g, silu: false, mean: 1000);
            // Gradients are left out: the sums of gz xhat have the error of the mean, half a unit in the last place of 1000, in every term.
            foreach (string what in (string[])["y", "mean", "rstd"])
                KernelArrays.AssertClose(what, DType.Float32, g.Spatial * 4, actual[what], expected[what]);
        }
    }

    /// <summary>
    /// The ladder in bytes an element: naive reads x three times, and of every sector only what belongs to the group; split reads it
    /// twice, one-pass once, 16 bytes a lane.
    /// </summary>
    [SkippableTheory]
    [InlineData(DType.Float32, 1024, 64, 16)]
    [InlineData(DType.BFloat16, 512, 64, 16)]
    [InlineData(DType.Float32, 49, 64, 8)]
    public void EachRungMovesLessThanTheOneBefore(DType type, int spatial, int channels, int groups)
    {
        var g = new GroupNormGeometry(2, spatial, channels, groups, 1e-5);
        long array = (long)g.Batch * spatial * channels * type.Size();
        string suffix = type == DType.BFloat16 ? "bf16" : "f32";

        var (naive, naiveGrad) = Traffic("naive", "groupnorm_naive_forward", "groupnorm_naive_grad_sums,groupnorm_naive_grad_input");
        int wasted = Math.Max(1, 32 / (channels / groups * type.Size()));
        Assert.True(naive.Bytes >= 4 * array * wasted, $"{naive.Bytes}");
        Assert.True(naiveGrad.Bytes >= (2 + 3 * wasted) * array, $"{naiveGrad.Bytes}");
        Assert.InRange(naive.BytesPerRequest, 0, 128);

        var (split, splitGrad) = Traffic(
            "split", "groupnorm_split_moments,groupnorm_split_apply", "groupnorm_split_grad_sums,groupnorm_split_grad_apply");
        AssertMoved(3, split);
        AssertMoved(5, splitGrad);

        var (whole, wholeGrad) = Traffic("one-pass", "groupnorm_whole_forward", "groupnorm_whole_grad");
        AssertMoved(2, whole);
        AssertMoved(3, wholeGrad);
        // What is not 512 bytes a request are parameters and statistics, and the pixels that leave a warp incomplete.
        Assert.InRange(whole.BytesPerRequest, 330, 512);
        Assert.InRange(wholeGrad.BytesPerRequest, 330, 512);

        void AssertMoved(int times, KernelTraffic.Moved moved)
        {
            // A slab has at most 128 bytes of a pixel's channels. For each of them a warp takes gamma and beta, each sector twice where
            // a lane takes them in two accesses; a block two sums, its groups' four statistics, and a sector for the moments of each.
            long slab = 128 / type.Size(), parameters = moved.Warps * slab * 8 * (type == DType.BFloat16 ? 2 : 1);
            long most = times * array + parameters + moved.Blocks * (slab * 8 + 4 * 32 + groups * 32);
            Assert.InRange(moved.Bytes, times * array, most);
            Assert.Equal(0, moved.BankConflicts);
        }

        (KernelTraffic.Moved Forward, KernelTraffic.Moved Gradient) Traffic(string rung, string forward, string gradient)
        {
            using var traffic = new KernelTraffic();
            using (traffic.Device.Use(NormLadders.GroupNorm[rung]))
                Run(new KernelArrays(traffic.Device, type), g, silu: false, mean: 0);
            return (Of(forward), Of(gradient));

            KernelTraffic.Moved Of(string names)
            {
                var sum = new KernelTraffic.Moved();
                foreach (string name in names.Split(','))
                {
                    var moved = traffic.Of($"{name}_{suffix}");
                    Assert.True(moved.Launches > 0, name);
                    sum.Add(moved);
                }
                return sum;
            }
        }
    }

    /// <summary>Few samples with many pixels are cut into parts until there are blocks for every multiprocessor.</summary>
    [Theory]
    [InlineData(1, 64 * 64, 128, 32)]
    [InlineData(1, 256 * 256, 32, 8)]
    [InlineData(64, 128 * 128, 64, 8)]
    public void ManyPixelsFillALargeGpu(int batch, int spatial, int channels, int groups)
    {
        var g = new GroupNormGeometry(batch, spatial, channels, groups, 1e-5);
        Assert.Null(GroupNormSlabs.Whole(g, DType.Float32, 8));
        var slabs = GroupNormSlabs.Split(g, DType.Float32, 8)!.Value;
        Assert.True(slabs.Grid.Count >= 3 * 132, $"{slabs}");
        Assert.Equal(8, slabs.Block.X);
        Assert.InRange(slabs.Block.Count, 128, 256);
        Assert.True((long)slabs.Parts * slabs.Block.Y * 8 >= spatial);
    }

    /// <summary>The norms of the presets' networks: every pixel's share of a slab is whole sectors, and a multiprocessor has two blocks or more.</summary>
    [Theory]
    [InlineData(28 * 28, 32, 8)]
    [InlineData(14 * 14, 64, 8)]
    [InlineData(7 * 7, 64, 8)]
    [InlineData(32 * 32, 128, 32)]
    [InlineData(16 * 16, 256, 32)]
    [InlineData(4 * 4, 512, 32)]
    public void NormsOfSmallImagesAreOnePass(int spatial, int channels, int groups)
    {
        foreach (var type in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach (int packs in (int[])[8, 4])
            {
                var slabs = GroupNormSlabs.Whole(new(128, spatial, channels, groups, 1e-5), type, packs)!.Value;
                Assert.InRange(slabs.Block.X * 16, 32, 128);
                Assert.True(slabs.Block.Y * packs >= spatial);
                Assert.InRange(slabs.Block.Count, 32, packs == 8 ? 256 : 512);
            }
        }
    }

    /// <summary>
    /// Every norm of the networks for MNIST and CIFAR-10, those after a concatenation included, reads its input once and writes its output
    /// once: statistics from elsewhere, from the convolution that made the input for one, would save none of these bytes. Images of
    /// 64 x 64 need two reads.
    /// </summary>
    [Fact]
    public void StatisticsFromTheConvolutionWouldSaveNothing()
    {
        foreach (var type in (DType[])[DType.Float32, DType.BFloat16])
        {
            foreach (var (side, channels, groups) in ((int, int, int)[])
                [(28, 32, 8), (28, 64, 8), (28, 96, 8), (14, 32, 8), (14, 64, 8), (14, 96, 8), (14, 128, 8), (7, 64, 8), (7, 128, 8),
                 (32, 128, 32), (32, 256, 32), (32, 384, 32), (16, 128, 32), (16, 256, 32), (16, 384, 32), (16, 512, 32), (8, 256, 32), (8, 512, 32), (4, 256, 32), (4, 512, 32)])
            {
                Assert.NotNull(GroupNormSlabs.Whole(new(1, side * side, channels, groups, 1e-5), type, 8));
            }
            Assert.Null(GroupNormSlabs.Whole(new(1, 64 * 64, 64, 8, 1e-5), type, 8));
        }
    }

    private static IDisposable? Use(string rung, bool silu) =>
        rung.Length == 0 ? null : s_emulated.Device.Use((silu ? NormLadders.GroupNormSilu : NormLadders.GroupNorm)[rung]);

    private static Dictionary<string, double[]> Run(KernelArrays a, GroupNormGeometry g, bool silu, double mean)
    {
        int n = g.Batch * g.Spatial * g.Channels;
        Storage x = a.Random(n, mean), gy = a.Random(n), gamma = a.RandomFloats(g.Channels), beta = a.RandomFloats(g.Channels);
        Storage y = a.Empty(n), means = a.EmptyFloats(g.Batch * g.Groups), rstd = a.EmptyFloats(g.Batch * g.Groups);
        Storage gx = a.Empty(n), gGamma = a.EmptyFloats(g.Channels), gBeta = a.EmptyFloats(g.Channels);
        a.Device.GroupNorm(g, silu, x, gamma, beta, y, means, rstd);
        a.Device.GroupNormGrad(g, silu, x, gamma, beta, means, rstd, gy, gx, gGamma, gBeta);
        return new Dictionary<string, double[]>
        {
            ["y"] = a.Read(y), ["mean"] = a.Read(means), ["rstd"] = a.Read(rstd),
            ["gx"] = a.Read(gx), ["gradient of gamma"] = a.Read(gGamma), ["gradient of beta"] = a.Read(gBeta),
        };
    }
}
