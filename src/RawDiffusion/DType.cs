namespace RawDiffusion;

/// <summary>
/// Element types. Float32 on the fast devices, Float64 on the Reference device, Int32 for indices and labels everywhere. BFloat16 is how
/// a GPU may store activations; it computes and sums them in float32.
/// </summary>
public enum DType
{
    Float32,
    Float64,
    Int32,

    /// <summary>A float32 without its lower 16 bits: the same range, 8 bits of significand.</summary>
    BFloat16,
}

/// <summary>What is known of element types.</summary>
public static class DTypes
{
    /// <summary>Bytes of an element.</summary>
    public static int Size(this DType type) => type switch
    {
        DType.Float64 => 8,
        DType.BFloat16 => 2,
        _ => 4,
    };

    /// <summary>The element's type as messages write it.</summary>
    public static string Name(this DType type) => type switch
    {
        DType.Float32 => "float32",
        DType.Float64 => "float64",
        DType.BFloat16 => "bfloat16",
        _ => "int32",
    };
}
