using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda.Ladders;

namespace RawDiffusion.Verification.Bench;

/// <summary>What to benchmark.</summary>
/// <param name="Cases">Operations with their cases.</param>
/// <param name="Variants">Names of rungs, <see cref="BenchRow.Chosen"/> or <see cref="BenchRow.Cublas"/>; empty: all.</param>
/// <param name="Precisions">In which each is computed, where the operation and the device know it.</param>
public sealed record BenchPlan(
    IReadOnlyList<(BenchOperation Operation, BenchCase Case)> Cases, IReadOnlyCollection<string> Variants, IReadOnlyList<Precision> Precisions)
{
    public bool Wants(string variant) => Variants.Count == 0 || Variants.Contains(variant);
}

/// <summary>Computes every case in every way, compares the results with those of a device that is trusted, and measures what is right.</summary>
public sealed class BenchRunner(BenchTarget target)
{
    /// <summary>The most operations and elements that Reference, which is slow, is asked to compute for a comparison.</summary>
    private const double ReferenceFlops = 3e8, ReferenceElements = 4.2e6;

    /// <summary>Two devices differ by the rounding of both.</summary>
    private const double ToleranceFactor = 2;

    /// <summary>Convolutions by Winograd's method, which the CPU takes, lose another digit.</summary>
    private const double ConvolutionFactor = 8;

    private readonly Dictionary<string, CheckResult> _small = [];

    /// <summary>One row after the other.</summary>
    public IEnumerable<BenchRow> Run(BenchPlan plan)
    {
        foreach (var (operation, benchCase) in plan.Cases)
        {
            var data = new BenchData(benchCase);
            foreach (var precision in plan.Precisions)
            {
                if (!Computes(operation, precision))
                    continue;
                if (plan.Wants(BenchRow.Chosen))
                    yield return Measure(operation, data, precision, null);
                foreach (var rung in target.Rungs(operation.Name))
                {
                    if (rung.Precision == precision && plan.Wants(rung.Name))
                        yield return Measure(operation, data, precision, rung);
                }
                if (plan.Wants(BenchRow.Cublas) && benchCase.Product is not null && target.HasCublas)
                    yield return MeasureCublas(operation, data, precision);
            }
        }
    }

    /// <summary>How many rows <see cref="Run"/> makes.</summary>
    public int Count(BenchPlan plan) => plan.Cases.Sum(each => plan.Precisions.Where(precision => Computes(each.Operation, precision)).Sum(precision =>
        (plan.Wants(BenchRow.Chosen) ? 1 : 0) + target.Rungs(each.Operation.Name).Count(rung => rung.Precision == precision && plan.Wants(rung.Name))
        + (plan.Wants(BenchRow.Cublas) && each.Case.Product is not null && target.HasCublas ? 1 : 0)));

    private bool Computes(BenchOperation operation, Precision precision) => target.Device.Precisions.Contains(precision) && precision switch
    {
        Precision.Tf32 => operation.IsProduct,
        Precision.BFloat16 => operation.HasBFloat16,
        _ => true,
    };

    private BenchRow Measure(BenchOperation operation, BenchData data, Precision precision, Rung? rung)
    {
        var row = Row(data.Case, rung?.Name ?? BenchRow.Chosen, precision) with { What = rung?.What };
        return Guard(row, () =>
        {
            var device = target.Device;
            using var forced = rung is null ? null : target.Use(rung);
            bool before = device.AllowTf32;
            try
            {
                device.AllowTf32 = precision == Precision.Tf32;
                using var bound = data.Bind(device, precision);
                return Measure(row, operation, data, bound, precision, bound.Run);
            }
            finally
            {
                device.AllowTf32 = before;
            }
        });
    }

    private BenchRow MeasureCublas(BenchOperation operation, BenchData data, Precision precision)
    {
        var row = Row(data.Case, BenchRow.Cublas, precision) with { What = "NVIDIA's library, to compare with" };
        return Guard(row, () =>
        {
            using var bound = data.Bind(target.Device, precision);
            var (g, s) = (data.Case.Product!.Value, bound.Storages);
            return Measure(row, operation, data, bound, precision, () => target.CublasMatMul(g, s[0], s[1], s[2], precision));
        });
    }

    private BenchRow Measure(BenchRow row, BenchOperation operation, BenchData data, BoundCase bound, Precision precision, Action run)
    {
        run();
        var (check, against) = Check(operation, data, bound, precision);
        if (check.Failure is { } failure)
            return row with { Outcome = BenchOutcome.Wrong, Note = failure };
        var (times, counters) = target.Measure(run);
        return row with { Outcome = counters is null ? BenchOutcome.Timed : BenchOutcome.Counted, Note = $"checked against {against}", Times = times, Counters = counters };
    }

    private (CheckResult Result, string Against) Check(BenchOperation operation, BenchData data, BoundCase bound, Precision precision)
    {
        if (target.Oracle != Device.Reference || IsSmall(data.Case))
            return (Compare(operation, data, bound, precision), target.Oracle.Name);
        string shape = operation.SmallShapes[0];
        if (!_small.TryGetValue(operation.Name, out var result))
        {
            var small = new BenchData(operation.At(shape));
            using var ran = small.Bind(target.Device, precision);
            ran.Run();
            _small[operation.Name] = result = Compare(operation, small, ran, precision);
        }
        return (result, $"{target.Oracle.Name} at {shape}");
    }

    private static bool IsSmall(BenchCase benchCase) =>
        benchCase.Flops <= ReferenceFlops && benchCase.Tensors.Max(tensor => tensor.Count) <= ReferenceElements;

    private CheckResult Compare(BenchOperation operation, BenchData data, BoundCase bound, Precision precision)
    {
        var expected = data.Expected(target.Oracle, precision);
        var actual = bound.Results();
        var result = CheckResult.Passed;
        for (int i = 0; i < actual.Length; i++)
        {
            if (actual[i] is not { } values)
                continue;
            var tensor = data.Case.Tensors[i];
            double[] right = Array.ConvertAll(expected[i]!, x => (double)x);
            double factor = operation.Name.StartsWith("conv2d", StringComparison.Ordinal) ? ConvolutionFactor : ToleranceFactor;
            var tolerance = precision == Precision.Float32 || !operation.IsProduct && precision == Precision.Tf32
                ? Tolerance.Float32((int)Math.Min(int.MaxValue, tensor.Terms), factor)
                : Tolerance.Rounded(precision, right, ToleranceFactor);
            result = result.And(tolerance.Compare($"{data.Case}: {tensor.Name} on {bound.Device.Name}", Array.ConvertAll(values, x => (double)x), right));
        }
        return result;
    }

    private static BenchRow Row(BenchCase benchCase, string variant, Precision precision) => new()
    {
        Operation = benchCase.Operation,
        Shape = benchCase.Shape,
        Variant = variant,
        Precision = precision.Name(),
        Flops = benchCase.Flops,
        Bytes = benchCase.Bytes(precision),
        Work = benchCase.Work,
    };

    /// <summary>What cannot be done is a row too, with the reason.</summary>
    private BenchRow Guard(BenchRow row, Func<BenchRow> measure)
    {
        try
        {
            return measure();
        }
        catch (NotSupportedException e)
        {
            return row with { Outcome = BenchOutcome.Unsupported, Note = e.Message };
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // A launch that was refused, a fault of a kernel: the row says so, and the others are measured where the device still can.
            if (target.IsLost)
                target.Recover();
            return row with { Outcome = BenchOutcome.Failed, Note = e.Message };
        }
    }
}
