using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends;

/// <summary>What calls of one method with one geometry have taken.</summary>
/// <param name="Method">The method of <see cref="Backend"/>.</param>
/// <param name="Detail">The operation, where the method has many, and the sizes.</param>
/// <param name="Flops">Floating-point operations of one call that the mathematics asks for; 0 where bytes are the measure.</param>
/// <param name="Bytes">Bytes of one call that must be read and written at least, each once.</param>
public sealed record OperationProfile(string Method, string Detail, double Flops, double Bytes)
{
    public int Calls { get; internal set; }

    /// <summary>Seconds of all calls.</summary>
    public double Seconds { get; internal set; }
}

/// <summary>
/// Stands before another backend, passes everything on and notes what it took. A network made on it is profiled; all others pay
/// nothing. Each call is timed from its beginning to its end: times add up to what the backend was busy.
/// </summary>
/// <example><code>
/// var profiler = new ProfilingBackend(Device.Cpu);
/// var model = new UNet2D(config, new Generator(0), profiler);
/// model.Forward(x.To(profiler), t.To(profiler));
/// foreach (var operation in profiler.Operations) ...
/// </code></example>
public sealed partial class ProfilingBackend(Backend inner) : Backend
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(string, string), OperationProfile> _operations = [];

    public override string Name => $"{inner.Name}, profiled";

    public override DType FloatType => inner.FloatType;

    public override IReadOnlyList<Precision> Precisions => inner.Precisions;

    public override MemoryStatistics Statistics => inner.Statistics;

    /// <summary>What has been called since the last <see cref="Reset"/>, the longest first.</summary>
    public IReadOnlyList<OperationProfile> Operations
    {
        get
        {
            lock (_lock)
                return [.. _operations.Values.OrderByDescending(operation => operation.Seconds)];
        }
    }

    /// <summary>Forgets what has been noted.</summary>
    public void Reset()
    {
        lock (_lock)
            _operations.Clear();
    }

    /// <summary>The other backend's memory, but operations on it are asked of this one.</summary>
    public override Storage Allocate(DType dtype, int length)
    {
        var storage = inner.Allocate(dtype, length);
        storage.Backend = this;
        return storage;
    }

    public override void Release(Storage storage)
    {
        storage.Backend = inner;
        inner.Release(storage);
    }

    public override void Synchronize() => inner.Synchronize();

    /// <summary>Nothing is recorded: calls are to be timed one by one.</summary>
    public override RecordedWork? Record(Action work) => null;

    public override bool CanRecord => false;

    public override bool IsRecording => inner.IsRecording;

    /// <summary>Begins a call of the method that calls this.</summary>
    private Call Begin(string detail, double flops, double bytes, [CallerMemberName] string method = "")
    {
        OperationProfile? operation;
        lock (_lock)
        {
            if (!_operations.TryGetValue((method, detail), out operation))
                _operations.Add((method, detail), operation = new OperationProfile(method, detail, flops, bytes));
        }
        return new Call(this, operation);
    }

    /// <summary>Bytes of all elements.</summary>
    private static double Bytes(params ReadOnlySpan<Storage?> storages)
    {
        double bytes = 0;
        foreach (var storage in storages)
            bytes += storage is null ? 0 : (double)storage.Length * storage.DType.Size();
        return bytes;
    }

    /// <summary>A call in progress; it ends when this is disposed.</summary>
    private readonly ref struct Call(ProfilingBackend profiler, OperationProfile operation)
    {
        private readonly long _start = Stopwatch.GetTimestamp();

        public void Dispose()
        {
            profiler.Synchronize();
            double seconds = Stopwatch.GetElapsedTime(_start).TotalSeconds;
            lock (profiler._lock)
            {
                operation.Calls++;
                operation.Seconds += seconds;
            }
        }
    }
}
