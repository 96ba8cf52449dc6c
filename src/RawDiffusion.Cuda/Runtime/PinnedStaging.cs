using System.Runtime.InteropServices;

namespace RawDiffusion.Cuda;

/// <summary>
/// Uploads ordinary memory without waiting for the device: the values go into one of a few pinned pieces, from which the copy is queued.
/// Only when all pieces are still being copied does the caller wait. Used by one thread at a time.
/// </summary>
public sealed class PinnedStaging : IDisposable
{
    private readonly CudaContext _context;
    private readonly PinnedBuffer?[] _pieces;
    private readonly CudaEvent?[] _copied;
    private readonly int _pieceBytes;
    private int _next;

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
            var piece = _pieces[_next] ??= new PinnedBuffer(_context, _pieceBytes);
            var copied = _copied[_next] ??= _context.CreateEvent(timing: false);
            copied.Synchronize();
            bytes[..count].CopyTo(piece.As<byte>());
            piece.CopyToAsync(destination, count);
            copied.Record();
            bytes = bytes[count..];
            destination += count;
            _next = (_next + 1) % _pieces.Length;
        }
    }

    /// <summary>Waits for the copies under way, then frees the pieces.</summary>
    public void Dispose()
    {
        for (int i = 0; i < _pieces.Length; i++)
        {
            if (!_context.IsLost)
                _copied[i]?.Synchronize();
            _copied[i]?.Dispose();
            _pieces[i]?.Dispose();
            (_copied[i], _pieces[i]) = (null, null);
        }
    }
}
