namespace RawDiffusion;

/// <summary>
/// Element types. Float32 on the fast devices, Float64 on the Reference device, Int32 for indices and labels everywhere.
/// </summary>
public enum DType
{
    Float32,
    Float64,
    Int32,
}
