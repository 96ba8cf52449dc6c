using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests.Kernels;

/// <summary>Every rung of attention and of its gradient computes what Reference does, on shapes around each border of its tiles.</summary>
public class AttentionRungTests
{
    private static readonly (Rung Forward, Rung Backward, Precision Precision)[] s_rungs =
    [
        (AttentionLadder.Naive, AttentionLadder.NaiveGrad, Precision.Float32),
        (AttentionLadder.Naive, AttentionLadder.NaiveGrad, Precision.BFloat16),
        (AttentionLadder.Flash, AttentionLadder.FlashGrad, Precision.Float32),
        (AttentionLadder.Flash, AttentionLadder.FlashGrad, Precision.BFloat16),
        (AttentionLadder.TensorTf32, AttentionLadder.TensorTf32Grad, Precision.Tf32),
        (AttentionLadder.TwoStripsTf32, AttentionLadder.TensorTf32Grad, Precision.Tf32),
        (AttentionLadder.TensorBFloat16, AttentionLadder.TensorBFloat16Grad, Precision.BFloat16),
        (AttentionLadder.TwoStripsBFloat16, AttentionLadder.TensorBFloat16Grad, Precision.BFloat16),
    ];

    // Batch, queries, keys, heads, head size. Lengths around one strip, one tile and one block; head sizes that fill a kernel's and others.
    private static readonly (int Batch, int Queries, int Keys, int Heads, int Dim)[] s_shapes =
    [
        (1, 1, 1, 1, 16), (1, 5, 49, 2, 16), (2, 49, 49, 1, 64), (1, 64, 64, 1, 32), (1, 77, 130, 1, 24), (1, 130, 77, 2, 40),
        (1, 64, 5, 1, 80), (1, 49, 77, 1, 128), (1, 130, 5, 1, 128), (1, 5, 130, 1, 160), (1, 49, 64, 1, 256), (1, 77, 16, 1, 256),
    ];

    public static TheoryData<string, Precision, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, Precision, string>();
            foreach (var (forward, _, precision) in s_rungs)
            {
                foreach (var shape in s_shapes)
                {
                    if (shape.Dim <= 64 || !forward.Name.StartsWith("two-strips", StringComparison.Ordinal))
                        cases.Add(forward.Name, precision, shape.ToString());
                }
            }
            return cases;
        }
    }

    // An H100: gradients of heads of 256 elements in tf32 need its shared memory.
    private static readonly Emulated s_hopper = new(computeCapability: 90), s_shuffled = new(scheduleSeed: 7, computeCapability: 90),
        s_perturbed = new(approximationSeed: 1, computeCapability: 90);

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void RungsAgreeWithReference(string rung, Precision precision, string shape) => Check.Passes(Compare(s_hopper, rung, precision, Row(shape)));

    /// <summary>Scores of any sign and size: a negative scale, none, and results of inexact instructions off by what is documented.</summary>
    [SkippableTheory]
    [InlineData("tensor-tf32", Precision.Tf32)]
    [InlineData("tensor-bf16", Precision.BFloat16)]
    [InlineData("two-strips-bf16", Precision.BFloat16)]
    public void ScalesOfAnySignAndInexactInstructionsAreAllowedFor(string rung, Precision precision)
    {
        foreach (double scale in (double[])[-0.25, 0, 0.25])
            Check.Passes(Compare(s_perturbed, rung, precision, Row(1, 17, 70, 1, 16, scale)));
    }

    /// <summary>The order of blocks and warps changes no bit, and no hazard hides behind the usual one.</summary>
    [SkippableTheory]
    [InlineData("tensor-tf32", DType.Float32)]
    [InlineData("tensor-bf16", DType.BFloat16)]
    public void AnyOrderOfBlocksAndWarpsGivesTheSameBits(string rung, DType type)
    {
        var generator = new Generator(5);
        var values = Enumerable.Range(0, 4).Select(_ => Tensor.Randn(generator, [1, 140, 2, 64], device: Device.Reference).ToArray()).ToArray();
        var expected = Run(s_hopper, rung, type, [1, 140, 2, 64], values);
        Assert.Equal(expected, Run(s_shuffled, rung, type, [1, 140, 2, 64], values));
    }

    /// <summary>
    /// Scores of four million take all the weight, so the result is the value and its gradient the result's; scores of minus four million,
    /// all alike, share it.
    /// </summary>
    [SkippableTheory]
    [InlineData("naive", DType.Float32)]
    [InlineData("flash", DType.Float32)]
    [InlineData("flash", DType.BFloat16)]
    [InlineData("tensor-tf32", DType.Float32)]
    [InlineData("tensor-bf16", DType.BFloat16)]
    public void ExtremeScoresGiveNumbers(string rung, DType type)
    {
        const int length = 49, dim = 64;
        float[] diagonal = new float[length * dim], values = new float[length * dim], ones = new float[length * dim];
        for (int i = 0; i < length; i++)
            diagonal[i * dim + i] = 2048;
        for (int i = 0; i < values.Length; i++)
            (values[i], ones[i]) = (i % 7 - 3, 1);
        Shape shape = [1, length, 1, dim];
        var one = Run(s_hopper, rung, type, shape, [diagonal, diagonal, values, values], scale: 1);
        Assert.Equal(values, one[0]);
        Assert.All(one[1].Concat(one[2]), gradient => Assert.Equal(0, gradient));
        Assert.Equal(values, one[3]);

        float[] large = Array.ConvertAll(ones, _ => 256f), opposite = Array.ConvertAll(ones, _ => -256f);
        var even = Run(s_hopper, rung, type, shape, [large, opposite, ones, values], scale: 1);
        Assert.All(even[0], y => Assert.InRange(y, 0.99f, 1.01f));
        Assert.All(even.SelectMany(each => each), value => Assert.True(float.IsFinite(value)));
    }

    /// <summary>What a rung cannot do it says; without force the backend does it by another.</summary>
    [SkippableFact]
    public void RungsRefuseWhatTheyCannotDo()
    {
        Assert.Contains("multiples of 16 bytes", Refusal(s_hopper, "tensor-bf16", DType.BFloat16, 20));
        Assert.Contains("16 elements", Refusal(s_hopper, "tensor-bf16", DType.BFloat16, 264));
        Assert.Contains("16 elements", Refusal(s_hopper, "tensor-tf32", DType.Float32, 8));
        Assert.Contains("16 elements", Refusal(s_hopper, "two-strips-tf32", DType.Float32, 72));
        Assert.Contains("takes bfloat16", Refusal(s_hopper, "tensor-bf16", DType.Float32, 64));
        Assert.Contains("shared memory", Refusal(new Emulated(), "tensor-tf32", DType.Float32, 256));
    }

    private static string Refusal(Emulated emulated, string rung, DType type, int dim)
    {
        float[] values = new float[dim];
        return Assert.Throws<NotSupportedException>(() => Run(emulated, rung, type, [1, 1, 1, dim], [values, values, values, values])).Message;
    }

    /// <summary>The result and the gradients for q, k and v.</summary>
    private static float[][] Run(Emulated emulated, string rung, DType type, Shape shape, float[][] values, double? scale = null)
    {
        var (forward, backward, _) = s_rungs.First(each => each.Forward.Name == rung);
        var device = emulated.Device;
        using var scope = new MemoryScope();
        using (device.Use(forward))
        using (device.Use(backward))
        {
            var t = Array.ConvertAll(values, each => Tensor.From(each, shape, device).To(type));
            Tensor q = t[0].RequireGrad(), k = t[1].RequireGrad(), v = t[2].RequireGrad();
            var y = F.ScaledDotProductAttention(q, k, v, scale);
            var gradients = Autograd.Grad(y, [q, k, v], t[3]);
            return [y.ToArray(), .. gradients.Select(each => each!.ToArray())];
        }
    }

    private static CheckResult Compare(Emulated emulated, string name, Precision precision, OperationCase row)
    {
        var (forward, backward, _) = s_rungs.Single(each => each.Forward.Name == name && each.Precision == precision);
        var device = emulated.Device;
        using (device.Use(forward))
        using (device.Use(backward))
            return CaseVerifier.CompareWithReference(row, device, precision);
    }

    private static OperationCase Row(string shape)
    {
        var (batch, queries, keys, heads, dim) = s_shapes.Single(each => each.ToString() == shape);
        return Row(batch, queries, keys, heads, dim);
    }

    private static OperationCase Row(int batch, int queries, int keys, int heads, int dim, double? scale = null) => new()
    {
        Operation = "scaledDotProductAttention",
        Description = $"q [{batch}, {queries}, {heads}, {dim}] k [{batch}, {keys}, {heads}, {dim}]",
        Inputs =
        [
            InputSpec.Normal(batch, queries, heads, dim),
            InputSpec.Normal(batch, keys, heads, dim),
            InputSpec.Normal(batch, keys, heads, dim),
        ],
        Run = t => F.ScaledDotProductAttention(t[0], t[1], t[2], scale),
        ReductionLength = Math.Max(keys, dim),
        GradientReductionLength = Math.Max(Math.Max(keys, queries), dim),
    };
}
