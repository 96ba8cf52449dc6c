using System.Buffers.Binary;

namespace RawDiffusion.Tests;

/// <summary>Damage that any file can take.</summary>
internal static class Damage
{
    private static readonly ulong[] s_extremes =
    [
        0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000,
        0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF,
    ];

    public static T Pick<T>(this Random random, params ReadOnlySpan<T> choices) => choices[random.Next(choices.Length)];

    public static ulong Extreme(this Random random) => random.Pick<ulong>(s_extremes);

    /// <summary>One to three of: bits flipped, bytes and numbers set, cut, inserted, repeated, exchanged, cut off, appended.</summary>
    public static byte[] Bytes(Random random, byte[] file)
    {
        for (int i = random.Next(1, 4); i > 0; i--)
            file = Once(random, file);
        return file;
    }

    private static byte[] Once(Random random, byte[] file)
    {
        if (file.Length == 0)
            return [(byte)random.Next(256)];
        int at = random.Next(file.Length), length = random.Next(1, Math.Min(file.Length - at, 40) + 1), to = random.Next(file.Length);
        byte[] changed = [.. file];
        switch (random.Next(10))
        {
            case 0:
                changed[at] ^= (byte)(1 << random.Next(8));
                return changed;
            case 1:
                changed[at] = (byte)random.Next(256);
                return changed;
            case 2:
                return SetNumber(random, changed, at);
            case 3:
                return [.. file[..at], .. file[(at + length)..]];
            case 4:
                var inserted = new byte[length];
                random.NextBytes(inserted);
                return [.. file[..at], .. inserted, .. file[at..]];
            case 5:
                return [.. file[..to], .. file[at..(at + length)], .. file[to..]];
            case 6:
                file.AsSpan(at, Math.Min(length, file.Length - to)).CopyTo(changed.AsSpan(to));
                return changed;
            case 7:
                return file[..at];
            case 8:
                return [.. file, .. file[at..(at + length)]];
            default:
                random.NextBytes(changed.AsSpan(at, length));
                return changed;
        }
    }

    /// <summary>Writes an extreme number of one to eight bytes in either order.</summary>
    private static byte[] SetNumber(Random random, byte[] file, int at)
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(number, random.Extreme());
        number = number[..random.Pick(1, 2, 4, 8)];
        if (random.Next(2) == 0)
            number.Reverse();
        number[..Math.Min(number.Length, file.Length - at)].CopyTo(file.AsSpan(at));
        return file;
    }
}
