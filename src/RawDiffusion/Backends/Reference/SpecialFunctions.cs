namespace RawDiffusion.Backends.Reference;

/// <summary>Functions that System.Math lacks, in float64 with about 15 digits.</summary>
public static class SpecialFunctions
{
    private const double TwoOverSqrtPi = 1.1283791670955126;

    /// <summary>Erf(x) = 2 / sqrt(pi) exp(-x^2) sum of 2^n x^(2n+1) / (2n+1)!!: no term cancels another. Near 1 by its complement.</summary>
    public static double Erf(double x)
    {
        if (Math.Abs(x) >= 3)
            return Math.Sign(x) * (1 - ErfC(Math.Abs(x)));
        double term = x, sum = x;
        for (int n = 1; Math.Abs(term) > 1e-18 * Math.Abs(sum); n++)
        {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return TwoOverSqrtPi * Math.Exp(-x * x) * sum;
    }

    /// <summary>1 - erf(x) without cancellation.</summary>
    public static double ErfC(double x)
    {
        // NaN takes neither branch.
        if (x < 2)
            return 1 - Erf(x);
        return Math.Exp(-x * x) / TailFraction(x);
    }

    /// <summary>ln(1 - erf(x)), also where 1 - erf(x) itself is too small to be told from 0.</summary>
    public static double LogErfC(double x) => x < 2 ? Math.Log(1 - Erf(x)) : -x * x - Math.Log(TailFraction(x));

    /// <summary>The distribution function of the standard normal.</summary>
    public static double NormalCdf(double x) => 0.5 * ErfC(-x / Math.Sqrt(2));

    /// <summary>log(1 + x): what rounding 1 + x loses is put back as a factor (Kahan).</summary>
    public static double Log1P(double x)
    {
        double u = 1 + x;
        return u == 1 ? x : double.IsFinite(u) && u > 0 ? Math.Log(u) * x / (u - 1) : Math.Log(u);
    }

    /// <summary>
    /// sqrt(pi) (x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...)))), which is exp(-x^2) / erfc(x) for x > 0, from the inside out: 60 levels
    /// are enough for 15 digits from 2 on.
    /// </summary>
    private static double TailFraction(double x)
    {
        double fraction = x;
        for (int n = 60; n >= 1; n--)
            fraction = x + n / 2.0 / fraction;
        return fraction * (2 / TwoOverSqrtPi);
    }
}
