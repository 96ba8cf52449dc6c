using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Verification;

/// <summary>The checks of a case on a device against the Reference device. None of them throws: a failure is a result.</summary>
public static class CaseVerifier
{
    /// <summary>Forward output and every gradient on <paramref name="device"/> against Reference, in one result.</summary>
    public static CheckResult CompareWithReference(OperationCase operationCase, Backend device, Precision precision = Precision.Float32) =>
        Compare(operationCase, device, precision).Both;

    /// <summary>Forward output and every gradient on <paramref name="device"/> against Reference.</summary>
    /// <param name="precision">BFloat16 gives the device the inputs in that type, and Reference their rounded values; Tf32 is the device's setting.</param>
    public static CaseComparison Compare(OperationCase operationCase, Backend device, Precision precision = Precision.Float32)
    {
        var gradients = CheckResult.Passed;
        var output = Guard(operationCase, () =>
        {
            var expected = CaseRun.Make(operationCase, Device.Reference, precision);
            var actual = CaseRun.Make(operationCase, device, precision);
            if (actual.Shape != expected.Shape)
                return CheckResult.Failed($"{operationCase}: the output has shape {actual.Shape}, expected {expected.Shape}");
            if ((actual.DType == DType.Int32) != (expected.DType == DType.Int32))
                return CheckResult.Failed($"{operationCase}: the output is {actual.DType}, expected {expected.DType}");
            gradients = CompareGradients(operationCase, device, actual, expected, precision);
            var tolerance = actual.DType == DType.Int32
                ? default
                : ToleranceOf(precision, operationCase.ReductionLength, operationCase.ToleranceFactor, expected.Output);
            return tolerance.Compare($"{operationCase}: output on {device.Name}", actual.Output, expected.Output);
        });
        return new CaseComparison(output, gradients);
    }

    /// <summary>The same bits on a second run, and with one thread as with two.</summary>
    public static CheckResult Repeats(OperationCase operationCase, Backend device) => Guard(operationCase, () =>
    {
        int threads = Workers.Count;
        try
        {
            Workers.SetCount(2);
            var first = CaseRun.Make(operationCase, device);
            var result = SameBits(operationCase, "second run", CaseRun.Make(operationCase, device), first);
            Workers.SetCount(1);
            return result.And(SameBits(operationCase, "one thread", CaseRun.Make(operationCase, device), first));
        }
        finally
        {
            Workers.SetCount(threads);
        }
    });

    /// <summary>The same bits on other devices as on the first, forward and gradients.</summary>
    public static CheckResult SameBits(OperationCase operationCase, Backend first, params Backend[] others) => Guard(operationCase, () =>
    {
        var expected = CaseRun.Make(operationCase, first);
        var result = CheckResult.Passed;
        for (int i = 0; i < others.Length; i++)
            result = result.And(SameBits(operationCase, $"{others[i].Name} {i + 1}", CaseRun.Make(operationCase, others[i]), expected));
        return result;
    });

    internal static CheckResult Guard(OperationCase operationCase, Func<CheckResult> check)
    {
        try
        {
            return check();
        }
        catch (Exception e)
        {
            return CheckResult.Failed($"{operationCase}: {e}");
        }
    }

    private static CheckResult CompareGradients(
        OperationCase operationCase, Backend device, CaseRun actual, CaseRun expected, Precision precision)
    {
        var result = CheckResult.Passed;
        for (int i = 0; i < actual.Gradients.Length; i++)
        {
            if (actual.Gradients[i] is not { } gradient)
                continue;
            var tolerance = ToleranceOf(precision, operationCase.GradientReductionLength, operationCase.ToleranceFactor, expected.Gradients[i]!);
            result = result.And(tolerance.Compare(
                $"{operationCase}: gradient of input {i} {operationCase.Inputs[i].Shape} on {device.Name}", gradient, expected.Gradients[i]!));
        }
        return result;
    }

    private static Tolerance ToleranceOf(Precision precision, int reductionLength, double factor, double[] expected) =>
        precision == Precision.Float32 ? Tolerance.Float32(reductionLength, factor) : Tolerance.Rounded(precision, expected, factor);

    private static CheckResult SameBits(OperationCase operationCase, string what, CaseRun actual, CaseRun expected)
    {
        var result = SameBits($"{operationCase}: output, {what}", actual.Output, expected.Output);
        for (int i = 0; i < actual.Gradients.Length; i++)
            result = result.And(SameBits($"{operationCase}: gradient of input {i}, {what}", actual.Gradients[i], expected.Gradients[i]));
        return result;
    }

    private static CheckResult SameBits(string what, double[]? actual, double[]? expected)
    {
        if (actual is null || expected is null)
            return CheckResult.Passed;
        for (int i = 0; i < actual.Length; i++)
        {
            // float64 holds every float32 and its payload, so bits are compared as they were on the device.
            if (BitConverter.DoubleToInt64Bits(actual[i]) != BitConverter.DoubleToInt64Bits(expected[i]))
                return CheckResult.Failed($"{what}: element {i} is {actual[i]:R}, before {expected[i]:R}");
        }
        return CheckResult.Passed;
    }
}
