namespace RawDiffusion.Backends.Reference;

public sealed partial class ReferenceBackend
{
    public override void Uniform(PhiloxState state, double low, double high, Storage y)
    {
        var to = D(y);
        for (int i = 0; i < to.Length; i++)
            to[i] = low + (high - low) * UnitUniform(state, i);
    }

    public override void Normal(NormalMethod method, PhiloxState state, Storage y)
    {
        var to = D(y);
        for (int i = 0; i < to.Length; i++)
            to[i] = method == NormalMethod.BoxMuller ? BoxMuller(state, i) : InverseCdf(state, i);
    }

    public override void Integers(PhiloxState state, int low, int high, Storage y)
    {
        var to = I(y);
        for (int i = 0; i < to.Length; i++)
            to[i] = (int)(low + (long)Philox.Integer(state, i, (uint)((long)high - low)));
    }

    public override void Dropout(PhiloxState state, double p, Storage x, Storage y)
    {
        Span<double> from = D(x), to = D(y);
        for (int i = 0; i < to.Length; i++)
            to[i] = UnitUniform(state, i) >= p ? from[i] / (1 - p) : 0;
    }

    private static double UnitUniform(PhiloxState state, int index) => (Philox.Element(state, index) >> 8) / 16777216.0;

    private static double BoxMuller(PhiloxState state, int index)
    {
        int pair = index & ~1;
        double u1 = ((Philox.Element(state, pair) >> 8) + 1) / 16777216.0;
        double u2 = (Philox.Element(state, pair + 1) >> 8) / 16777216.0;
        double radius = Math.Sqrt(-2 * Math.Log(u1));
        return radius * (index == pair ? Math.Cos(2 * Math.PI * u2) : Math.Sin(2 * Math.PI * u2));
    }

    /// <summary>sqrt(2) erfinv(v) is the quantile of probability (1 + v) / 2.</summary>
    private static double InverseCdf(PhiloxState state, int index)
    {
        double v = (2.0 * (Philox.Element(state, index) >> 9) + 1) / 8388608.0 - 1;
        return NormalQuantile(v / 2);
    }

    /// <summary>
    /// The normal quantile of probability 0.5 + <paramref name="q"/>, to about 16 digits: three rational functions of Wichura 1988,
    /// "Algorithm AS 241: The percentage points of the normal distribution" (PPND16), of which the third, for probabilities
    /// below 1.4e-11, is left out: the 24 bits of a uniform number end at 6e-8.
    /// </summary>
    internal static double NormalQuantile(double q)
    {
        if (Math.Abs(q) <= 0.425)
        {
            double r = 0.180625 - q * q;
            return q * Polynomial(
                    r, 3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
                    45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727)
                / Polynomial(
                    r, 1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077,
                    21213.794301586595867, 39307.89580009271061, 28729.085735721942674, 5226.495278852545925);
        }
        double t = Math.Sqrt(-Math.Log(0.5 - Math.Abs(q))) - 1.6;
        double quantile = Polynomial(
                t, 1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
                1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4)
            / Polynomial(
                t, 1, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455,
                0.14810397642748007459, 0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9);
        return q < 0 ? -quantile : quantile;
    }

    /// <summary>c[0] + c[1] x + c[2] x^2 + ...</summary>
    private static double Polynomial(double x, params ReadOnlySpan<double> c)
    {
        double sum = 0;
        for (int i = c.Length - 1; i >= 0; i--)
            sum = sum * x + c[i];
        return sum;
    }
}
