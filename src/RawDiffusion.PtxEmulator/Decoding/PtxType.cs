namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>The fundamental types of PTX, and the packed and alternate ones that instructions name.</summary>
public enum PtxType : byte
{
    None,
    B8, B16, B32, B64, B128,
    U8, U16, U32, U64,
    S8, S16, S32, S64,
    F16, F32, F64,
    BF16, TF32,

    /// <summary>Two halves in a 32-bit register, the first in the low bits.</summary>
    F16x2, BF16x2,
    Pred,
}

public static class PtxTypes
{
    /// <summary>Bytes in memory; 0 for predicates, which are never stored.</summary>
    public static int Bytes(this PtxType type) => type switch
    {
        PtxType.B8 or PtxType.U8 or PtxType.S8 => 1,
        PtxType.B16 or PtxType.U16 or PtxType.S16 or PtxType.F16 or PtxType.BF16 => 2,
        PtxType.B32 or PtxType.U32 or PtxType.S32 or PtxType.F32 or PtxType.TF32 or PtxType.F16x2 or PtxType.BF16x2 => 4,
        PtxType.B64 or PtxType.U64 or PtxType.S64 or PtxType.F64 => 8,
        PtxType.B128 => 16,
        _ => 0,
    };

    public static bool IsSigned(this PtxType type) => type is PtxType.S8 or PtxType.S16 or PtxType.S32 or PtxType.S64;

    public static bool IsFloat(this PtxType type) => type is PtxType.F16 or PtxType.F32 or PtxType.F64 or PtxType.BF16 or PtxType.TF32 or PtxType.F16x2 or PtxType.BF16x2;
}
