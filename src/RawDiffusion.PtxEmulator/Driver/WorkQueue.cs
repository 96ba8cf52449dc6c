using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>
/// The work of all streams of a context, executed by one thread in the order in which it was given. That order keeps the order of each
/// stream and all waits for events, for an event can only be waited for after it was recorded; and a run repeats another exactly.
/// </summary>
internal sealed class WorkQueue : IDisposable
{
    private readonly object _lock = new();
    private readonly Queue<(Work Work, StreamState Stream)> _queue = new();
    private readonly Thread _thread;
    private (Work Work, Exception Error)? _fault;
    private bool _closing, _busy, _faulted;

    public WorkQueue()
    {
        _thread = new Thread(Run) { IsBackground = true, Name = "emulated device" };
        _thread.Start();
    }

    /// <summary>How much of a stream's work is not done.</summary>
    internal sealed class StreamState
    {
        public int Pending { get; set; }
    }

    public void Add(Work work, StreamState stream)
    {
        lock (_lock)
        {
            stream.Pending++;
            _queue.Enqueue((work, stream));
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Whether all work of a stream is done.</summary>
    public bool IsDone(StreamState stream)
    {
        lock (_lock)
            return stream.Pending == 0;
    }

    public void Wait(StreamState stream) => WaitUntil(() => stream.Pending == 0);

    public void Wait(RecordWork record) => WaitUntil(() => record.Done);

    public void WaitForAll() => WaitUntil(() => _queue.Count == 0 && !_busy);

    /// <summary>Throws what went wrong; nothing runs after a fault.</summary>
    public void Check(string call)
    {
        if (Volatile.Read(ref _faulted) && _fault is { } fault)
            throw ToCudaException(call, fault.Work, fault.Error);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closing = true;
            Monitor.PulseAll(_lock);
        }
        _thread.Join();
    }

    private void WaitUntil(Func<bool> done)
    {
        lock (_lock)
        {
            while (!done() && _fault is null)
                Monitor.Wait(_lock);
        }
    }

    private void Run()
    {
        while (true)
        {
            (Work Work, StreamState Stream) next;
            lock (_lock)
            {
                _busy = false;
                Monitor.PulseAll(_lock);
                while (_queue.Count == 0 && !_closing)
                    Monitor.Wait(_lock);
                if (!_queue.TryDequeue(out next))
                    return;
                _busy = true;
            }
            Exception? error = null;
            try
            {
                if (_fault is null)
                    next.Work.Execute();
            }
            catch (Exception e)
            {
                // Whatever it is belongs to the thread that waits for the device, not to this one.
                error = e;
            }
            lock (_lock)
            {
                next.Stream.Pending--;
                if (error is not null)
                {
                    _fault = (next.Work, error);
                    Volatile.Write(ref _faulted, true);
                }
            }
        }
    }

    private static CudaException ToCudaException(string call, Work work, Exception error) => error switch
    {
        EmulationFaultException fault => new EmulatedFaultException(call, fault.Report, work.Dimensions),
        NotSupportedException => new CudaException(call, CudaResult.IllegalInstruction, error.Message, null, work.Dimensions),
        CudaException cuda => new CudaException(call, CudaResult.LaunchFailed, cuda.Message),
        _ => new CudaException(call, CudaResult.LaunchFailed, $"the emulator failed: {error}", null, work.Dimensions),
    };
}
