namespace RawDiffusion.IO;

/// <summary>
/// The compression of GIF (GIF89a specification, appendix F; Welch 1984): the longest known run of bytes becomes a code of 3 to 12
/// bits, and the run with its next byte becomes known. When 4096 runs are known, all are forgotten.
/// </summary>
internal sealed class LzwEncoder(Stream stream)
{
    private const int MostBits = 12, MostCodes = 1 << MostBits;
    private const int Slots = 2 * MostCodes;
    private const int LongestBlock = 255;

    // A hash table from (code of a run, next byte) to the code of the run they make; 0 marks a free slot, since no key is 0.
    private readonly int[] _keys = new int[Slots];
    private readonly ushort[] _codes = new ushort[Slots];
    private readonly byte[] _block = new byte[1 + LongestBlock];
    private int _blockLength, _pending, _pendingBits;

    /// <summary>Writes one picture: the width of its indices, blocks of up to 255 bytes, and the empty block.</summary>
    /// <param name="indices">At least one, each below 2^bits.</param>
    /// <param name="bits">1 to 8.</param>
    public void Encode(ReadOnlySpan<byte> indices, int bits)
    {
        // The format has no codes narrower than three bits.
        bits = Math.Max(2, bits);
        int clear = 1 << bits, end = clear + 1, next = end + 1, width = bits + 1;
        Array.Clear(_keys);
        stream.WriteByte((byte)bits);
        Write(clear, width);
        int run = indices[0];
        foreach (byte index in indices[1..])
        {
            int key = (run << 8 | index) + 1, slot = Find(key);
            if (_keys[slot] == key)
            {
                run = _codes[slot];
                continue;
            }
            Write(run, width);
            run = index;
            if (next == MostCodes)
            {
                Write(clear, width);
                Array.Clear(_keys);
                (next, width) = (end + 1, bits + 1);
                continue;
            }
            // The reader learns a run one code later than the writer: the width grows with the run that needs it, not before.
            if (next == 1 << width)
                width++;
            (_keys[slot], _codes[slot]) = (key, (ushort)next++);
        }
        Write(run, width);
        // With the last run the reader has learned one more, which may widen the code of the end.
        if (next == 1 << width && width < MostBits)
            width++;
        Write(end, width);
        FlushBlock();
    }

    private int Find(int key)
    {
        const uint Golden = 2654435769;
        int slot = (int)((uint)key * Golden >> (32 - (MostBits + 1)));
        while (_keys[slot] != 0 && _keys[slot] != key)
            slot = (slot + 1) % Slots;
        return slot;
    }

    /// <summary>Adds a code, lowest bit first.</summary>
    private void Write(int code, int width)
    {
        _pending |= code << _pendingBits;
        _pendingBits += width;
        while (_pendingBits >= 8)
        {
            WriteByte((byte)_pending);
            _pending >>= 8;
            _pendingBits -= 8;
        }
    }

    private void WriteByte(byte value)
    {
        _block[1 + _blockLength++] = value;
        if (_blockLength == LongestBlock)
            WriteBlock();
    }

    private void WriteBlock()
    {
        _block[0] = (byte)_blockLength;
        stream.Write(_block.AsSpan(0, 1 + _blockLength));
        _blockLength = 0;
    }

    private void FlushBlock()
    {
        if (_pendingBits > 0)
            WriteByte((byte)_pending);
        if (_blockLength > 0)
            WriteBlock();
        stream.WriteByte(0);
        (_pending, _pendingBits) = (0, 0);
    }
}
