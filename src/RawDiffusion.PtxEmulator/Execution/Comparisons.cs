using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Comparisons, tests, and selection by predicates.</summary>
internal static unsafe class Comparisons
{
    public static nint Select(in Instruction i) => i.Opcode switch
    {
        Opcode.Setp => Compare<IntoPredicate>(i, i.Type),
        Opcode.Set => i.Type == PtxType.F32 ? Compare<IntoFloat>(i, i.SourceType) : Compare<IntoWord>(i, i.SourceType),
        Opcode.Selp => i.Type == PtxType.Pred ? 0 : i.Type.Bytes() == 8 ? At(&Select64) : At(&Select32),
        Opcode.Slct => Signed(i),
        Opcode.Testp => i.Type == PtxType.F64 ? At(&Test<double>) : At(&Test<float>),
        _ => 0,
    };

    /// <summary>What becomes of the 32 bits of a comparison.</summary>
    private struct IntoPredicate;

    private struct IntoWord;

    private struct IntoFloat;

    private static nint Compare<TInto>(in Instruction i, PtxType type) => type switch
    {
        PtxType.F32 when i.Has(InstructionFlags.Ftz) => Kind<TInto, float, Flushed>(i.Comparison),
        PtxType.F32 => Kind<TInto, float, AsIs>(i.Comparison),
        PtxType.F64 => Kind<TInto, double, AsIs>(i.Comparison),
        PtxType.F16 => Kind<TInto, float, FromHalf>(i.Comparison),
        PtxType.BF16 => Kind<TInto, float, FromBrain>(i.Comparison),
        PtxType.S16 => Kind<TInto, int, SignExtended>(i.Comparison),
        PtxType.U16 or PtxType.B16 or PtxType.U32 or PtxType.B32 => Kind<TInto, uint, AsIs>(i.Comparison),
        PtxType.S32 => Kind<TInto, int, AsIs>(i.Comparison),
        PtxType.U64 or PtxType.B64 => Kind<TInto, ulong, AsIs>(i.Comparison),
        PtxType.S64 => Kind<TInto, long, AsIs>(i.Comparison),
        _ => 0,
    };

    private static nint Kind<TInto, T, TRead>(Comparison comparison)
        where T : unmanaged => comparison switch
        {
            Comparison.Eq => At(&Apply<TInto, T, TRead, Eq>),
            Comparison.Ne => At(&Apply<TInto, T, TRead, Ne>),
            Comparison.Lt => At(&Apply<TInto, T, TRead, Lt>),
            Comparison.Le => At(&Apply<TInto, T, TRead, Le>),
            Comparison.Gt => At(&Apply<TInto, T, TRead, Gt>),
            Comparison.Ge => At(&Apply<TInto, T, TRead, Ge>),
            Comparison.Equ => At(&Apply<TInto, T, TRead, Equ>),
            Comparison.Neu => At(&Apply<TInto, T, TRead, Neu>),
            Comparison.Ltu => At(&Apply<TInto, T, TRead, Ltu>),
            Comparison.Leu => At(&Apply<TInto, T, TRead, Leu>),
            Comparison.Gtu => At(&Apply<TInto, T, TRead, Gtu>),
            Comparison.Geu => At(&Apply<TInto, T, TRead, Geu>),
            Comparison.Num => At(&Apply<TInto, T, TRead, Num>),
            Comparison.Nan => At(&Apply<TInto, T, TRead, Nan>),
            _ => 0,
        };

    private struct Eq;

    private struct Ne;

    private struct Lt;

    private struct Le;

    private struct Gt;

    private struct Ge;

    private struct Equ;

    private struct Neu;

    private struct Ltu;

    private struct Leu;

    private struct Gtu;

    private struct Geu;

    private struct Num;

    private struct Nan;

    /// <summary>How a register becomes the compared value.</summary>
    private struct AsIs;

    private struct Flushed;

    private struct SignExtended;

    private struct FromHalf;

    private struct FromBrain;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Apply<TInto, T, TRead, TKind>(Warp w, Instruction* i, uint mask)
        where T : unmanaged
    {
        byte* a = w.R + i->A, b = w.R + i->B;
        uint bits = 0;
        if (sizeof(T) == 4)
        {
            for (int half = 0; half < 2; half++)
            {
                Vector512<T> result = Test<T, TKind>(Read<T, TRead>(Lanes.Load32(a, half)), Read<T, TRead>(Lanes.Load32(b, half)));
                bits |= (uint)Vector512.ExtractMostSignificantBits(result.AsUInt32()) << (16 * half);
            }
        }
        else
        {
            for (int q = 0; q < 4; q++)
            {
                Vector512<T> result = Test<T, TKind>(Lanes.Load64(a, q).As<ulong, T>(), Lanes.Load64(b, q).As<ulong, T>());
                bits |= (uint)Vector512.ExtractMostSignificantBits(result.AsUInt64()) << (8 * q);
            }
        }
        uint second = ~bits;
        if (i->C >= 0)
        {
            uint c = Lanes.Predicate(w.R + i->C, i);
            (bits, second) = i->Combine switch
            {
                BooleanOperation.And => (bits & c, second & c),
                BooleanOperation.Or => (bits | c, second | c),
                BooleanOperation.Xor => (bits ^ c, second ^ c),
                _ => (bits, second),
            };
        }
        if (typeof(TInto) == typeof(IntoPredicate))
        {
            if (i->D >= 0)
                Lanes.StorePredicate(w.R + i->D, bits, mask);
            if (i->ListCount > 0)
                Lanes.StorePredicate(w.R + w.Operands[i->List], second, mask);
            return;
        }
        Vector512<uint> one = Vector512.Create(typeof(TInto) == typeof(IntoFloat) ? 0x3F800000u : uint.MaxValue);
        Lanes.Store32(w.R + i->D, Lanes.Select32(bits) & one, Lanes.Select32(bits >> 16) & one, mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<T> Read<T, TRead>(Vector512<uint> value)
        where T : unmanaged
    {
        if (typeof(TRead) == typeof(SignExtended))
            return Integers.Extend16(value).As<int, T>();
        if (typeof(TRead) == typeof(Flushed))
            return Floats.Flush(value.AsSingle()).As<float, T>();
        if (typeof(TRead) == typeof(FromHalf))
            return HalfVectors.Widen(value).As<float, T>();
        if (typeof(TRead) == typeof(FromBrain))
            return Vector512.ShiftLeft(value, 16).As<uint, T>();
        return value.As<uint, T>();
    }

    // Vector comparisons are false where an operand is NaN; the unordered forms negate the opposite one.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<T> Test<T, TKind>(Vector512<T> a, Vector512<T> b)
    {
        if (typeof(TKind) == typeof(Eq))
            return Vector512.Equals(a, b);
        if (typeof(TKind) == typeof(Ne))
            return Ordered(a, b) & ~Vector512.Equals(a, b);
        if (typeof(TKind) == typeof(Lt))
            return Vector512.LessThan(a, b);
        if (typeof(TKind) == typeof(Le))
            return Vector512.LessThanOrEqual(a, b);
        if (typeof(TKind) == typeof(Gt))
            return Vector512.GreaterThan(a, b);
        if (typeof(TKind) == typeof(Ge))
            return Vector512.GreaterThanOrEqual(a, b);
        if (typeof(TKind) == typeof(Equ))
            return Vector512.Equals(a, b) | ~Ordered(a, b);
        if (typeof(TKind) == typeof(Neu))
            return ~Vector512.Equals(a, b);
        if (typeof(TKind) == typeof(Ltu))
            return ~Vector512.GreaterThanOrEqual(a, b);
        if (typeof(TKind) == typeof(Leu))
            return ~Vector512.GreaterThan(a, b);
        if (typeof(TKind) == typeof(Gtu))
            return ~Vector512.LessThanOrEqual(a, b);
        if (typeof(TKind) == typeof(Geu))
            return ~Vector512.LessThan(a, b);
        if (typeof(TKind) == typeof(Num))
            return Ordered(a, b);
        return ~Ordered(a, b);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<T> Ordered<T>(Vector512<T> a, Vector512<T> b) => Vector512.Equals(a, a) & Vector512.Equals(b, b);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Select32(Warp w, Instruction* i, uint mask)
    {
        uint c = Lanes.Predicate(w.R + i->C, i);
        byte* a = w.R + i->A, b = w.R + i->B;
        Lanes.Store32(w.R + i->D,
            Vector512.ConditionalSelect(Lanes.Select32(c), Lanes.Load32(a, 0), Lanes.Load32(b, 0)),
            Vector512.ConditionalSelect(Lanes.Select32(c >> 16), Lanes.Load32(a, 1), Lanes.Load32(b, 1)), mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Select64(Warp w, Instruction* i, uint mask)
    {
        uint c = Lanes.Predicate(w.R + i->C, i);
        for (int q = 0; q < 4; q++)
        {
            Lanes.Store64(w.R + i->D,
                Vector512.ConditionalSelect(Lanes.Select64(c >> (8 * q)), Lanes.Load64(w.R + i->A, q), Lanes.Load64(w.R + i->B, q)), q, mask);
        }
    }

    private static nint Signed(in Instruction i) => (i.Type.Bytes(), i.SourceType) switch
    {
        (8, PtxType.S32) => At(&SelectBySign<ulong, int>),
        (8, PtxType.F32) => At(&SelectBySign<ulong, float>),
        (2 or 4, PtxType.S32) => At(&SelectBySign<uint, int>),
        (2 or 4, PtxType.F32) => At(&SelectBySign<uint, float>),
        _ => 0,
    };

    private static void SelectBySign<T, TC>(Warp w, Instruction* i, uint mask)
        where T : unmanaged
        where TC : unmanaged, INumber<TC>
    {
        T* a = (T*)(w.R + i->A), b = (T*)(w.R + i->B), d = (T*)(w.R + i->D);
        TC* c = (TC*)(w.R + i->C);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            TC value = c[lane];
            // NaN selects b; with .ftz a small negative number counts as zero.
            if (typeof(TC) == typeof(float) && i->Has(InstructionFlags.Ftz) && float.IsSubnormal((float)(object)value))
                value = TC.Zero;
            d[lane] = value >= TC.Zero ? a[lane] : b[lane];
        }
    }

    private static void Test<T>(Warp w, Instruction* i, uint mask)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T* a = (T*)(w.R + i->A);
        uint bits = 0;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            T value = a[lane];
            bool belongs = (FloatClass)i->Mode switch
            {
                FloatClass.Finite => T.IsFinite(value),
                FloatClass.Infinite => T.IsInfinity(value),
                FloatClass.Number => !T.IsNaN(value),
                FloatClass.NotANumber => T.IsNaN(value),
                // Zeros count as normal here.
                FloatClass.Normal => T.IsNormal(value) || T.IsZero(value),
                _ => T.IsSubnormal(value),
            };
            bits |= belongs ? 1u << lane : 0;
        }
        Lanes.StorePredicate(w.R + i->D, bits, mask);
    }
}
