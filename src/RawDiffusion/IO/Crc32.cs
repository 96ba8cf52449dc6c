using System.Buffers.Binary;

namespace RawDiffusion.IO;

/// <summary>The CRC of PNG, gzip and zip: polynomial 0x04C11DB7, bits reversed.</summary>
internal static class Crc32
{
    private const int Slices = 8;

    // The remainder of each byte followed by 0 to 7 zero bytes: eight bytes are then eight look-ups that do not wait for each other.
    private static readonly uint[][] s_tables = MakeTables();

    /// <summary>Carries a running value over more bytes. Start with ~0 and invert the end result.</summary>
    public static uint Update(uint crc, ReadOnlySpan<byte> bytes)
    {
        uint[] t0 = s_tables[0], t1 = s_tables[1], t2 = s_tables[2], t3 = s_tables[3];
        uint[] t4 = s_tables[4], t5 = s_tables[5], t6 = s_tables[6], t7 = s_tables[7];
        for (; bytes.Length >= Slices; bytes = bytes[Slices..])
        {
            ulong eight = BinaryPrimitives.ReadUInt64LittleEndian(bytes) ^ crc;
            crc = t7[(byte)eight] ^ t6[(byte)(eight >> 8)] ^ t5[(byte)(eight >> 16)] ^ t4[(byte)(eight >> 24)]
                ^ t3[(byte)(eight >> 32)] ^ t2[(byte)(eight >> 40)] ^ t1[(byte)(eight >> 48)] ^ t0[(byte)(eight >> 56)];
        }
        foreach (byte value in bytes)
            crc = t0[(byte)(crc ^ value)] ^ crc >> 8;
        return crc;
    }

    private static uint[][] MakeTables()
    {
        var tables = new uint[Slices][];
        for (int slice = 0; slice < Slices; slice++)
        {
            tables[slice] = new uint[256];
            for (uint i = 0; i < 256; i++)
                tables[slice][i] = slice == 0 ? ShiftOut(i) : tables[0][(byte)tables[slice - 1][i]] ^ tables[slice - 1][i] >> 8;
        }
        return tables;
    }

    private static uint ShiftOut(uint remainder)
    {
        for (int bit = 0; bit < 8; bit++)
            remainder = (remainder & 1) != 0 ? 0xEDB88320 ^ remainder >> 1 : remainder >> 1;
        return remainder;
    }
}
