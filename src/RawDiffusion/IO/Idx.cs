using System.Buffers.Binary;
using System.IO.Compression;

namespace RawDiffusion.IO;

/// <summary>
/// The file format of MNIST (yann.lecun.com/exdb/mnist): two zero bytes, a type, the number of axes, their extents as big-endian
/// 32-bit integers, then the values. Only unsigned bytes (type 8) occur in practice and only they are read.
/// </summary>
/// <param name="Extents">Extent along each axis.</param>
/// <param name="Values">Row-major.</param>
public sealed record Idx(IReadOnlyList<int> Extents, byte[] Values)
{
    private const byte UnsignedByte = 8;
    private const int LargestRank = 8;

    // Deflate codes at most 258 bytes in 2 bits.
    private const long LargestCompression = 1032;

    /// <summary>Reads a whole file, plain or compressed by gzip, which is told by its first bytes and not by its name.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">The file is damaged, cut short, longer than it says, or not IDX.</exception>
    public static Idx Load(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read);
        bool compressed = file.ReadByte() == 0x1F && file.ReadByte() == 0x8B;
        file.Position = 0;
        if (!compressed)
            return Read(path, file, file.Length);
        try
        {
            using var unzipped = new GZipStream(file, CompressionMode.Decompress, leaveOpen: true);
            var idx = Read(path, unzipped, file.Length * LargestCompression);
            ExpectTrailer(path, file, 4 + 4 * idx.Extents.Count + idx.Values.LongLength);
            return idx;
        }
        catch (InvalidDataException e)
        {
            throw new FileFormatException(path, "the compressed data are damaged", e);
        }
    }

    private static Idx Read(string path, Stream stream, long mostBytes)
    {
        Span<byte> magic = stackalloc byte[4];
        ReadExactly(path, stream, magic, "its first four bytes");
        if (magic[0] != 0 || magic[1] != 0)
            throw new FileFormatException(path, $"it begins with {Convert.ToHexString(magic)}; this is no IDX file");
        if (magic[2] != UnsignedByte)
            throw new FileFormatException(path, $"it holds values of type {magic[2]:X2}; only unsigned bytes (08) can be read");
        int rank = magic[3];
        if (rank is 0 or > LargestRank)
            throw new FileFormatException(path, $"it has {rank} axes; 1 to {LargestRank} can be read");
        Span<byte> header = stackalloc byte[4 * rank];
        ReadExactly(path, stream, header, "its header");
        var extents = new int[rank];
        long count = 1;
        for (int axis = 0; axis < rank; axis++)
        {
            extents[axis] = BinaryPrimitives.ReadInt32BigEndian(header[(4 * axis)..]);
            if (extents[axis] < 0)
                throw new FileFormatException(path, $"axis {axis} has the impossible extent {(uint)extents[axis]}");
            count *= extents[axis];
            // Also keeps the product of up to eight extents from overflowing, and a small file from taking much memory.
            if (count > Math.Min(mostBytes, Array.MaxLength))
                throw new FileFormatException(path, $"it says that it holds {Describe(extents.AsSpan(0, axis + 1))} values or more, too many for its size");
        }
        var values = new byte[count];
        ReadExactly(path, stream, values, $"the {Describe(extents)} values that it says it holds");
        if (stream.ReadByte() >= 0)
            throw new FileFormatException(path, $"it goes on after the {Describe(extents)} values that it says it holds");
        return new Idx(extents, values);
    }

    /// <summary>
    /// A gzip file ends with the length of what it holds. The library checks that and the checksum before it where they are
    /// there, but takes a file without them for whole.
    /// </summary>
    private static void ExpectTrailer(string path, FileStream file, long length)
    {
        Span<byte> trailer = stackalloc byte[4];
        file.Seek(-trailer.Length, SeekOrigin.End);
        file.ReadExactly(trailer);
        if (BinaryPrimitives.ReadUInt32LittleEndian(trailer) != (uint)length)
            throw new FileFormatException(path, "its end is cut off, or something follows it");
    }

    private static void ReadExactly(string path, Stream stream, Span<byte> buffer, string what)
    {
        int read = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        if (read < buffer.Length)
            throw new FileFormatException(path, $"it ends before {what}: {read} of {buffer.Length} bytes are there");
    }

    private static string Describe(ReadOnlySpan<int> extents) => string.Join(" x ", extents.ToArray());
}
