using System.Globalization;

namespace RawDiffusion.Verification.Bench.Output;

/// <summary>A logarithmic axis over a range of a picture.</summary>
/// <param name="low">The least value; more than 0.</param>
/// <param name="from">Where in the picture it is.</param>
/// <param name="to">Where the largest value is.</param>
internal sealed class LogAxis(double low, double high, double from, double to)
{
    private readonly double _low = Math.Log10(low), _high = Math.Log10(high);

    public double Low => low;

    public double High => high;

    public double At(double value) => from + (Math.Log10(value) - _low) / (_high - _low) * (to - from);

    /// <summary>The powers of ten in it, and where there are few of them 2 and 5 times those.</summary>
    public IEnumerable<(double Value, string Text)> Ticks()
    {
        double[] factors = _high - _low < 2.2 ? [1, 2, 5] : [1];
        for (int power = (int)Math.Floor(_low); power <= (int)Math.Ceiling(_high); power++)
        {
            foreach (double factor in factors)
            {
                double value = factor * Math.Pow(10, power);
                if (value >= low * 0.999 && value <= high * 1.001)
                    yield return (value, value.ToString(value >= 1 ? "#,0" : "0.######", CultureInfo.InvariantCulture));
            }
        }
    }
}
