namespace RawDiffusion.Diffusion.Likelihood;

/// <summary>The logarithm of the standard normal's cumulative probability, also where that is too small for a float.</summary>
internal static class LogNormalCdf
{
    // ln(erfc(z) / t) + z^2 with z = |x| / sqrt(2) and t = 2 / (2 + z), a smooth function of y = 2 t - 1 for all z >= 0, as a polynomial: its Chebyshev series cut
    // after twelve terms, which errs by 1.1e-8 at most. The powers of y rise.
    private static readonly double[] s_rest =
    [
        -0.671794091681, 0.672643154775, 0.047343887613, -0.04689364056, -0.00988001932412, 0.00880882536982,
        0.00179406624998, -0.00228876523959, -0.000227910966242, 0.000573766373002, 8.0007382553e-06, -8.72838105829e-05,
    ];

    // Its square is still a float.
    private const double Farthest = 1e18;

    /// <summary>
    /// ln P(Z &gt; |x|) + x^2 / 2, of the shape of x: what is smooth and of moderate size in the logarithm of a tail. At most 1.1e-8 and a rounding
    /// or two off.
    /// </summary>
    public static Tensor ScaledTail(Tensor x)
    {
        var t = 2 / ((x.Abs() * Math.Sqrt(0.5)).Clamp(0, Farthest) + 2);
        var y = t * 2 - 1;
        var rest = y * s_rest[^1] + s_rest[^2];
        for (int power = s_rest.Length - 3; power >= 0; power--)
            rest = rest * y + s_rest[power];
        // Half of erfc(z).
        return t.Log() + rest - Math.Log(2);
    }

    /// <summary>ln P(Z &lt;= x), of the shape of x. Its derivative is finite everywhere.</summary>
    /// <param name="scaledTail"><see cref="ScaledTail"/> of x.</param>
    public static Tensor Of(Tensor x, Tensor scaledTail)
    {
        var tail = scaledTail - x.Clamp(-Farthest, Farthest).Square() * 0.5;
        return F.Where(x.Gt(0), (1 - tail.Exp()).Log(), tail);
    }
}
