namespace RawDiffusion.IO;

/// <summary>
/// The five filters of PNG (specification, section 9): a byte is written as its difference from a prediction out of the bytes
/// to the left, above, and above to the left, counted in whole pixels.
/// </summary>
internal static class PngFilter
{
    public const byte Last = 4;

    /// <summary>
    /// Writes filter number and filtered row. The answer is the sum of the bytes as signed magnitudes: the row whose sum is
    /// least is likely to compress best (the specification's heuristic, section 12.7).
    /// </summary>
    public static long Apply(byte filter, ReadOnlySpan<byte> row, ReadOnlySpan<byte> above, int pixelBytes, Span<byte> result)
    {
        result[0] = filter;
        long cost = 0;
        for (int i = 0; i < row.Length; i++)
        {
            int left = i >= pixelBytes ? row[i - pixelBytes] : 0, upLeft = i >= pixelBytes ? above[i - pixelBytes] : 0;
            byte difference = (byte)(row[i] - Predict(filter, left, above[i], upLeft));
            result[i + 1] = difference;
            cost += Math.Abs((int)(sbyte)difference);
        }
        return cost;
    }

    /// <summary>Turns a filtered row, without its filter number, into bytes of pixels, in place.</summary>
    public static void Undo(byte filter, Span<byte> row, ReadOnlySpan<byte> above, int pixelBytes)
    {
        if (filter == 0)
            return;
        for (int i = 0; i < row.Length; i++)
        {
            int left = i >= pixelBytes ? row[i - pixelBytes] : 0, upLeft = i >= pixelBytes ? above[i - pixelBytes] : 0;
            row[i] += (byte)Predict(filter, left, above[i], upLeft);
        }
    }

    private static int Predict(byte filter, int left, int up, int upLeft) => filter switch
    {
        0 => 0,
        1 => left,
        2 => up,
        3 => (left + up) / 2,
        _ => Paeth(left, up, upLeft),
    };

    private static int Paeth(int left, int up, int upLeft)
    {
        int estimate = left + up - upLeft;
        int toLeft = Math.Abs(estimate - left), toUp = Math.Abs(estimate - up), toUpLeft = Math.Abs(estimate - upLeft);
        return toLeft <= toUp && toLeft <= toUpLeft ? left : toUp <= toUpLeft ? up : upLeft;
    }
}
