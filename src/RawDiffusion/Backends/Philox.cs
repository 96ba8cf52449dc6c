namespace RawDiffusion.Backends;

/// <summary>
/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): a counter-based generator.
/// Block n of a stream is a function of (seed, stream, offset + n) alone, so any thread or device can make any part of it.
/// </summary>
public static class Philox
{
    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;

    /// <summary>The four 32-bit integers of block <paramref name="block"/>: counter = (Offset + block) low and high word, then Stream low and high word.</summary>
    public static (uint R0, uint R1, uint R2, uint R3) Block(PhiloxState state, ulong block)
    {
        ulong counter = state.Offset + block;
        return Rounds(
            (uint)counter, (uint)(counter >> 32), (uint)state.Stream, (uint)(state.Stream >> 32),
            (uint)state.Seed, (uint)(state.Seed >> 32));
    }

    /// <summary>The ten rounds on an explicit counter and key.</summary>
    public static (uint R0, uint R1, uint R2, uint R3) Rounds(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (int round = 0; round < 10; round++)
        {
            ulong product0 = (ulong)Multiplier0 * c0, product1 = (ulong)Multiplier1 * c2;
            (c0, c1, c2, c3) = ((uint)(product1 >> 32) ^ c1 ^ k0, (uint)product1, (uint)(product0 >> 32) ^ c3 ^ k1, (uint)product0);
            k0 += Weyl0;
            k1 += Weyl1;
        }
        return (c0, c1, c2, c3);
    }

    /// <summary>The 32-bit integer of element <paramref name="index"/>: lane index % 4 of block index / 4.</summary>
    public static uint Element(PhiloxState state, int index)
    {
        var (r0, r1, r2, r3) = Block(state, (ulong)index / 4);
        return (index & 3) switch { 0 => r0, 1 => r1, 2 => r2, _ => r3 };
    }

    /// <summary>
    /// An integer in [0, range) for element <paramref name="index"/>, each equally likely (Lemire 2019, "Fast random integer
    /// generation in an interval"): the high word of r * range, with r redrawn while the low word is below 2^32 mod range.
    /// Redraw k uses the element's lane with the stream's top bits set to k, so that it needs no shared state.
    /// </summary>
    public static uint Integer(PhiloxState state, int index, uint range)
    {
        ulong product = (ulong)Element(state, index) * range;
        uint threshold = (uint)(0u - range) % range;
        for (ulong attempt = 1; (uint)product < threshold; attempt++)
            product = (ulong)Element(state with { Stream = state.Stream ^ attempt << 48 }, index) * range;
        return (uint)(product >> 32);
    }
}
