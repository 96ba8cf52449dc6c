namespace RawDiffusion.Verification.Bench;

/// <summary>What a device can do at most, measured in the same run: bytes in 10^9 a second, arithmetic in 10^12 operations a second.</summary>
/// <param name="Copy">A large copy, bytes read and written counted once each: the better of the next two.</param>
/// <param name="KernelCopy">By a kernel of this project; null on a CPU.</param>
/// <param name="DriverCopy">By the driver; null on a CPU.</param>
/// <param name="Fma">Multiply-adds in registers, in float32.</param>
/// <param name="Tf32">mma.sync in registers, tf32 factors; null where there is none.</param>
/// <param name="BFloat16">The same with bfloat16 factors.</param>
/// <param name="EmptyInterval">Seconds between two events with nothing in between: what each time contains besides the kernels.</param>
public sealed record BenchPeaks(
    double Copy, double? KernelCopy, double? DriverCopy, double Fma, double? Tf32, double? BFloat16, double EmptyInterval)
{
    /// <summary>
    /// The better of two measurements, number by number: what else the machine does, and a clock that has still to rise, make a peak smaller
    /// and never larger.
    /// </summary>
    public static BenchPeaks Best(BenchPeaks a, BenchPeaks b) => new(
        Math.Max(a.Copy, b.Copy), Most(a.KernelCopy, b.KernelCopy), Most(a.DriverCopy, b.DriverCopy), Math.Max(a.Fma, b.Fma), Most(a.Tf32, b.Tf32),
        Most(a.BFloat16, b.BFloat16), Math.Min(a.EmptyInterval, b.EmptyInterval));

    /// <summary>The most operations a second in a precision, 10^12: by tensor cores where they can do it.</summary>
    public double Arithmetic(string precision) => precision switch
    {
        "tf32" => Tf32 ?? Fma,
        "bf16" => BFloat16 ?? Fma,
        _ => Fma,
    };

    /// <summary>The least seconds that a row can take: its arithmetic or its bytes at the peak, whichever is longer.</summary>
    public double LeastSeconds(BenchRow row) => Math.Max(row.Flops / (Arithmetic(row.Precision) * 1e12), row.Bytes / (Copy * 1e9));

    /// <summary>Whether it is the bytes that take longer.</summary>
    public bool IsMemoryBound(BenchRow row) => row.Bytes / (Copy * 1e9) >= row.Flops / (Arithmetic(row.Precision) * 1e12);

    /// <summary>Percent of the peak that limits the row; null where it was not timed.</summary>
    public double? Percent(BenchRow row) => row.Times is null ? null : 100 * LeastSeconds(row) / row.Times.Median;

    private static double? Most(double? a, double? b) => a is { } x && b is { } y ? Math.Max(x, y) : a ?? b;
}
