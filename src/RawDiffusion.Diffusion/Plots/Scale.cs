namespace RawDiffusion.Diffusion.Plots;

/// <summary>An axis: maps values to pixels.</summary>
internal readonly struct Scale
{
    /// <summary>An axis must extend over this much of its largest value, or its numbers could not be told apart.</summary>
    public const double LeastExtent = 1e-9;

    private readonly double _from, _factor, _offset;

    /// <param name="start">Pixel of <paramref name="low"/>.</param>
    /// <param name="end">Pixel of <paramref name="high"/>.</param>
    public Scale(double low, double high, double start, double end, bool logarithmic)
    {
        (Low, High, Logarithmic) = (low, high, logarithmic);
        _from = Linearize(low);
        _factor = (end - start) / (Linearize(high) - _from);
        _offset = start;
    }

    public double Low { get; }

    public double High { get; }

    public bool Logarithmic { get; }

    /// <summary>The pixel of a value; not finite where the value cannot be shown.</summary>
    public double this[double value] => _offset + (Linearize(value) - _from) * _factor;

    /// <summary>Whether two values can be the ends of an axis.</summary>
    public static bool IsAxis(double low, double high, bool logarithmic = false) =>
        high - low > LeastExtent * Math.Max(Math.Abs(low), Math.Abs(high)) && double.IsFinite(high - low) && !(logarithmic && low <= 0);

    private double Linearize(double value) => Logarithmic ? value > 0 ? Math.Log10(value) : double.NaN : value;

    /// <summary>The limits of an axis that shows all finite values with a margin of a twentieth on either side.</summary>
    public static (double Low, double High) Limits(IEnumerable<double> values, bool logarithmic)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach (double value in values)
        {
            if (!double.IsFinite(value) || (logarithmic && value <= 0))
                continue;
            double shown = logarithmic ? Math.Log10(value) : value;
            (low, high) = (Math.Min(low, shown), Math.Max(high, shown));
        }
        if (low > high)
            (low, high) = (0, 1);
        double margin = high - low > LeastExtent * Math.Max(Math.Abs(low), Math.Abs(high))
            ? 0.05 * (high - low)
            : Math.Max(0.5, 0.1 * Math.Abs(high));
        (low, high) = (low - margin, high + margin);
        return logarithmic ? (Math.Pow(10, low), Math.Pow(10, high)) : (low, high);
    }
}
