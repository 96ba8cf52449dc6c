using System.Buffers.Binary;

namespace RawDiffusion.IO;

/// <summary>
/// The file format of MNIST (yann.lecun.com/exdb/mnist): two zero bytes, a type, the number of axes, their extents as big-endian
/// 32-bit integers, then the values. Only unsigned bytes (type 8) occur in practice and only they are read.
/// </summary>
/// <param name="Extents">Extent along each axis.</param>
/// <param name="Values">Row-major.</param>
public sealed record Idx(IReadOnlyList<int> Extents, byte[] Values)
{
    /// <summary>A file that says that it holds more values is refused: twenty times MNIST.</summary>
    public const int MostValues = 1 << 30;

    private const byte UnsignedByte = 8;
    private const int LargestRank = 8;

    /// <summary>Reads a whole file, plain or compressed by gzip, which is told by its first bytes and not by its name.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">The file is damaged, cut short, longer than it says, or not IDX.</exception>
    public static Idx Load(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read);
        return Read(path, file);
    }

    /// <summary>Whether these first bytes of a file are those of an IDX file, of any type of values.</summary>
    public static bool IsIdx(ReadOnlySpan<byte> begin) => begin is [0, 0, 8 or 9 or 0x0B or 0x0C or 0x0D or 0x0E, >= 1 and <= LargestRank, ..];

    /// <param name="path">What the file is called in messages.</param>
    /// <param name="file">The whole file, seekable.</param>
    internal static Idx Read(string path, Stream file)
    {
        Span<byte> begin = stackalloc byte[2];
        file.Position = 0;
        int length = file.ReadAtLeast(begin, begin.Length, throwOnEndOfStream: false);
        file.Position = 0;
        if (!GzipReader.IsGzip(begin[..length]))
            return Read(path, file, file.Length);
        using var contents = new GzipReader(path, file);
        return Read(path, contents, contents.LongestContents);
    }

    /// <summary>No memory is taken for values before it is known that a stream of <paramref name="longest"/> bytes can hold them.</summary>
    private static Idx Read(string path, Stream stream, long longest)
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
            // At every axis, so that the product of up to eight extents does not overflow.
            if (count > Math.Min(longest, MostValues))
            {
                string limit = count > longest ? "too many for its size" : $"and {MostValues} is the most that is read";
                throw new FileFormatException(path, $"it says that it holds {Describe(extents.AsSpan(0, axis + 1))} values or more, {limit}");
            }
        }
        var values = new byte[count];
        ReadExactly(path, stream, values, $"the {Describe(extents)} values that it says it holds");
        if (stream.ReadByte() >= 0)
            throw new FileFormatException(path, $"it goes on after the {Describe(extents)} values that it says it holds");
        return new Idx(extents, values);
    }

    private static void ReadExactly(string path, Stream stream, Span<byte> buffer, string what)
    {
        int read = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        if (read < buffer.Length)
            throw new FileFormatException(path, $"it ends before {what}: {read} of {buffer.Length} bytes are there");
    }

    private static string Describe(ReadOnlySpan<int> extents) => string.Join(" x ", extents.ToArray());
}
