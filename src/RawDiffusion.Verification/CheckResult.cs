namespace RawDiffusion.Verification;

/// <summary>The outcome of one check of one case.</summary>
/// <param name="Worst">The largest |a - b| / tolerance met: up to 1 passes. Infinite where NaN, infinities or shapes disagree.</param>
/// <param name="WorstError">The |a - b| at that place.</param>
/// <param name="Failure">Operation, case, element and both values; null when the check passed.</param>
public readonly record struct CheckResult(double Worst, double WorstError, string? Failure)
{
    public static readonly CheckResult Passed = new(0, 0, null);

    public static CheckResult Failed(string message) => new(double.PositiveInfinity, double.PositiveInfinity, message);

    /// <summary>The worse of two results.</summary>
    public CheckResult And(CheckResult other)
    {
        if (Failure is not null)
            return this;
        return other.Failure is not null || other.Worst > Worst ? other : this;
    }
}

/// <summary>How one case came out on a device: its output, and the worst of its gradients (passed where it has none).</summary>
public readonly record struct CaseComparison(CheckResult Output, CheckResult Gradients)
{
    /// <summary>The worse of the two.</summary>
    public CheckResult Both => Output.And(Gradients);
}

/// <summary>|a - b| may be at most (Absolute + Relative |b|) * Scale.</summary>
public readonly record struct Tolerance(double Absolute, double Relative, double Scale = 1)
{
    /// <summary>
    /// PyTorch's float32 tolerance, times the square root of the number of summed terms: rounding errors of a sum grow as a
    /// random walk.
    /// </summary>
    public static Tolerance Float32(int reductionLength, double factor) =>
        new(1e-5, 1.3e-6, Math.Sqrt(Math.Max(1, reductionLength)) * factor);

    /// <summary>
    /// For values computed in less than float32. Bfloat16: PyTorch's relative tolerance of 1.6e-2. Tf32: each factor is rounded by up to
    /// 2^-11 of itself, and five standard deviations of a sum of such errors are 5e-3 of it. What a sum has lost by cancellation is measured
    /// by the root mean square of the expected values.
    /// </summary>
    /// <exception cref="ArgumentException">float32 has a tolerance by the terms summed.</exception>
    public static Tolerance Rounded(Precision precision, ReadOnlySpan<double> expected, double factor)
    {
        double relative = precision switch
        {
            Precision.BFloat16 => 1.6e-2,
            Precision.Tf32 => 5e-3,
            _ => throw new ArgumentException($"{precision} has a tolerance by the terms summed."),
        };
        double sum = 0;
        foreach (double value in expected)
            sum += double.IsFinite(value) ? value * value : 0;
        return new(relative * Math.Sqrt(sum / Math.Max(1, expected.Length)) + 1e-6, relative, factor);
    }

    public double At(double expected) => (Absolute + Relative * Math.Abs(expected)) * Scale;

    /// <summary>Compares element by element; NaN must meet NaN and an infinity the same infinity.</summary>
    /// <param name="what">Names the compared thing in the message.</param>
    public CheckResult Compare(string what, ReadOnlySpan<double> actual, ReadOnlySpan<double> expected)
    {
        if (actual.Length != expected.Length)
            return CheckResult.Failed($"{what}: {actual.Length} elements, expected {expected.Length}");
        double worst = 0, worstError = 0;
        int at = -1;
        for (int i = 0; i < actual.Length; i++)
        {
            double a = actual[i], b = expected[i];
            if (a == b || double.IsNaN(a) && double.IsNaN(b))
                continue;
            double error = Math.Abs(a - b), ratio = error / At(b);
            // Also catches NaN against a number and an infinity against anything else, where the ratio is NaN.
            if (!(ratio <= double.MaxValue))
                return CheckResult.Failed($"{what}: element {i} is {a:R}, expected {b:R}");
            if (ratio <= worst)
                continue;
            (worst, worstError, at) = (ratio, error, i);
        }
        string? failure = worst <= 1
            ? null
            : $"{what}: element {at} is {actual[at]:R}, expected {expected[at]:R}; the error {worstError:G3} is {worst:G3} times the tolerance";
        return new CheckResult(worst, worstError, failure);
    }
}
