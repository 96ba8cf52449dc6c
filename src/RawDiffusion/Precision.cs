namespace RawDiffusion;

/// <summary>What a network computes in. Parameters, statistics, sums, losses and optimizers are float32 in every one.</summary>
public enum Precision
{
    /// <summary>Activations in float32, products of float32.</summary>
    Float32,

    /// <summary>Activations in float32; tensor cores multiply them with 10 fraction bits and add up in float32.</summary>
    Tf32,

    /// <summary>Activations and rounded weights in bfloat16 (7 fraction bits), added up in float32.</summary>
    BFloat16,
}

/// <summary>The names of precisions on a command line and in files.</summary>
public static class Precisions
{
    /// <summary>fp32, tf32 or bf16.</summary>
    public static string Name(this Precision precision) => precision switch
    {
        Precision.Float32 => "fp32",
        Precision.Tf32 => "tf32",
        _ => "bf16",
    };

    /// <summary>All names.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Enum.GetValues<Precision>().Select(precision => precision.Name())];

    /// <exception cref="ArgumentException">No such precision; the message lists those there are.</exception>
    public static Precision Parse(string name)
    {
        foreach (var precision in Enum.GetValues<Precision>())
        {
            if (precision.Name() == name)
                return precision;
        }
        throw new ArgumentException($"unknown precision '{name}'; there are: {string.Join(", ", Names)}");
    }
}
