using System.Diagnostics;
using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Verification.Bench;

/// <summary>The CPU by the wall clock: what a call finds in the caches is what the one before has left there.</summary>
/// <param name="secondsPerRow">Repetitions are made until they took so long, at least <see cref="Least"/>.</param>
public sealed class CpuTarget(double secondsPerRow) : BenchTarget
{
    /// <summary>The least number of repetitions.</summary>
    public const int Least = 5;

    private const int Most = 10_000;

    public override Backend Device => RawDiffusion.Device.Cpu;

    public override Backend Oracle => RawDiffusion.Device.Reference;

    public override IReadOnlyList<(string Name, string Value)> Facts =>
        [("device", "cpu"), ("threads", $"{Workers.Count}"), ("vectors", $"{CpuBackend.VectorBits} bits")];

    public override BenchPeaks MeasurePeaks() => new(PeakFlops.CopyBandwidth(), null, null, PeakFlops.Fma() / 1e3, null, null, 0);

    public override (BenchTimes? Times, BenchCounters? Counters) Measure(Action run)
    {
        run();
        var seconds = new List<double>();
        long began = Stopwatch.GetTimestamp();
        while (seconds.Count < Least || Stopwatch.GetElapsedTime(began).TotalSeconds < secondsPerRow && seconds.Count < Most)
        {
            long start = Stopwatch.GetTimestamp();
            run();
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return (BenchTimes.Of(seconds), null);
    }
}
