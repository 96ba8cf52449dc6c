using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Verification.Bench;

namespace RawDiffusion.Tests;

/// <summary>The cpu device with a ladder that is not there, and a clock that always says the same.</summary>
internal sealed class FakeTarget(params Ladder[] ladders) : BenchTarget
{
    private readonly Stack<Rung> _forced = new();

    /// <summary>What was measured: the rung that was forced, or null.</summary>
    public List<Rung?> Measured { get; } = [];

    /// <summary>What the runs saw, measured or not.</summary>
    public Rung? Forced => _forced.TryPeek(out var rung) ? rung : null;

    public bool OffersCublas { get; init; }

    public override Backend Device => RawDiffusion.Device.Cpu;

    public override Backend Oracle => RawDiffusion.Device.Reference;

    public override IReadOnlyList<(string Name, string Value)> Facts => [("device", "fake")];

    public override bool HasCublas => OffersCublas;

    public override IReadOnlyList<Rung> Rungs(string operation) => [.. ladders.Where(ladder => ladder.Operation == operation).SelectMany(ladder => ladder.Rungs)];

    public override IDisposable Use(Rung rung)
    {
        if (rung.MinimumCapability > 80)
            throw new NotSupportedException($"{rung} needs compute capability {rung.MinimumCapability}");
        _forced.Push(rung);
        return new Ended(_forced);
    }

    public override void CublasMatMul(in MatMulGeometry g, Storage a, Storage b, Storage c, Precision precision) => Device.MatMul(g, a, b, null, c);

    public override (BenchTimes? Times, BenchCounters? Counters) Measure(Action run)
    {
        run();
        Measured.Add(Forced);
        return (new BenchTimes(1e-3, 0.9e-3, 1.1e-3, 20), null);
    }

    public static Rung Rung(string name, int capability = 75, Precision precision = Precision.Float32) => new()
    {
        Name = name,
        File = "matmul.cu",
        Kernel = $"matmul_{name}",
        What = $"what {name} does",
        MinimumCapability = capability,
        Precision = precision,
    };

    private sealed class Ended(Stack<Rung> forced) : IDisposable
    {
        public void Dispose() => forced.Pop();
    }
}
