using System.Diagnostics;
using System.Globalization;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Diffusion.Peers;

namespace RawDiffusion.Benchmarks;

/// <summary>
/// Where the time of a computation goes: every kernel with its sizes, and beside its time the least that the measured peaks of this
/// machine allow. The limit is by arithmetic where that takes longer than moving the bytes, else by memory. What stays in a cache can
/// come out below it, and so can a convolution by Winograd's method, since its work is counted as the definition has it.
/// </summary>
internal static class ProfileCommand
{
    private const string Usage = "profile unet|unet-forward [--batch N] [--steps N] [--rows N]";

    public static int Run(ReadOnlySpan<string> arguments)
    {
        int batch = 64, steps = 10, rows = 60;
        string? what = null;
        for (int i = 0; i < arguments.Length; i++)
        {
            int? number = i + 1 < arguments.Length && int.TryParse(arguments[i + 1], CultureInfo.InvariantCulture, out int parsed) && parsed > 0 ? parsed : null;
            switch (arguments[i])
            {
                case "unet" or "unet-forward" when what is null:
                    what = arguments[i];
                    continue;
                case "--batch" when number is { } n:
                    batch = n;
                    break;
                case "--steps" when number is { } n:
                    steps = n;
                    break;
                case "--rows" when number is { } n:
                    rows = n;
                    break;
                default:
                    Console.Error.WriteLine($"unknown or incomplete argument '{arguments[i]}'; usage: {Usage}");
                    return 2;
            }
            i++;
        }
        if (what is null)
        {
            Console.Error.WriteLine($"usage: {Usage}");
            return 2;
        }
        var peaks = Peaks.Measure();
        double unprofiled = SecondsPerStep(Create(what, batch, Device.Cpu), steps);
        var profiler = new ProfilingBackend(Device.Cpu);
        var step = Create(what, batch, profiler);
        step();
        step();
        profiler.Reset();
        double wall = SecondsPerStep(step, steps, warmups: 0);
        // A shared machine may be slower for one of the two measurements than it was for the kernels.
        Print(what, batch, steps, rows, profiler.Operations, wall, unprofiled, peaks.Best(Peaks.Measure()));
        return 0;
    }

    /// <summary>GFLOP/s and GB/s.</summary>
    private readonly record struct Peaks(double Flops, double Bandwidth)
    {
        public static Peaks Measure() => new(PeakFlops.Fma(), PeakFlops.CopyBandwidth());

        public Peaks Best(Peaks other) => new(Math.Max(Flops, other.Flops), Math.Max(Bandwidth, other.Bandwidth));

        /// <summary>The least seconds of a call.</summary>
        public double Limit(OperationProfile operation) => Math.Max(operation.Flops / Flops, operation.Bytes / Bandwidth) / 1e9;
    }

    private static Action Create(string what, int batch, Backend device) =>
        what == "unet" ? PeerModels.TrainingStep(PeerModels.Mnist, batch, device).RunStep : PeerModels.Forward(PeerModels.Mnist, batch, device);

    private static double SecondsPerStep(Action step, int steps, int warmups = 2)
    {
        for (int i = 0; i < warmups; i++)
            step();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < steps; i++)
            step();
        return Stopwatch.GetElapsedTime(start).TotalSeconds / steps;
    }

    private static void Print(
        string what, int batch, int steps, int rows, IReadOnlyList<OperationProfile> operations, double wall, double unprofiled, Peaks peaks)
    {
        double busy = operations.Sum(o => o.Seconds) / steps, least = operations.Sum(o => peaks.Limit(o) * o.Calls) / steps;
        double work = operations.Sum(o => o.Flops * o.Calls) / steps;
        Line($"{what}, batch {batch}, {steps} steps, {Workers.Count} threads, {CpuBackend.VectorBits}-bit vectors. Peaks: {peaks.Flops:0} GFLOP/s, copy {peaks.Bandwidth:0.0} GB/s.");
        Line($"A step takes {unprofiled * 1e3:0.0} ms, profiled {wall * 1e3:0.0} ms: kernels {busy * 1e3:0.0} ms (limit {least * 1e3:0.0} ms), the rest {(wall - busy) * 1e3:0.0} ms. {work / 1e9:0.0} GFLOP a step.");
        Console.WriteLine();
        Line($"| method | calls | ms | share | limit ms | time / limit |");
        Line($"|---|---|---|---|---|---|");
        foreach (var group in operations.GroupBy(o => o.Method).OrderByDescending(g => g.Sum(o => o.Seconds)))
        {
            double seconds = group.Sum(o => o.Seconds) / steps, limit = group.Sum(o => peaks.Limit(o) * o.Calls) / steps;
            Line($"| {group.Key} | {group.Sum(o => o.Calls) / (double)steps:0.#} | {seconds * 1e3:0.00} | {100 * seconds / wall:0.0}% | {limit * 1e3:0.00} | {seconds / limit:0.0} |");
        }
        Console.WriteLine();
        Line($"| operation | calls | ms a step | share | GFLOP/s | GB/s | limit ms | time / limit |");
        Line($"|---|---|---|---|---|---|---|---|");
        foreach (var o in operations.Take(rows))
        {
            double seconds = o.Seconds / steps, calls = o.Calls / (double)steps, limit = peaks.Limit(o) * calls;
            string rate = o.Flops > 0 ? (o.Flops * calls / seconds / 1e9).ToString("0", CultureInfo.InvariantCulture) : "";
            Line($"| {o.Method} {o.Detail} | {calls:0.#} | {seconds * 1e3:0.00} | {100 * seconds / wall:0.0}% | {rate} | {o.Bytes * calls / seconds / 1e9:0.0} | {limit * 1e3:0.00} | {seconds / limit:0.0} |");
        }
        if (operations.Count > rows)
            Line($"and {operations.Count - rows} more of together {operations.Skip(rows).Sum(o => o.Seconds) / steps * 1e3:0.0} ms (--rows N shows them)");
    }

    private static void Line(FormattableString text) => Console.WriteLine(FormattableString.Invariant(text));
}
