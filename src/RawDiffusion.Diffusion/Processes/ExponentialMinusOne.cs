namespace RawDiffusion.Diffusion.Processes;

internal static class ExponentialMinusOne
{
    /// <summary>exp(x) - 1 to full precision for any x: 2 exp(x / 2) sinh(x / 2), but where nothing is lost, since far below 0 that is 0 times infinity.</summary>
    public static double Expm1(double x) => x < -1 ? Math.Exp(x) - 1 : 2 * Math.Exp(0.5 * x) * Math.Sinh(0.5 * x);

    /// <summary>ln(1 + x) to full precision for any x from -1 on: what rounding took from 1 + x is lost from its logarithm in proportion.</summary>
    public static double Log1p(double x)
    {
        double sum = 1 + x;
        return sum == 1 || double.IsPositiveInfinity(sum) ? x : Math.Log(sum) * (x / (sum - 1));
    }
}
