using System.Runtime.InteropServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private Recording? _recording;

    public override bool CanRecord => true;

    public override bool IsRecording => _recording is not null;

    public override RecordedWork Record(Action work)
    {
        if (_recording is not null)
            throw new InvalidOperationException($"{Name} is recording already; recordings do not nest.");
        // What earlier runs have left to the garbage collector goes back to the pool, which is all that a recording can take from.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var recording = new Recording(this);
        try
        {
            _recording = recording;
            recording.Capture(work);
            return recording;
        }
        catch (Exception e)
        {
            recording.Dispose();
            if (e is GraphMemoryException)
                throw new RecordingMemoryException(e.Message, e);
            throw;
        }
        finally
        {
            _recording = null;
        }
    }

    /// <summary>
    /// A graph and the memory from which its kernels read what changes from replay to replay. Each such number has a place of its own
    /// there; before a replay all of them are written by one upload in the order of the stream, so nothing waits.
    /// </summary>
    private sealed class Recording(CudaBackend backend) : RecordedWork
    {
        /// <summary>Bytes for numbers: a step needs some hundred.</summary>
        private const int Capacity = 4096;

        /// <summary>A place holds the largest of the structures and keeps the alignment of all.</summary>
        private const int PlaceBytes = 32;

        private readonly DeviceBuffer _numbers = backend.Context.AllocateNew(Capacity, "numbers of a graph");
        private readonly byte[] _written = new byte[Capacity];
        private readonly List<(string Key, Writer Write)> _places = [];
        private CudaGraph? _graph;

        private delegate void Writer(StepScalars scalars, Span<byte> to);

        public void Capture(Action work) => _graph = CudaGraph.Capture(backend.Context, work);

        public override void Replay(StepScalars scalars)
        {
            ObjectDisposedException.ThrowIf(_graph is null, this);
            for (int i = 0; i < _places.Count; i++)
                _places[i].Write(scalars, _written.AsSpan(i * PlaceBytes, PlaceBytes));
            if (_places.Count > 0)
            {
                lock (backend._stagingLock)
                    backend._staging.Upload<byte>(_written.AsSpan(0, _places.Count * PlaceBytes), _numbers.Pointer);
            }
            _graph.Launch();
        }

        public override void Dispose()
        {
            _graph?.Dispose();
            _graph = null;
            _numbers.Dispose();
        }

        /// <summary>How many blocks of a stream were used since the recording.</summary>
        public DevicePointer Advance(PhiloxState recorded) => Place($"stream {recorded.Seed} {recorded.Stream}", (scalars, to) =>
        {
            foreach (var now in scalars.Streams)
            {
                if (now.Seed != recorded.Seed || now.Stream != recorded.Stream)
                    continue;
                MemoryMarshal.Write(to, now.Offset - recorded.Offset);
                return;
            }
            throw new InvalidOperationException(
                $"The recorded work draws from stream {recorded.Stream} of seed {recorded.Seed}, and it is not said how far that has gone on.");
        });

        public DevicePointer AdamW(double maxNorm) => Place($"AdamW {maxNorm}", (scalars, to) =>
            MemoryMarshal.Write(to, new AdamWScalars(scalars.AdamW ?? throw Missing("an AdamW step"), maxNorm)));

        public DevicePointer Sgd(double maxNorm) => Place($"SGD {maxNorm}", (scalars, to) =>
            MemoryMarshal.Write(to, new SgdScalars(scalars.Sgd ?? throw Missing("an SGD step"), maxNorm)));

        public DevicePointer Ema() => Place("moving average", (scalars, to) =>
            MemoryMarshal.Write(to, (float)(1 - (scalars.EmaDecay ?? throw Missing("a moving average")))));

        private static InvalidOperationException Missing(string what) => new($"The recorded work holds {what}, and its numbers are not given.");

        /// <summary>The place of a number, the same for all kernels that ask for the same one.</summary>
        private DevicePointer Place(string key, Writer write)
        {
            int index = _places.FindIndex(place => place.Key == key);
            if (index < 0)
            {
                if (_places.Count == Capacity / PlaceBytes)
                    throw new InvalidOperationException($"A recording holds at most {Capacity / PlaceBytes} numbers that change.");
                index = _places.Count;
                _places.Add((key, write));
            }
            return _numbers.Pointer + index * PlaceBytes;
        }
    }
}
