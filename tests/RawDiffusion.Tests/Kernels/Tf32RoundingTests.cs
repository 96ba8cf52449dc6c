using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// Tensor cores look at 10 of the 23 fraction bits of a factor in tf32. The kernels round to them first, to nearest and halves away from
/// zero: so products have half the error of cutting the rest off, and no bias. Tf32's tolerance holds either; this holds what comes out
/// against products of rounded factors, of which only the rounding of sums is left.
/// </summary>
public class Tf32RoundingTests
{
    private const int Share = 5, LongestSum = 160;

    // No other test may ask for rungs on it meanwhile.
    private static readonly Emulated s_emulated = new();

    public static TheoryData<string, string> All
    {
        get
        {
            var all = new TheoryData<string, string>();
            foreach (var rung in Rungs)
                all.Add(rung.Operation, rung.Name);
            return all;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(All))]
    public void FactorsAreRoundedToNearest(string operation, string name)
    {
        TestNvrtc.Require();
        var rung = Ladders.Find(operation)![name];
        var device = s_emulated.Device;
        int computed = 0;
        foreach (var row in RowsOf(rung).Where((_, i) => i % Share == 0))
        {
            if (Compare(row, device, rung) is not { } result)
                continue;
            Check.Passes(result);
            computed++;
        }
        Assert.InRange(computed, 5, int.MaxValue);
    }

    /// <summary>All rows of all such rungs.</summary>
    internal static IEnumerable<Probe> Probes => Rungs.SelectMany(rung => RowsOf(rung).Select(row =>
        new Probe($"rounding of {rung}", $"rounding of {row} by {rung}", device => Compare(row, device, rung))));

    // Attention rounds probabilities too, which are not known before.
    private static IEnumerable<Rung> Rungs => Ladders.All.SelectMany(ladder => ladder.Rungs)
        .Where(rung => rung.Precision == Precision.Tf32 && !rung.Operation.StartsWith("attention", StringComparison.Ordinal));

    /// <summary>Products of two inputs and nothing else: a bias is not rounded, and SiLU's derivative comes into a factor before it is.</summary>
    private static IEnumerable<OperationCase> RowsOf(Rung rung) => RungTests.RowsOf(rung.Operation, rung.Precision)
        .Where(row => row.Inputs.Length == 2 && !row.Description.Contains("silu", StringComparison.Ordinal)
            && Math.Max(row.ReductionLength, row.GradientReductionLength) is > 3 and <= LongestSum);

    private static CheckResult? Compare(OperationCase row, CudaBackend device, Rung rung)
    {
        int which = rung.Operation.EndsWith("GradInput", StringComparison.Ordinal) ? 0 : rung.Operation.EndsWith("GradWeight", StringComparison.Ordinal) ? 1 : -1;
        try
        {
            double[] expected = Run(row, Device.Reference, which, isRounded: true);
            using var use = device.Use(rung);
            double[] actual = Run(row, device, which, isRounded: false);
            // Each addition of a tensor core cuts below 2^-23 of its largest term; terms are below 16.
            return new Tolerance(1e-5 + 4e-6 * Math.Max(row.ReductionLength, row.GradientReductionLength), 0).Compare($"rounding of {row} by {rung}", actual, expected);
        }
        catch (NotSupportedException)
        {
            return null;
        }
        catch (Exception e)
        {
            return CheckResult.Failed($"rounding of {row} by {rung}: {e}");
        }
    }

    /// <summary>The output, or the gradient of an input.</summary>
    private static double[] Run(OperationCase row, Backend device, int gradientOf, bool isRounded)
    {
        using var scope = new MemoryScope();
        Tensor[] inputs = [.. row.Inputs.Select((spec, i) => Make(CaseInputs.Values(row, i), spec.Shape))];
        if (gradientOf < 0)
            return Read(row.Run(inputs));
        inputs[gradientOf].RequireGrad();
        var y = row.Run(inputs);
        var cotangent = Make(CaseInputs.Normals(row, CaseInputs.CotangentStream, y.Count), y.Shape);
        return Read(Autograd.Grad(y, [inputs[gradientOf]], cotangent)[0]!);

        Tensor Make(double[] values, Shape shape) => Tensor.From(isRounded ? Array.ConvertAll(values, Round) : values, shape, device);

        double[] Read(Tensor tensor)
        {
            double[] values = tensor.ToDoubleArray();
            device.Synchronize();
            return values;
        }
    }

    /// <summary>To 10 fraction bits: adding half of the last of them lets the carry do it.</summary>
    private static double Round(double x) =>
        BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits((float)x) + 0x1000) & 0xFFFFE000);
}
