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
