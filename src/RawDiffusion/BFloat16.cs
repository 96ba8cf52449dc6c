namespace RawDiffusion;

/// <summary>Between float32 and the bits of bfloat16, as the kernels do it.</summary>
internal static class BFloat16
{
    /// <summary>The nearest bfloat16, the even one of two that are equally near; NaN stays NaN.</summary>
    public static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)0x7fff : (ushort)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }

    public static float Value(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
