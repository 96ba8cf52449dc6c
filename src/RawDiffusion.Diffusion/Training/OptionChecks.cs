namespace RawDiffusion.Diffusion.Training;

/// <summary>What the options of several presets have to satisfy; messages use the names of the command line.</summary>
internal static class OptionChecks
{
    public static void RequirePositive(string name, int value)
    {
        if (value < 1)
            throw new ArgumentException($"{name} must be at least 1, not {value}");
    }

    public static void RequireLearningRate(double value)
    {
        if (!(value > 0 && double.IsFinite(value)))
            throw new ArgumentException(FormattableString.Invariant($"lr must be a positive number, not {value}"));
    }
}
