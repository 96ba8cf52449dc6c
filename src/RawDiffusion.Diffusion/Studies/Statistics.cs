namespace RawDiffusion.Diffusion.Studies;

/// <summary>What independent numbers say of the mean that they scatter about.</summary>
internal static class Statistics
{
    /// <summary>The mean and the unbiased standard deviation; of a single number that is 0.</summary>
    public static (double Mean, double Deviation) Moments(IReadOnlyCollection<double> values)
    {
        double mean = values.Average();
        return (mean, Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / Math.Max(1, values.Count - 1)));
    }

    /// <summary>The mean and its standard error.</summary>
    public static (double Mean, double Error) MeanWithError(IReadOnlyCollection<double> values)
    {
        var (mean, deviation) = Moments(values);
        return (mean, deviation / Math.Sqrt(values.Count));
    }
}
