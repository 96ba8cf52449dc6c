namespace RawDiffusion.Tests;

/// <summary>Operands to try an instruction with: every pair or triple of the edge values of a type, then random ones.</summary>
internal static class Operands
{
    /// <summary>How many operands are tried at least.</summary>
    public const int Count = 100_000;

    private static readonly ulong[] s_half =
    [
        0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x8400, 0x3BFF, 0x3C00, 0xBC00, 0x3C01, 0x3800, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00,
        0xFE00, 0x7C01, 0x7FFF, 0x4000, 0x4248, 0x1400,
    ];

    private static readonly ulong[] s_bfloat =
    [
        0x0000, 0x8000, 0x0001, 0x8001, 0x007F, 0x807F, 0x0080, 0x8080, 0x3F7F, 0x3F80, 0xBF80, 0x3F81, 0x3F00, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x7FC0,
        0xFFC0, 0x7F81, 0x7FFF, 0x4000, 0x4049, 0x0100,
    ];

    private static readonly ulong[] s_single =
    [
        0x0000_0000, 0x8000_0000, 0x0000_0001, 0x8000_0001, 0x007F_FFFF, 0x807F_FFFF, 0x0080_0000, 0x8080_0000, 0x3F7F_FFFF, 0x3F80_0000, 0xBF80_0000,
        0x3F80_0001, 0x3F00_0000, 0x7F7F_FFFF, 0xFF7F_FFFF, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0xFFC0_0000, 0x7F80_0001, 0x7FFF_FFFF, 0x4B00_0000,
        0x4B80_0001, 0x4F00_0000, 0xCF00_0000, 0x4EFF_FFFF, 0x5F00_0000, 0x4040_0000, 0x3380_0000, 0x0040_0000, 0x3FC0_0000, 0xC020_0000,
    ];

    private static readonly ulong[] s_double =
    [
        0, 1ul << 63, 1, 1ul << 63 | 1, 0x000F_FFFF_FFFF_FFFF, 0x0010_0000_0000_0000, 0x8010_0000_0000_0000, 0x3FEF_FFFF_FFFF_FFFF, 0x3FF0_0000_0000_0000,
        0xBFF0_0000_0000_0000, 0x3FF0_0000_0000_0001, 0x3FE0_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF, 0xFFEF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000,
        0xFFF0_0000_0000_0000, 0x7FF8_0000_0000_0000, 0xFFF8_0000_0000_0000, 0x7FF0_0000_0000_0001, 0x4330_0000_0000_0000, 0x4340_0000_0000_0001,
        0x41E0_0000_0000_0000, 0xC1E0_0000_0000_0000, 0x43E0_0000_0000_0000, 0x3690_0000_0000_0001, 0x47EF_FFFF_F000_0000, 0x380F_FFFF_FFFF_FFFF,
    ];

    public static ulong[] Edges(string type)
    {
        int bits = Bits(type);
        return type switch
        {
            "f16" => s_half,
            "bf16" => s_bfloat,
            "f32" => s_single,
            "f64" => s_double,
            _ =>
            [
                0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 100, 255, Mask(bits), Mask(bits) - 1, Mask(bits) - 31, Mask(bits - 1), Mask(bits - 1) + 1,
                Mask(bits - 1) - 1, Mask(bits - 1) + 2, 0xAAAA_AAAA_AAAA_AAAA & Mask(bits), 0x5555_5555_5555_5555 & Mask(bits), Mask(bits / 2), Mask(bits / 2) + 1,
            ],
        };
    }

    public static int Bits(string type) => type == "bf16" ? 16 : type == "f16x2" ? 32 : int.Parse(type.AsSpan(1));

    public static ulong Mask(int bits) => bits == 64 ? ulong.MaxValue : (1ul << bits) - 1;

    /// <summary>Columns of operands: all combinations of edges (a part of them where there are more than twice <see cref="Count"/>), then random ones.</summary>
    public static ulong[][] For(params ReadOnlySpan<string> types)
    {
        var random = new Random(types.Length + 31 * Bits(types[0]));
        var columns = new List<ulong>[types.Length];
        for (int k = 0; k < types.Length; k++)
            columns[k] = new List<ulong>(2 * Count);
        int edges = 1;
        foreach (string type in types)
            edges *= Edges(type).Length;
        for (int i = 0; i < edges; i += edges > Count ? random.Next(1, 2 * edges / Count + 1) : 1)
        {
            int rest = i;
            for (int k = 0; k < types.Length; k++)
            {
                ulong[] values = Edges(types[k]);
                columns[k].Add(values[rest % values.Length]);
                rest /= values.Length;
            }
        }
        for (int i = 0; i < Count; i++)
        {
            int shared = random.Next(4);
            ulong first = 0;
            for (int k = 0; k < types.Length; k++)
            {
                ulong value = Random(random, types[k]);
                // Operands that nearly cancel, and equal ones.
                if (k > 0 && shared == 0 && types[k] == types[0])
                    value = (first ^ (ulong)random.Next(4) ^ (ulong)random.Next(2) << (Bits(types[k]) - 1)) & Mask(Bits(types[k]));
                if (k == 0)
                    first = value;
                columns[k].Add(value);
            }
        }
        return Array.ConvertAll(columns, c => c.ToArray());
    }

    /// <summary>All values of 16 bits; where there are other operands, six times: with their edges and with random ones.</summary>
    public static ulong[][] Exhaustive(string type, params ReadOnlySpan<string> others)
    {
        var random = new Random(7);
        int rounds = others.Length == 0 ? 1 : 6;
        ulong[][] columns = new ulong[others.Length + 1][];
        for (int k = 0; k <= others.Length; k++)
            columns[k] = new ulong[rounds << 16];
        for (int i = 0; i < rounds << 16; i++)
        {
            int value = i & 0xFFFF, round = i >> 16;
            columns[0][i] = (ulong)value;
            for (int k = 0; k < others.Length; k++)
            {
                ulong[] edges = Edges(others[k]);
                columns[k + 1][i] = (round + k) % 2 == 0 ? edges[(value * (k + 1) + 7 * round) % edges.Length] : Random(random, others[k]);
            }
        }
        return columns;
    }

    /// <summary>Uniform bits, or (integers) few of them, or (floats) of a moderate exponent.</summary>
    private static ulong Random(Random random, string type)
    {
        int bits = Bits(type);
        ulong value = (ulong)random.NextInt64(long.MinValue, long.MaxValue) & Mask(bits);
        if (random.Next(2) == 0)
            return value;
        return type switch
        {
            "f32" => value & 0x807F_FFFF | (ulong)random.Next(110, 145) << 23,
            "f64" => value & 0x800F_FFFF_FFFF_FFFF | (ulong)random.Next(1000, 1050) << 52,
            "f16" => value & 0x83FF | (ulong)random.Next(8, 22) << 10,
            "bf16" => value & 0x807F | (ulong)random.Next(118, 138) << 7,
            _ => (random.Next(2) == 0 ? value >> random.Next(bits) : ~(value >> random.Next(bits))) & Mask(bits),
        };
    }
}
