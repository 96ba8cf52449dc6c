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
    private static readonly Emulated s_hopper = new(computeCapability: 90);

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void RungsAgreeWithReference(string rung, Precision precision, string shape) => Check.Passes(Compare(s_hopper, rung, precision, Row(shape)));

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
