using System.Diagnostics;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda.Measuring;

/// <summary>
/// Times work on a device by events in its stream. Before each repetition a buffer larger than the L2 cache is written, outside of the
/// timed interval, so that every repetition finds its inputs in memory, as they are in a network.
/// </summary>
/// <remarks>
/// <para>One call lies in each interval: a second one would find the cache warm. What the host needs to launch it does not count, since
/// the host is ahead: the repetitions are queued together, and while the device writes the buffer (some 50 microseconds) the host queues
/// what follows. Gaps between several kernels of one call do count where the host is slower than they are.</para>
/// <para>An interval holds a little more than its kernels; <see cref="EmptyInterval"/> says how much.</para>
/// </remarks>
public sealed class DeviceTimer : IDisposable
{
    /// <summary>Repetitions that are queued at a time.</summary>
    private const int Together = 32;

    private const int WarmUps = 3, Least = 20, Most = 2000;

    private readonly CudaBackend _backend;
    private readonly DeviceBuffer _flush;
    private readonly CudaEvent[] _starts = new CudaEvent[Together], _ends = new CudaEvent[Together];

    public DeviceTimer(CudaBackend backend)
    {
        _backend = backend;
        var context = backend.Context;
        long cache = context.Driver.GetAttribute(DeviceAttribute.L2CacheSize, context.Device);
        _flush = context.Allocate(Math.Max(2 * cache, 32 << 20), "buffer that empties the cache");
        for (int i = 0; i < Together; i++)
            (_starts[i], _ends[i]) = (context.CreateEvent(), context.CreateEvent());
    }

    /// <summary>Bytes written before each repetition.</summary>
    public long FlushBytes => _flush.Bytes;

    /// <summary>Seconds between two events with nothing in between, the median of many.</summary>
    public double EmptyInterval()
    {
        double[] seconds = Time(static () => { }, 0, Together);
        Array.Sort(seconds);
        return seconds[seconds.Length / 2];
    }

    /// <summary>Seconds of single calls, until they and what lies between them took the given time.</summary>
    /// <param name="work">Queues the work, on the main stream.</param>
    /// <param name="least">The least number of repetitions.</param>
    /// <param name="flush">Whether the cache is emptied before each.</param>
    public double[] Time(Action work, double seconds, int least = Least, bool flush = true)
    {
        for (int i = 0; i < WarmUps; i++)
            work();
        _backend.Synchronize();
        long began = Stopwatch.GetTimestamp();
        var measured = new List<double>();
        do
        {
            Repeat(work, Together, flush);
            for (int i = 0; i < Together; i++)
                measured.Add(_ends[i].MillisecondsSince(_starts[i]) / 1e3);
        }
        while (measured.Count < least || Stopwatch.GetElapsedTime(began).TotalSeconds < seconds && measured.Count < Most);
        return [.. measured];
    }

    public void Dispose()
    {
        foreach (var value in _starts.Concat(_ends))
            value.Dispose();
        _flush.Dispose();
    }

    private void Repeat(Action work, int count, bool flush)
    {
        for (int i = 0; i < count; i++)
        {
            if (flush)
                _flush.Clear();
            _starts[i].Record();
            work();
            _ends[i].Record();
        }
    }
}
