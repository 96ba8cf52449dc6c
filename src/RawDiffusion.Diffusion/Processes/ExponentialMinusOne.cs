namespace RawDiffusion.Diffusion.Processes;

internal static class ExponentialMinusOne
{
    /// <summary>exp(x) - 1 to full precision for any x, -1 for negative infinity: 2 exp(x / 2) sinh(x / 2).</summary>
    public static double Expm1(double x) => double.IsNegativeInfinity(x) ? -1 : 2 * Math.Exp(0.5 * x) * Math.Sinh(0.5 * x);
}
