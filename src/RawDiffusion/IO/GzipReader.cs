using System.Buffers.Binary;
using System.IO.Compression;

namespace RawDiffusion.IO;

/// <summary>
/// What is inside a gzip file (RFC 1952) of one member, to be read once from begin to end. Whoever reads to the end, until a
/// read gives nothing, knows that the file was whole: its checksum and length agree, nothing is missing, nothing follows.
/// Memory does not depend on what is in the file.
/// </summary>
public sealed class GzipReader : Stream
{
    private const int TrailerBytes = 8;

    // Deflate codes at most 258 bytes in 2 bits.
    private const long LargestRatio = 1032;

    private readonly string _path;
    private readonly Stream _file;
    private readonly CompressedInput _input;
    private readonly DeflateStream _inflater;
    private readonly uint _checksum, _length;
    private uint _runningChecksum = ~0u;
    private long _read;

    /// <param name="path">What the file is called in messages.</param>
    /// <param name="file">The whole file, seekable. It is not closed here.</param>
    /// <exception cref="FileFormatException">The file does not begin and end like a gzip file.</exception>
    public GzipReader(string path, Stream file)
    {
        _path = path;
        _file = file;
        file.Position = 0;
        ReadHeader();
        long begin = file.Position, length = file.Length - begin - TrailerBytes;
        if (length < 1)
            throw Malformed("it is cut short");
        Span<byte> trailer = stackalloc byte[TrailerBytes];
        file.Position = begin + length;
        file.ReadExactly(trailer);
        _checksum = BinaryPrimitives.ReadUInt32LittleEndian(trailer);
        _length = BinaryPrimitives.ReadUInt32LittleEndian(trailer[4..]);
        file.Position = begin;
        LongestContents = length * LargestRatio;
        _input = new CompressedInput(file, length);
        _inflater = new DeflateStream(_input, CompressionMode.Decompress);
    }

    /// <summary>No file of this size can hold more bytes than this.</summary>
    public long LongestContents { get; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => _read;
        set => throw new NotSupportedException();
    }

    /// <summary>Whether these first bytes of a file are those of a gzip file.</summary>
    public static bool IsGzip(ReadOnlySpan<byte> begin) => begin is [0x1F, 0x8B, ..];

    /// <exception cref="FileFormatException">The file is damaged, cut off, or goes on after its end.</exception>
    public override int Read(Span<byte> buffer)
    {
        int read;
        try
        {
            read = _inflater.Read(buffer);
        }
        catch (InvalidDataException e)
        {
            throw new FileFormatException(_path, "the compressed data are damaged", e);
        }
        _runningChecksum = Crc32.Update(_runningChecksum, buffer[..read]);
        _read += read;
        if (read == 0 && !buffer.IsEmpty)
            ExpectWhole();
        return read;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int ReadByte()
    {
        Span<byte> one = stackalloc byte[1];
        return Read(one) == 1 ? one[0] : -1;
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _inflater.Dispose();
        base.Dispose(disposing);
    }

    private void ExpectWhole()
    {
        if (_input.IsCutOff)
            throw Malformed("the compressed data are cut short");
        if (_input.IsTooLong)
            throw Malformed("its end is damaged, or something follows it");
        if (_length != (uint)_read)
            throw Malformed($"it holds {_read} bytes, but says that it holds {_length}");
        if (_checksum != ~_runningChecksum)
            throw Malformed("its checksum does not fit its contents");
    }

    private void ReadHeader()
    {
        const int HasHeaderChecksum = 2, HasExtra = 4, HasName = 8, HasComment = 16, Reserved = 0xE0;
        uint checksum = ~0u;
        if (Next() != 0x1F || Next() != 0x8B)
            throw Malformed("it does not begin like a gzip file");
        if (Next() != 8)
            throw Malformed("it is compressed by another method than deflate");
        int flags = Next();
        if ((flags & Reserved) != 0)
            throw Malformed("its header has flags of no known meaning");
        // Time, kind of compression, operating system.
        for (int i = 0; i < 6; i++)
            Next();
        if ((flags & HasExtra) != 0)
        {
            for (int left = Next() | Next() << 8; left > 0; left--)
                Next();
        }
        if ((flags & HasName) != 0)
            SkipText();
        if ((flags & HasComment) != 0)
            SkipText();
        ushort expected = (ushort)~checksum;
        if ((flags & HasHeaderChecksum) != 0 && (Next() | Next() << 8) != expected)
            throw Malformed("the checksum of its header is wrong");

        byte Next()
        {
            int value = _file.ReadByte();
            if (value < 0)
                throw Malformed("it is cut short");
            checksum = Crc32.Update(checksum, [(byte)value]);
            return (byte)value;
        }

        void SkipText()
        {
            while (Next() != 0)
            {
            }
        }
    }

    private FileFormatException Malformed(string reason) => new(_path, reason);
}
