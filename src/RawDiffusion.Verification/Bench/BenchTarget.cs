using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda.Ladders;

namespace RawDiffusion.Verification.Bench;

/// <summary>A device with the means to measure it.</summary>
public abstract class BenchTarget : IDisposable
{
    public abstract Backend Device { get; }

    /// <summary>What it is, for the head of a report: product, driver, clocks.</summary>
    public abstract IReadOnlyList<(string Name, string Value)> Facts { get; }

    /// <summary>Whether counters take the place of times; default shapes are small then.</summary>
    public virtual bool CountsOnly => false;

    /// <summary>Whose results are taken for right.</summary>
    public virtual Backend Oracle => RawDiffusion.Device.Cpu;

    /// <summary>The rungs of an operation that the device can be made to take.</summary>
    public virtual IReadOnlyList<Rung> Rungs(string operation) => [];

    /// <summary>Has a rung compute until the result is disposed of.</summary>
    /// <exception cref="NotSupportedException">The device lacks its instructions.</exception>
    public virtual IDisposable Use(Rung rung) => throw new NotSupportedException($"{Device.Name} has no ladders.");

    /// <summary>Whether there is NVIDIA's library to compare products with.</summary>
    public virtual bool HasCublas => false;

    /// <summary>Why there is none where one might expect it; null where there is, or where it would be of no use.</summary>
    public virtual string? WhyNoCublas => null;

    /// <summary>Asks it for c = op(a) op(b).</summary>
    public virtual void CublasMatMul(in MatMulGeometry g, Storage a, Storage b, Storage c, Precision precision) =>
        throw new NotSupportedException($"{Device.Name} has no cuBLAS.");

    /// <summary>Null where only counts are made.</summary>
    public virtual BenchPeaks? MeasurePeaks() => null;

    /// <summary>Times or counts a call. It has been called before and is right.</summary>
    public abstract (BenchTimes? Times, BenchCounters? Counters) Measure(Action run);

    /// <summary>Whether a fault has ended the device: nothing that it answers from then on means anything.</summary>
    public virtual bool IsLost => false;

    /// <summary>Makes the device anew after it was lost, where that can be done.</summary>
    public virtual void Recover()
    {
    }

    public virtual void Dispose() => GC.SuppressFinalize(this);
}
