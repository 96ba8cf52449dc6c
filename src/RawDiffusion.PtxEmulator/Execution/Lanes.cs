using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Registers as vectors: 32 lanes of 32 bits are two vectors, of 64 bits four. Only the lanes of a mask are written.</summary>
internal static unsafe class Lanes
{
    public const uint All = uint.MaxValue;

    /// <summary>All ones in the 16 elements whose bit of <paramref name="mask"/> is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Select32(uint mask)
    {
        var bits = Vector512.Create(1u, 1u << 1, 1u << 2, 1u << 3, 1u << 4, 1u << 5, 1u << 6, 1u << 7,
            1u << 8, 1u << 9, 1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15);
        return Vector512.Equals(Vector512.Create(mask) & bits, bits);
    }

    /// <summary>All ones in the 8 elements whose bit of <paramref name="mask"/> is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ulong> Select64(uint mask)
    {
        var bits = Vector512.Create(1ul, 1ul << 1, 1ul << 2, 1ul << 3, 1ul << 4, 1ul << 5, 1ul << 6, 1ul << 7);
        return Vector512.Equals(Vector512.Create((ulong)mask) & bits, bits);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Load32(byte* register, int half) => Vector512.Load((uint*)register + 16 * half);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ulong> Load64(byte* register, int quarter) => Vector512.Load((ulong*)register + 8 * quarter);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store32(byte* register, Vector512<uint> low, Vector512<uint> high, uint mask)
    {
        if (mask != All)
        {
            low = Vector512.ConditionalSelect(Select32(mask), low, Load32(register, 0));
            high = Vector512.ConditionalSelect(Select32(mask >> 16), high, Load32(register, 1));
        }
        low.Store((uint*)register);
        high.Store((uint*)register + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store64(byte* register, Vector512<ulong> value, int quarter, uint mask)
    {
        if (mask != All)
            value = Vector512.ConditionalSelect(Select64(mask >> (8 * quarter)), value, Load64(register, quarter));
        value.Store((ulong*)register + 8 * quarter);
    }

    /// <summary>Bits of a comparison's 32 results, lane 0 lowest.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Bits(Vector512<uint> low, Vector512<uint> high) =>
        (uint)Vector512.ExtractMostSignificantBits(low) | ((uint)Vector512.ExtractMostSignificantBits(high) << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePredicate(byte* predicate, uint value, uint mask) =>
        *(uint*)predicate = (*(uint*)predicate & ~mask) | (value & mask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Predicate(byte* predicate, Decoding.Instruction* i) =>
        *(uint*)predicate ^ (uint)-(int)(((uint)i->Flags >> 1) & 1);

    /// <summary>The value in the lowest lane of the mask: for operands that must be the same in all lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint First32(byte* register, uint mask) => ((uint*)register)[System.Numerics.BitOperations.TrailingZeroCount(mask)];
}
