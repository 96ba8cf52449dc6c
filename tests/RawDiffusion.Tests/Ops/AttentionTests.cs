using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

public class AttentionTests
{
    public static TheoryData<string> Devices => [.. Device.Names];

    /// <summary>The definition, made of other operations: also what to use where a second derivative is needed.</summary>
    [Theory]
    [InlineData("reference", 2, 5, 9, 3, 4)]
    [InlineData("cpu", 2, 5, 9, 3, 4)]
    [InlineData("cpu", 1, 130, 260, 2, 20)]
    [InlineData("cpu", 20, 49, 49, 1, 16)]
    public void EqualsItsComposition(string name, int batch, int queries, int keys, int heads, int dim)
    {
        var device = Device.Parse(name);
        var q = TestTensors.Random(1, [batch, queries, heads, dim], device).RequireGrad();
        var k = TestTensors.Random(2, [batch, keys, heads, dim], device).RequireGrad();
        var v = TestTensors.Random(3, [batch, keys, heads, dim], device).RequireGrad();
        var gy = TestTensors.Random(4, q.Shape, device);
        var fused = F.ScaledDotProductAttention(q, k, v);
        var composed = F.Softmax(Heads(q).MatMul(Heads(k), transposeB: true) * (1 / Math.Sqrt(dim))).MatMul(Heads(v)).Permute(0, 2, 1, 3);
        int terms = Math.Max(dim, Math.Max(queries, keys));
        TestTensors.AssertClose(composed, fused, terms);
        var expected = Autograd.Grad(composed, [q, k, v], gy);
        var actual = Autograd.Grad(fused, [q, k, v], gy);
        for (int i = 0; i < 3; i++)
            TestTensors.AssertClose(expected[i]!, actual[i]!, terms);

        static Tensor Heads(Tensor x) => x.Permute(0, 2, 1, 3);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void LargeScoresPickTheBestKeyWithoutOverflow(string name)
    {
        var device = Device.Parse(name);
        const int keys = 300;
        var k = new float[keys * 2];
        for (int j = 0; j < keys; j++)
            (k[2 * j], k[2 * j + 1]) = (MathF.Cos(j), MathF.Sin(j));
        // The rising maximum meets every block of keys: the best key for query i is key 40 i.
        var q = new float[7 * 2];
        for (int i = 0; i < 7; i++)
            (q[2 * i], q[2 * i + 1]) = (1e7f * MathF.Cos(40 * i), 1e7f * MathF.Sin(40 * i));
        var y = F.ScaledDotProductAttention(
            Tensor.From(q, [1, 7, 1, 2], device), Tensor.From(k, [1, keys, 1, 2], device), Tensor.From(k, [1, keys, 1, 2], device));
        float[] result = y.ToArray();
        for (int i = 0; i < 7; i++)
        {
            Assert.Equal(MathF.Cos(40 * i), result[2 * i], 1e-3f);
            Assert.Equal(MathF.Sin(40 * i), result[2 * i + 1], 1e-3f);
        }
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void EveryRowIsAWeightedMeanOfTheValues(string name)
    {
        var device = Device.Parse(name);
        foreach (int keys in (int[])[1, 2, 31, 97, 144, 145, 241])
        {
            Tensor q = TestTensors.Random(1, [2, 50, 2, 8], device) * 3, k = TestTensors.Random(2, [2, keys, 2, 8], device);
            float[] y = F.ScaledDotProductAttention(q, k, Tensor.Ones(k.Shape, device)).ToArray();
            Assert.All(y, value => Assert.Equal(1, value, 2e-6f));
        }
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void AHeadSeesOnlyItself(string name)
    {
        var device = Device.Parse(name);
        Tensor q = TestTensors.Random(1, [2, 7, 3, 5], device), k = TestTensors.Random(2, [2, 9, 3, 5], device), v = TestTensors.Random(3, [2, 9, 3, 5], device);
        var y = F.ScaledDotProductAttention(q, k, v);
        for (int head = 0; head < 3; head++)
        {
            var alone = F.ScaledDotProductAttention(q.Slice(2, head, 1), k.Slice(2, head, 1), v.Slice(2, head, 1));
            TestTensors.AssertClose(y.Slice(2, head, 1), alone);
        }
    }

    [Fact]
    public void NaNIsPassedOn()
    {
        var k = TestTensors.Random(1, [1, 20, 1, 4], Device.Cpu);
        float[] spoilt = k.ToArray();
        spoilt[7] = float.NaN;
        float[] y = F.ScaledDotProductAttention(k, Tensor.From(spoilt, k.Shape), k).ToArray();
        Assert.All(y, value => Assert.True(float.IsNaN(value)));
    }

    /// <summary>4,096 x 4,096 scores are 64 MiB; what is held are inputs, outputs, gradients and blocks.</summary>
    [Fact]
    public void ALongSequenceNeedsNoScoreMatrix()
    {
        var cpu = new CpuBackend();
        Tensor q = TestTensors.Random(1, [1, 4096, 1, 8], cpu).RequireGrad(), k = TestTensors.Random(2, q.Shape, cpu).RequireGrad();
        F.ScaledDotProductAttention(q, k, k).Sum().Backward();
        Assert.InRange(cpu.Statistics.BytesHeld, 0, 8 << 20);
    }

    [Fact]
    public void AWarmStepTakesNoMemoryFromTheSystem()
    {
        var cpu = new CpuBackend();
        Tensor q = TestTensors.Random(1, [1, 150, 2, 12], cpu).RequireGrad(), k = TestTensors.Random(2, [1, 230, 2, 12], cpu).RequireGrad();
        Step();
        Step();
        var warm = cpu.Statistics;
        Step();
        Assert.Equal(warm, cpu.Statistics);

        void Step()
        {
            using var scope = new MemoryScope();
            F.ScaledDotProductAttention(q, k, k).Mean().Backward();
            q.ZeroGrad();
            k.ZeroGrad();
        }
    }

    [Fact]
    public void WrongShapesAreNamed()
    {
        Tensor q = Tensor.Zeros([2, 3, 1, 4]), k = Tensor.Zeros([2, 5, 1, 4]);
        Assert.Contains("k has shape [2, 5, 1, 4] and v [2, 3, 1, 4]", Fails(q, k, q));
        Assert.Contains("may differ only in the length", Fails(Tensor.Zeros([1, 3, 1, 4]), k, k));
        Assert.Contains("may differ only in the length", Fails(Tensor.Zeros([2, 3, 4, 1]), k, k));
        Assert.Contains("[B, T, H, D]", Fails(Tensor.Zeros([2, 3, 4]), k, k));
        Assert.Contains("has no element to attend to", Fails(q, Tensor.Zeros([2, 0, 1, 4]), Tensor.Zeros([2, 0, 1, 4])));
        static string Fails(Tensor q, Tensor k, Tensor v) => Assert.Throws<ArgumentException>(() => F.ScaledDotProductAttention(q, k, v)).Message;
    }

    [Fact]
    public void ASecondDerivativeIsRefusedWithItsReason()
    {
        var q = TestTensors.Random(1, [1, 3, 1, 4], Device.Cpu).RequireGrad();
        var error = Assert.Throws<InvalidOperationException>(() => F.ScaledDotProductAttention(q, q, q).Sum().Backward(createGraph: true));
        Assert.Contains("scaledDotProductAttention has no second derivative", error.Message);
    }
}
