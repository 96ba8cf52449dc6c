using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Backends.Cuda.Measuring;

namespace RawDiffusion.Verification.Bench;

/// <summary>A device of the Cuda backend with its ladders, timed by events; cuBLAS beside them where it is found.</summary>
/// <param name="secondsPerRow">Repetitions are made until they took so long.</param>
/// <param name="ladders">Null: all there are.</param>
public class CudaTarget(CudaBackend device, double secondsPerRow, IReadOnlyList<Ladder>? ladders = null) : BenchTarget
{
    private CudaBackend _device = device;
    private readonly IReadOnlyList<Ladder> _ladders = ladders ?? Ladders.All;
    private DeviceTimer? _timer;
    private CublasProduct? _cublas;
    private string? _whyNoCublas;
    private bool _triedCublas;

    public override CudaBackend Device => _device;

    public override IReadOnlyList<(string Name, string Value)> Facts => DeviceFacts.Of(_device);

    public override string? WhyNoCublas
    {
        get
        {
            FindCublas();
            return _whyNoCublas;
        }
    }

    public override bool IsLost => _device.IsLost;

    private DeviceTimer Timer => _timer ??= new DeviceTimer(_device);

    public override IReadOnlyList<Rung> Rungs(string operation) =>
        [.. _ladders.Where(ladder => SameName(ladder.Operation, operation)).SelectMany(ladder => ladder.Rungs)];

    public override IDisposable Use(Rung rung) => _device.Use(rung);

    public override bool HasCublas => FindCublas() is not null;

    public override void CublasMatMul(in MatMulGeometry g, Storage a, Storage b, Storage c, Precision precision) =>
        FindCublas()!.MatMul(g, a, b, c, precision);

    public override BenchPeaks? MeasurePeaks()
    {
        var peaks = DevicePeaks.Measure(_device, Timer);
        return new BenchPeaks(
            Math.Max(peaks.KernelCopy, peaks.DriverCopy), peaks.KernelCopy, peaks.DriverCopy, peaks.Fma, peaks.Tf32, peaks.BFloat16, Timer.EmptyInterval());
    }

    public override (BenchTimes? Times, BenchCounters? Counters) Measure(Action run) => (BenchTimes.Of(Timer.Time(run, secondsPerRow)), null);

    public override void Dispose()
    {
        _timer?.Dispose();
        _cublas?.Dispose();
        base.Dispose();
    }

    /// <summary>Goes on with another device.</summary>
    protected void Replace(CudaBackend device) => _device = device;

    /// <summary>Ladders are called as the table of operations calls them, <c>conv2d-grad-input</c>, which hyphens tell from <c>conv2dGradInput</c>.</summary>
    private static bool SameName(string ladder, string operation) =>
        ladder.Replace("-", "", StringComparison.Ordinal).Equals(operation, StringComparison.OrdinalIgnoreCase);

    private CublasProduct? FindCublas()
    {
        if (!_triedCublas)
            _cublas = CublasProduct.TryCreate(_device, out _whyNoCublas);
        _triedCublas = true;
        return _cublas;
    }
}
