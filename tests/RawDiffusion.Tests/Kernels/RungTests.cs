using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// Every rung of every ladder computes its operation: the rows of the table, forward and gradients, with the rung forced, on the emulator in
/// checked mode and with the tolerance of the rung's precision. The same for all ladders: a new one needs no test of its own. Each rung meets
/// the largest rows, those without elements and a share of the others; the rungs of a ladder take turns, so together they meet all.
/// </summary>
public class RungTests
{
    private const int LargestRows = 12, Share = 8;

    // No other test may ask for rungs on it meanwhile.
    private static readonly Emulated s_emulated = new();

    private const string Gradient = "Grad";

    public static TheoryData<string, string> All
    {
        get
        {
            var all = new TheoryData<string, string>();
            foreach (var rung in Ladders.All.SelectMany(ladder => ladder.Rungs))
                all.Add(rung.Operation, rung.Name);
            return all;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(All))]
    public void EveryRungComputesItsOperation(string operation, string name)
    {
        TestNvrtc.Require();
        var ladder = Ladders.Find(operation)!;
        var rung = ladder[name];
        int turn = ladder.Rungs.ToList().IndexOf(rung);
        var rows = RowsOf(operation, rung.Precision).OrderByDescending(row => row.Inputs.Sum(input => (long)input.Shape.Count))
            .Where((row, i) => i < LargestRows || i % Share == turn % Share || row.Inputs.Any(input => input.Shape.Count == 0)).ToList();
        int computed = 0;
        var device = s_emulated.Device;
        using (device.Use(rung))
        {
            foreach (var row in rows)
            {
                if (Compare(row, device, rung) is not { } result)
                    continue;
                Check.Passes(result);
                computed++;
            }
        }
        // A rung may be for plain layouts alone, which are about a quarter of the rows; not for less.
        Assert.InRange(computed, Math.Max(1, rows.Count / 5), rows.Count);
    }

    /// <summary>The rows by which an operation, or that of which it is the gradient, is verified.</summary>
    internal static IEnumerable<OperationCase> RowsOf(string operation, Precision precision)
    {
        string name = operation.Split(Gradient)[0];
        if (name == "attention")
            name = "scaledDotProductAttention";
        return OperationTable.All.Where(row => row.Operation == name && (name, precision) switch
        {
            // A single key has gradients of zero by cancellation, and scores of several tens make of tf32's 2^-11 per cent in their
            // exponentials: neither can be held against a kernel in tf32. AttentionRungTests have its shapes.
            ("scaledDotProductAttention", Precision.Tf32) => row.Inputs[^1].Shape[-3] > 1 && !row.Description.Contains("scale 4", StringComparison.Ordinal),
            _ => true,
        });
    }

    /// <summary>A row by a rung that the device has been told to use; null where the rung is not for its shape.</summary>
    internal static CheckResult? Compare(OperationCase row, CudaBackend device, Rung rung)
    {
        var result = CaseVerifier.CompareWithReference(row, device, rung.Precision);
        // Gradients may need a layout that the rung refuses; then the forward pass alone can be asked for.
        if (IsRefusal(result) && !rung.Operation.Contains(Gradient, StringComparison.Ordinal))
            result = CaseVerifier.CompareWithReference(row with { Differentiable = false }, device, rung.Precision);
        return IsRefusal(result) ? null : result;
    }

    private static bool IsRefusal(CheckResult result) => result.Failure?.Contains(nameof(NotSupportedException), StringComparison.Ordinal) == true;
}
