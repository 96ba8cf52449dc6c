using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

public class NormalizationTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    [Theory]
    [MemberData(nameof(Devices))]
    public void EveryGroupOfEverySampleHasMeanZeroAndVarianceOne(string name)
    {
        const int groups = 4, perGroup = 3;
        var y = F.GroupNorm(TestTensors.Random(1, [3, 5, 7, groups * perGroup], Device.Parse(name)), groups, eps: 0).Reshape(3, 35, groups, perGroup);
        // 105 values of size 1 with float32 rounding of 6e-8 each: a mean within 1e-6, a variance within a few times that.
        Assert.All(y.Mean([1, 3]).ToArray(), mean => Assert.Equal(0, mean, 1e-6f));
        Assert.All(y.Square().Mean([1, 3]).ToArray(), variance => Assert.Equal(1, variance, 4e-6f));
    }

    /// <summary>E[x^2] - E[x]^2 in float32 would have nothing left: 4096^2 has an ulp of 2, the variance is 1.</summary>
    [Theory]
    [InlineData(1, 8)]
    [InlineData(1, 64)]
    [InlineData(17, 32)]
    public void AMeanFarLargerThanTheDeviationDoesNotSpoilTheVariance(int batch, int channels)
    {
        var values = new float[batch * 28 * 28 * channels];
        for (int i = 0; i < values.Length; i++)
            values[i] = 4096 + ((i * 7919 >> 3) % 2 == 0 ? 1 : -1);
        var x = Tensor.From(values, [batch, 28, 28, channels], Device.Cpu);
        var exact = x.To(Device.Reference);
        AssertEqual(F.GroupNorm(exact, 8, eps: 0), F.GroupNorm(x, 8, eps: 0));
        AssertEqual(F.LayerNorm(exact, eps: 0), F.LayerNorm(x, eps: 0));

        // The mean itself, near 4096, is rounded by up to 2^-12, and so is the shift.
        static void AssertEqual(Tensor expected, Tensor actual)
        {
            double[] e = expected.ToDoubleArray(), a = actual.ToDoubleArray();
            for (int i = 0; i < e.Length; i++)
                Assert.Equal(e[i], a[i], 1e-3);
        }
    }

    /// <summary>Statistics are taken about the mean of the first rows; rows that have nothing in common with the rest must not matter.</summary>
    [Fact]
    public void AFirstPartUnlikeTheRestDoesNotSpoilTheStatistics()
    {
        var random = new Random(5);
        var values = new float[40 * 40 * 32];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)random.NextDouble() + (i < 6 * 40 * 32 ? -1000 : 1000);
        var x = Tensor.From(values, [1, 40, 40, 32], Device.Cpu);
        TestTensors.AssertClose(F.GroupNorm(x.To(Device.Reference), 4), F.GroupNorm(x, 4), terms: 40 * 40 * 8);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void GroupNormSiluIsSiluOfGroupNorm(string name)
    {
        var device = Device.Parse(name);
        Tensor Leaf(int seed, params int[] shape) => TestTensors.Random(seed, new Shape(shape), device).RequireGrad();
        Tensor x = Leaf(1, 3, 6, 5, 16), weight = Leaf(2, 16), bias = Leaf(3, 16), gy = TestTensors.Random(4, x.Shape, device);
        Tensor fused = F.GroupNormSilu(x, 4, weight, bias), composed = F.Silu(F.GroupNorm(x, 4, weight, bias));
        TestTensors.AssertClose(composed, fused, terms: 30 * 4);
        var expected = Autograd.Grad(composed, [x, weight, bias], gy);
        var actual = Autograd.Grad(fused, [x, weight, bias], gy);
        for (int i = 0; i < 3; i++)
            TestTensors.AssertClose(expected[i]!, actual[i]!, terms: 90);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void SiluOfVeryLargeAndVerySmallValuesIsFinite(string name)
    {
        var device = Device.Parse(name);
        var x = TestTensors.Random(1, [2, 9, 8], device).RequireGrad();
        var weight = Tensor.From([1e4, -1e4, 1e20, -1e20, 88, -88, 0, 1], [8], device).RequireGrad();
        var y = F.GroupNormSilu(x, 1, weight);
        var gradients = Autograd.Grad(y, [x, weight], Tensor.Ones(y.Shape, device));
        foreach (var tensor in (Tensor[])[y, gradients[0]!, gradients[1]!])
            Assert.All(tensor.ToArray(), value => Assert.True(float.IsFinite(value)));
        Assert.All(y.ToArray(), value => Assert.True(value >= -0.2785f));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void LayerNormIsGroupNormOfOneGroupWithoutPositions(string name)
    {
        var x = TestTensors.Random(1, [11, 37], Device.Parse(name));
        TestTensors.AssertClose(F.GroupNorm(x, 1), F.LayerNorm(x), terms: 37);
    }

    [Fact]
    public void AConstantInputGivesTheBias()
    {
        var bias = Tensor.From([1.0, -2, 3, -4], [4]);
        var y = F.GroupNorm(Tensor.Full([2, 50, 4], 0.3), 2, null, bias);
        // rstd is 1 / sqrt(eps) = 316, so 0.3 * 316 is subtracted from itself and leaves its rounding.
        var expected = bias.BroadcastTo([2, 50, 4]);
        Assert.All(y.ToArray().Zip(expected.ToArray()), pair => Assert.Equal(pair.Second, pair.First, 1e-5f));
    }

    [Fact]
    public void NaNSpoilsItsOwnGroupAlone()
    {
        var values = new float[2 * 49 * 16];
        for (int i = 0; i < values.Length; i++)
            values[i] = i % 13;
        values[20 * 16 + 5] = float.NaN;
        float[] y = F.GroupNormSilu(Tensor.From(values, [2, 7, 7, 16]), 4).ToArray();
        for (int i = 0; i < y.Length; i++)
            Assert.Equal(i < 49 * 16 && i % 16 / 4 == 1, float.IsNaN(y[i]));
    }

    [Fact]
    public void WrongShapesAreNamed()
    {
        var x = Tensor.Zeros([2, 3, 3, 6]);
        Assert.Contains("6 channels of x [2, 3, 3, 6] cannot be cut into 4 groups", Assert.Throws<ArgumentException>(() => F.GroupNorm(x, 4)).Message);
        Assert.Contains("groups", Assert.Throws<ArgumentException>(() => F.GroupNorm(x, 0)).Message);
        Assert.Contains("weight has shape [3]", Assert.Throws<ArgumentException>(() => F.GroupNormSilu(x, 2, Tensor.Ones([3]))).Message);
        Assert.Contains("bias has shape [6, 1]", Assert.Throws<ArgumentException>(() => F.LayerNorm(x, null, Tensor.Ones([6, 1]))).Message);
        Assert.Contains("[N, ..., C]", Assert.Throws<ArgumentException>(() => F.GroupNorm(Tensor.Zeros([6]), 2)).Message);
        Assert.Contains("eps is -1", Assert.Throws<ArgumentException>(() => F.LayerNorm(x, eps: -1)).Message);
        Assert.Contains("reference", Assert.Throws<ArgumentException>(() => F.LayerNorm(x, Tensor.Ones([6], Device.Reference))).Message);
    }

    [Fact]
    public void ASecondDerivativeIsRefusedWithItsReason()
    {
        var x = TestTensors.Random(1, [2, 4, 4], Device.Cpu).RequireGrad();
        Assert.Contains("groupNorm has no second derivative", Refusal(() => F.GroupNorm(x, 2)));
        Assert.Contains("groupNormSilu has no second derivative", Refusal(() => F.GroupNormSilu(x, 2)));
        Assert.Contains("layerNorm has no second derivative", Refusal(() => F.LayerNorm(x)));
        string Refusal(Func<Tensor> f) => Assert.Throws<InvalidOperationException>(() => f().Sum().Backward(createGraph: true)).Message;
    }

    [Fact]
    public void AWarmStepTakesNoMemoryFromTheSystem()
    {
        var cpu = new CpuBackend();
        Tensor images = TestTensors.Random(1, [2, 40, 40, 32], cpu).RequireGrad(), rows = TestTensors.Random(2, [300, 65], cpu).RequireGrad();
        Step();
        Step();
        var warm = cpu.Statistics;
        Step();
        Assert.Equal(warm, cpu.Statistics);

        void Step()
        {
            using var scope = new MemoryScope();
            var loss = F.GroupNormSilu(images, 8).Mean() + F.LayerNorm(rows).Mean();
            loss.Backward();
            images.ZeroGrad();
            rows.ZeroGrad();
        }
    }
}
