using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace RawDiffusion.PtxEmulator.Memory;

/// <summary>
/// One bit for each byte of a piece of memory. An access of a kernel is aligned to its size of at most 16 bytes, so its bits lie in one
/// 32-bit word.
/// </summary>
internal sealed unsafe class ByteBits : IDisposable
{
    private uint* _words;

    public ByteBits(long bytes)
    {
        Bytes = bytes;
        _words = (uint*)NativeMemory.AllocZeroed((nuint)(bytes / 32 + 2), sizeof(uint));
    }

    ~ByteBits() => NativeMemory.Free(_words);

    public long Bytes { get; }

    /// <summary>Whether the bits of an aligned access are all set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool AllSet(long offset, int bytes)
    {
        uint mask = (1u << bytes) - 1;
        return (_words[offset >> 5] >> (int)(offset & 31) & mask) == mask;
    }

    /// <summary>Sets the bits of an aligned access. Other threads may set others at the same time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Set(long offset, int bytes)
    {
        uint mask = ((1u << bytes) - 1) << (int)(offset & 31);
        uint* word = _words + (offset >> 5);
        // Almost always they are set already, and a plain read is much cheaper than a locked write.
        if ((*word & mask) != mask)
            Interlocked.Or(ref *word, mask);
    }

    /// <summary>Whether all bits of a range are set.</summary>
    public bool AllSetRange(long offset, long bytes) => FindClear(offset, bytes) < 0;

    /// <summary>The first byte of a range whose bit is not set; -1: all are.</summary>
    public long FindClear(long offset, long bytes)
    {
        long end = offset + bytes;
        while (offset < end)
        {
            if ((offset & 31) == 0 && end - offset >= 32 && _words[offset >> 5] == uint.MaxValue)
                offset += 32;
            else if ((_words[offset >> 5] >> (int)(offset & 31) & 1) == 0)
                return offset;
            else
                offset++;
        }
        return -1;
    }

    /// <summary>Sets or clears a range; nobody else may be writing.</summary>
    public void Fill(long offset, long bytes, bool value)
    {
        long end = offset + bytes;
        for (; offset < end && (offset & 31) != 0; offset++)
            Put(offset, value);
        long whole = (end - offset) / 32;
        if (whole > 0)
        {
            NativeMemory.Fill(_words + (offset >> 5), (nuint)(whole * 4), value ? (byte)0xff : (byte)0);
            offset += whole * 32;
        }
        for (; offset < end; offset++)
            Put(offset, value);
    }

    /// <summary>Copies the bits of a range of another piece; nobody else may be writing.</summary>
    public void CopyFrom(ByteBits source, long sourceOffset, long offset, long bytes)
    {
        if (((sourceOffset | offset) & 31) == 0)
        {
            long whole = bytes / 32;
            Buffer.MemoryCopy(source._words + (sourceOffset >> 5), _words + (offset >> 5), whole * 4, whole * 4);
            (sourceOffset, offset, bytes) = (sourceOffset + whole * 32, offset + whole * 32, bytes - whole * 32);
        }
        for (long i = 0; i < bytes; i++)
            Put(offset + i, (source._words[sourceOffset + i >> 5] >> (int)(sourceOffset + i & 31) & 1) != 0);
    }

    public void Dispose()
    {
        NativeMemory.Free(_words);
        _words = null;
        GC.SuppressFinalize(this);
    }

    private void Put(long offset, bool value)
    {
        uint bit = 1u << (int)(offset & 31);
        if (value)
            _words[offset >> 5] |= bit;
        else
            _words[offset >> 5] &= ~bit;
    }
}
