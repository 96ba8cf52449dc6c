namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>Types as PTX writes them, and which registers an operand of a type may be.</summary>
internal static class TypeNames
{
    /// <summary>None where the name is no type.</summary>
    public static PtxType Parse(ReadOnlySpan<char> name) => name switch
    {
        "b8" => PtxType.B8,
        "b16" => PtxType.B16,
        "b32" => PtxType.B32,
        "b64" => PtxType.B64,
        "b128" => PtxType.B128,
        "u8" => PtxType.U8,
        "u16" => PtxType.U16,
        "u32" => PtxType.U32,
        "u64" => PtxType.U64,
        "s8" => PtxType.S8,
        "s16" => PtxType.S16,
        "s32" => PtxType.S32,
        "s64" => PtxType.S64,
        "f16" => PtxType.F16,
        "f32" => PtxType.F32,
        "f64" => PtxType.F64,
        "bf16" => PtxType.BF16,
        "tf32" => PtxType.TF32,
        "f16x2" => PtxType.F16x2,
        "bf16x2" => PtxType.BF16x2,
        "pred" => PtxType.Pred,
        _ => PtxType.None,
    };

    public static string Name(PtxType type) => type.ToString().ToLowerInvariant();

    public static bool IsBits(this PtxType type) => type is PtxType.B8 or PtxType.B16 or PtxType.B32 or PtxType.B64 or PtxType.B128;

    public static bool IsInteger(this PtxType type) => type is >= PtxType.U8 and <= PtxType.S64;

    public static bool IsUnsigned(this PtxType type) => type is >= PtxType.U8 and <= PtxType.U64;

    /// <summary>The untyped one of so many bytes.</summary>
    public static PtxType Bits(int bytes) => bytes switch
    {
        1 => PtxType.B8,
        2 => PtxType.B16,
        4 => PtxType.B32,
        8 => PtxType.B64,
        _ => PtxType.None,
    };

    /// <summary>
    /// Whether a register may stand where an instruction of a type wants an operand: of the same size, and integer or floating point like
    /// it or untyped. Where <paramref name="wider"/> is allowed (loads, stores, conversions) a larger one may too, unless it is a float.
    /// Source: PTX ISA, "Operand Size Exceeding Instruction-Type Size".
    /// </summary>
    public static bool Fits(PtxType register, PtxType wanted, bool wider)
    {
        if (register == PtxType.Pred || wanted == PtxType.Pred)
            return register == wanted;
        int have = register.Bytes(), want = wanted.Bytes();
        if (have != want)
            return wider && have > want && !register.IsFloat() && have <= 8;
        if (register.IsBits() || wanted.IsBits())
            return true;
        return register.IsFloat() == wanted.IsFloat();
    }
}
