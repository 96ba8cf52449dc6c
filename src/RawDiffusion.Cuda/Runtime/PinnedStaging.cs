using System.Runtime.InteropServices;

namespace RawDiffusion.Cuda;

/// <summary>
/// Uploads ordinary memory without waiting for the device: the values go into pinned memory, from which the copy is queued. A few pieces
/// of it are filled one after the other, each by as many uploads as it holds, so that the host can be many small uploads ahead of the
/// device; only when it comes back to a piece that is still being copied from does the caller wait. Used by one thread at a time.
/// </summary>
public sealed class PinnedStaging : IDisposable
{
    // What a transfer by the device is aligned to at best.
    private const int Alignment = 256;

    private readonly CudaContext _context;
    private readonly PinnedBuffer?[] _pieces;
    private readonly CudaEvent?[] _copied;
    private readonly int _pieceBytes;
    private int _current, _used;

    /// <param name="pieceBytes">The size of a piece; larger uploads go in several.</param>
    public PinnedStaging(CudaContext context, int pieces = 3, int pieceBytes = 4 << 20)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pieces);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pieceBytes);
        (_context, _pieceBytes) = (context, pieceBytes);
        _pieces = new PinnedBuffer?[pieces];
        _copied = new CudaEvent?[pieces];
    }

    /// <summary>Queues copying the values to the device on the main stream. The source may be changed when the method returns.</summary>
    /// <exception cref="InvalidOperationException">A graph is being captured: it would copy the piece's later contents.</exception>
    public void Upload<T>(ReadOnlySpan<T> source, DevicePointer destination) where T : unmanaged
    {
        if (_context.IsCapturing)
            throw new InvalidOperationException("Values cannot be uploaded while a graph is captured: the graph would copy what the memory holds when it is launched.");
        for (var bytes = MemoryMarshal.AsBytes(source); bytes.Length > 0;)
        {
            int count = Math.Min(bytes.Length, _pieceBytes);
            if (count > _pieceBytes - _used)
                GoOn();
            var piece = _pieces[_current] ??= new PinnedBuffer(_context, _pieceBytes);
            bytes[..count].CopyTo(piece.As<byte>()[_used..]);
            _context.Bind();
            _context.Driver.CopyToDeviceAsync(destination, piece.Pointer + _used, count, _context.Stream.Handle);
            _used = Math.Min(_pieceBytes, (_used + count + Alignment - 1) / Alignment * Alignment);
            bytes = bytes[count..];
            destination += count;
        }
    }

    /// <summary>Waits for the copies under way, then frees the pieces.</summary>
    public void Dispose()
    {
        if (_pieces[_current] is not null && !_context.IsLost)
            _context.Stream.Synchronize();
        for (int i = 0; i < _pieces.Length; i++)
        {
            _copied[i]?.Dispose();
            _pieces[i]?.Dispose();
            (_copied[i], _pieces[i]) = (null, null);
        }
    }

    /// <summary>Marks the end of the copies from this piece, and waits for those from the next one, which were queued a round ago.</summary>
    private void GoOn()
    {
        (_copied[_current] ??= _context.CreateEvent(timing: false)).Record();
        _current = (_current + 1) % _pieces.Length;
        _copied[_current]?.Synchronize();
        _used = 0;
    }
}
