namespace RawDiffusion.IO;

/// <summary>
/// Compressed bytes on their way into an inflater, with a record of whether it needed exactly these. The library's inflater
/// takes a stream that is cut off for one that ends, and leaves alone what follows the end. So the last byte is handed out by
/// itself: it is asked for only by an inflater that is not done before it, and one that is done after it asks for nothing more.
/// </summary>
/// <param name="source">Where the bytes come from, placed at the first of them.</param>
/// <param name="length">How many there are.</param>
internal sealed class CompressedInput(Stream source, long length) : Stream
{
    private long _left = length;
    private bool _askedForMore;

    /// <summary>Whether the bytes ended before the inflater was done.</summary>
    public bool IsCutOff => _askedForMore;

    /// <summary>Whether the inflater was done before the bytes ended.</summary>
    public bool IsTooLong => _left > 0;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(Span<byte> buffer)
    {
        if (buffer.IsEmpty)
            return 0;
        if (_left == 0)
        {
            _askedForMore = true;
            return 0;
        }
        int read = source.Read(buffer[..(int)Math.Min(buffer.Length, Math.Max(1, _left - 1))]);
        _left -= read;
        _askedForMore |= read == 0;
        return read;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
