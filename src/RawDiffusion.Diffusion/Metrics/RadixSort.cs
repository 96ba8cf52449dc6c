using System.Runtime.InteropServices;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>
/// Sorts floats by their bits, eleven at a time: three passes over the data instead of the n log n unpredictable comparisons of
/// a general sort, which is what most of the time of a sliced distance would go into.
/// </summary>
internal static class RadixSort
{
    private const int DigitBits = 11;
    private const int Buckets = 1 << DigitBits;
    private const uint DigitMask = Buckets - 1;
    private const uint SignBit = 1u << 31;

    /// <summary>Sorts in ascending order: -0 before +0, NaN at the ends by its sign.</summary>
    /// <param name="spare">At least as long as <paramref name="values"/>; its contents are lost.</param>
    public static void Sort(Span<float> values, Span<float> spare)
    {
        var keys = MemoryMarshal.Cast<float, uint>(values);
        var other = MemoryMarshal.Cast<float, uint>(spare)[..keys.Length];
        Span<int> counts = stackalloc int[3 * Buckets];
        counts.Clear();
        Span<int> low = counts[..Buckets], middle = counts.Slice(Buckets, Buckets), high = counts[(2 * Buckets)..];
        foreach (ref uint key in keys)
        {
            // Positive floats are ordered as their bits are, negative ones in reverse; this makes both ascend, negatives first.
            key ^= (uint)((int)key >> 31) | SignBit;
            low[(int)(key & DigitMask)]++;
            middle[(int)(key >> DigitBits & DigitMask)]++;
            high[(int)(key >> 2 * DigitBits)]++;
        }
        Scatter(keys, other, low, 0);
        Scatter(other, keys, middle, DigitBits);
        Scatter(keys, other, high, 2 * DigitBits);
        for (int i = 0; i < keys.Length; i++)
            keys[i] = other[i] ^ ((uint)~((int)other[i] >> 31) | SignBit);
    }

    /// <summary>Moves the keys to where their digit belongs, those of equal digit in the order they come.</summary>
    private static void Scatter(ReadOnlySpan<uint> from, Span<uint> to, Span<int> counts, int shift)
    {
        int start = 0;
        foreach (ref int count in counts)
            (start, count) = (start + count, start);
        foreach (uint key in from)
            to[counts[(int)(key >> shift & DigitMask)]++] = key;
    }
}
