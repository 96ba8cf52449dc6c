using System.Text;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Data.Files;

/// <summary>
/// Goes through a tar archive (POSIX ustar) from begin to end. Memory does not depend on what is in it, which the library's reader does not
/// promise: it takes as much as an extended header says. Such headers, links and the like are entries here like any other.
/// </summary>
/// <param name="path">What the file is called in messages.</param>
/// <param name="largestTotal">An archive that goes on after so many bytes is refused.</param>
internal sealed class TarWalk(string path, Stream stream, long largestTotal)
{
    private const int BlockBytes = 512;
    private const int NameBytes = 100, SizeOffset = 124, SizeBytes = 12, SumOffset = 148, SumBytes = 8;

    private readonly byte[] _block = new byte[BlockBytes];
    private long _left;
    private long _total;

    /// <summary>The name of the entry without its folders.</summary>
    public string Name { get; private set; } = "";

    /// <summary>Its length in bytes.</summary>
    public long Length { get; private set; }

    /// <summary>Goes to the next entry.</summary>
    /// <returns>False at the end; the whole stream has been read then.</returns>
    /// <exception cref="FileFormatException">The archive is damaged, cut short or too large.</exception>
    public bool MoveNext()
    {
        for (; _left > 0; _left -= Math.Min(_left, BlockBytes))
            ReadBlock();
        ReadBlock();
        if (!_block.AsSpan().ContainsAnyExcept((byte)0))
        {
            ReadToEnd();
            return false;
        }
        uint sum = SumBytes * ' ';
        for (int i = 0; i < BlockBytes; i++)
            sum += i is >= SumOffset and < SumOffset + SumBytes ? 0u : _block[i];
        if (Number(SumOffset, SumBytes) != sum)
            throw new FileFormatException(path, "it is not a tar archive, or a damaged one");
        string name = Encoding.Latin1.GetString(_block.AsSpan(0, NameBytes)).Split('\0')[0];
        Name = name[(name.LastIndexOf('/') + 1)..];
        Length = _left = Number(SizeOffset, SizeBytes);
        return true;
    }

    /// <summary>The contents of the entry, which the caller has found to be short enough.</summary>
    public byte[] Read()
    {
        var contents = new byte[Length];
        for (int at = 0; at < contents.Length; at += BlockBytes)
        {
            ReadBlock();
            _block.AsSpan(0, Math.Min(BlockBytes, contents.Length - at)).CopyTo(contents.AsSpan(at));
        }
        _left = 0;
        return contents;
    }

    private void ReadBlock()
    {
        _total += BlockBytes;
        if (_total > largestTotal)
            throw new FileFormatException(path, $"there are more than {largestTotal} bytes in it");
        if (stream.ReadAtLeast(_block, BlockBytes, throwOnEndOfStream: false) < BlockBytes)
            throw new FileFormatException(path, "it is cut short");
    }

    /// <summary>What follows the last entry is padding; only who has read it all knows that a compressed archive is whole.</summary>
    private void ReadToEnd()
    {
        while (stream.Read(_block) is > 0 and int read)
        {
            _total += read;
            if (_total > largestTotal || _block.AsSpan(0, read).ContainsAnyExcept((byte)0))
                throw new FileFormatException(path, "it goes on after the end of the archive");
        }
    }

    /// <summary>A number in octal digits, up to a space or a zero byte.</summary>
    private long Number(int offset, int length)
    {
        long value = 0;
        bool hasDigits = false;
        foreach (byte digit in _block.AsSpan(offset, length))
        {
            if (digit is (byte)' ' or 0 && !hasDigits)
                continue;
            if (digit is (byte)' ' or 0)
                break;
            if (digit is < (byte)'0' or > (byte)'7')
                throw new FileFormatException(path, "it is not a tar archive, or a damaged one");
            (value, hasDigits) = (8 * value + (digit - '0'), true);
        }
        return value;
    }
}
