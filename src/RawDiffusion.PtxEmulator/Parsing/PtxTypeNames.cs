namespace RawDiffusion.PtxEmulator.Parsing;

/// <summary>The names of the fundamental types. Source: PTX ISA, table "Fundamental Type Specifiers".</summary>
internal static class PtxTypeNames
{
    /// <summary>Bytes of a value in memory; 0 for a predicate; -1 for a name that is no type.</summary>
    public static int Bytes(ReadOnlySpan<char> name) => name switch
    {
        "b8" or "s8" or "u8" => 1,
        "b16" or "s16" or "u16" or "f16" or "bf16" => 2,
        "b32" or "s32" or "u32" or "f32" or "f16x2" or "bf16x2" or "tf32" => 4,
        "b64" or "s64" or "u64" or "f64" => 8,
        "b128" => 16,
        "pred" => 0,
        _ => -1,
    };
}
