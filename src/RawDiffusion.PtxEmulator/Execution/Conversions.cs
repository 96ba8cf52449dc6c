using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Elementwise;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>cvt: between all widths of integers and all floating-point formats. The common ones by vectors, all by one general routine.</summary>
internal static unsafe class Conversions
{
    public static nint Select(in Instruction i)
    {
        nint fast = Fast(i);
        if (fast != 0)
            return fast;
        if (i.Type is PtxType.BF16x2 or PtxType.F16x2)
            return i.SourceType == PtxType.F32 && i.B >= 0 ? At(&Pair) : 0;
        return Known(i.Type) && Known(i.SourceType) ? At(&General) : 0;

        static bool Known(PtxType type) => type.Bytes() is 1 or 2 or 4 or 8;
    }

    private static nint Fast(in Instruction i)
    {
        bool plain = (i.Flags & (InstructionFlags.Sat | InstructionFlags.Ftz | InstructionFlags.Relu)) == 0;
        if (i.Type == PtxType.F32 && i.SourceType == PtxType.F32 && i.Rounding == Rounding.None && i.Flags == InstructionFlags.Sat)
            return At(&Unary<SaturateSingle, float>);
        if (!plain || (i.Flags & ~InstructionFlags.GuardNegated) != 0)
            return 0;
        int declared = i.DeclaredType.Bytes();
        return (i.Type, i.SourceType, i.Rounding) switch
        {
            (PtxType.F32, PtxType.S32, Rounding.Nearest) => At(&Unary<FromInt, uint>),
            (PtxType.F32, PtxType.U32, Rounding.Nearest) => At(&Unary<FromUInt, uint>),
            (PtxType.F32, PtxType.F32, Rounding.NearestInteger) => At(&Unary<RoundSingle, float>),
            (PtxType.F32, PtxType.F32, Rounding.ZeroInteger) => At(&Unary<TruncateSingle, float>),
            (PtxType.F32, PtxType.F32, Rounding.DownInteger) => At(&Unary<FloorSingle, float>),
            (PtxType.F32, PtxType.F32, Rounding.UpInteger) => At(&Unary<CeilingSingle, float>),
            (PtxType.S32, PtxType.F32, Rounding.ZeroInteger) when declared == 4 => At(&Unary<ToInt<TruncateSingle>, uint>),
            (PtxType.S32, PtxType.F32, Rounding.NearestInteger) when declared == 4 => At(&Unary<ToInt<RoundSingle>, uint>),
            (PtxType.S32, PtxType.F32, Rounding.DownInteger) when declared == 4 => At(&Unary<ToInt<FloorSingle>, uint>),
            (PtxType.S32, PtxType.F32, Rounding.UpInteger) when declared == 4 => At(&Unary<ToInt<CeilingSingle>, uint>),
            (PtxType.U64 or PtxType.S64, PtxType.U32, Rounding.None) => At(&WidenUnsigned),
            (PtxType.U64 or PtxType.S64, PtxType.S32, Rounding.None) => At(&WidenSigned),
            (PtxType.U32 or PtxType.S32, PtxType.U64 or PtxType.S64, Rounding.None) when declared == 4 => At(&NarrowWord),
            (PtxType.F32, PtxType.F16, Rounding.None) => At(&Unary<FromHalf, uint>),
            (PtxType.F32, PtxType.BF16, Rounding.None) => At(&Unary<FromBrain, uint>),
            (PtxType.BF16, PtxType.F32, Rounding.Nearest) => At(&Unary<ToBrain, uint>),
            (PtxType.TF32, PtxType.F32, Rounding.NearestAway) => At(&Unary<ToTf32, uint>),
            (PtxType.BF16x2, PtxType.F32, Rounding.Nearest) => At(&Binary<ToBrainPair, uint>),
            _ => 0,
        };
    }

    private readonly struct SaturateSingle : IUnary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a) => Floats.Saturate(a);
    }

    private readonly struct FromInt : IUnary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a) => Vector512.ConvertToSingle(a.AsInt32()).AsUInt32();
    }

    private readonly struct FromUInt : IUnary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a) => Vector512.ConvertToSingle(a).AsUInt32();
    }

    private readonly struct RoundSingle : IUnary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a) => Floats.Canonical(Vector512.Round(a));
    }

    private readonly struct TruncateSingle : IUnary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a) => Floats.Canonical(Vector512.Truncate(a));
    }

    private readonly struct FloorSingle : IUnary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a) => Floats.Canonical(Vector512.Floor(a));
    }

    private readonly struct CeilingSingle : IUnary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a) => Floats.Canonical(Vector512.Ceiling(a));
    }

    /// <summary>Numbers out of range become the nearest integer of the type, NaN becomes 0: as the vector conversion does it.</summary>
    private readonly struct ToInt<TRound> : IUnary<uint>
        where TRound : struct, IUnary<float>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a) => Vector512.ConvertToInt32(TRound.Invoke(a.AsSingle())).AsUInt32();
    }

    private readonly struct FromHalf : IUnary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a) => Floats.Canonical(HalfVectors.Widen(a)).AsUInt32();
    }

    private readonly struct FromBrain : IUnary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a) => Floats.Canonical(Vector512.ShiftLeft(a, 16).AsSingle()).AsUInt32();
    }

    private readonly struct ToBrain : IUnary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a) => HalfVectors.NarrowToBrain(a.AsSingle());
    }

    /// <summary>Half of the last of 10 fraction bits is added to the magnitude, and what lies below it cut off: a carry goes where it belongs, to infinity too.</summary>
    private readonly struct ToTf32 : IUnary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a)
        {
            var rounded = (a + Vector512.Create(0x1000u)) & Vector512.Create(0xFFFFE000u);
            return Vector512.ConditionalSelect(Vector512.Equals(a.AsSingle(), a.AsSingle()).AsUInt32(), rounded, Vector512.Create(0x7FFFFFFFu));
        }
    }

    private readonly struct ToBrainPair : IBinary<uint>
    {
        public static Vector512<uint> Invoke(Vector512<uint> a, Vector512<uint> b) =>
            Vector512.ShiftLeft(HalfVectors.NarrowToBrain(a.AsSingle()), 16) | HalfVectors.NarrowToBrain(b.AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WidenUnsigned(Warp w, Instruction* i, uint mask)
    {
        for (int q = 0; q < 4; q++)
        {
            (Vector256<ulong> low, Vector256<ulong> high) = Vector256.Widen(Vector256.Load((uint*)(w.R + i->A) + 8 * q));
            Lanes.Store64(w.R + i->D, Vector512.Create(low, high), q, mask);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WidenSigned(Warp w, Instruction* i, uint mask)
    {
        for (int q = 0; q < 4; q++)
        {
            (Vector256<long> low, Vector256<long> high) = Vector256.Widen(Vector256.Load((int*)(w.R + i->A) + 8 * q));
            Lanes.Store64(w.R + i->D, Vector512.Create(low, high).AsUInt64(), q, mask);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void NarrowWord(Warp w, Instruction* i, uint mask)
    {
        byte* a = w.R + i->A;
        Lanes.Store32(w.R + i->D,
            Vector512.Narrow(Lanes.Load64(a, 0), Lanes.Load64(a, 1)), Vector512.Narrow(Lanes.Load64(a, 2), Lanes.Load64(a, 3)), mask);
    }

    /// <summary>Two singles to a pair of halves or bfloat16: A is the upper one.</summary>
    private static void Pair(Warp w, Instruction* i, uint mask)
    {
        float* a = (float*)(w.R + i->A), b = (float*)(w.R + i->B);
        uint* d = (uint*)(w.R + i->D);
        PtxType type = i->Type == PtxType.BF16x2 ? PtxType.BF16 : PtxType.F16;
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            d[lane] = (uint)FromFloat(i, type, a[lane]) << 16 | (uint)FromFloat(i, type, b[lane]);
        }
    }

    private static void General(Warp w, Instruction* i, uint mask)
    {
        PtxType from = i->SourceType, to = i->Type;
        bool wideSource = from.Bytes() == 8, wide = i->DeclaredType.Bytes() == 8 || to.Bytes() == 8;
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            ulong bits = wideSource ? ((ulong*)(w.R + i->A))[lane] : ((uint*)(w.R + i->A))[lane];
            ulong result;
            if (from.IsFloat())
                result = FromFloat(i, to, Read(from, bits, i->Has(InstructionFlags.Ftz)));
            else
                result = FromInteger(i, to, ReadInteger(from, bits));
            if (wide)
                ((ulong*)(w.R + i->D))[lane] = result;
            else
                ((uint*)(w.R + i->D))[lane] = (uint)result;
        }
    }

    private static double Read(PtxType type, ulong bits, bool flush)
    {
        double value = type switch
        {
            PtxType.F16 => HalfVectors.FromHalf((uint)bits & 0xFFFF),
            PtxType.BF16 => HalfVectors.FromBrain((uint)bits & 0xFFFF),
            PtxType.F64 => BitConverter.UInt64BitsToDouble(bits),
            _ => BitConverter.UInt32BitsToSingle((uint)bits),
        };
        return flush && type == PtxType.F32 && float.IsSubnormal((float)value) ? Math.CopySign(0.0, value) : value;
    }

    private static Int128 ReadInteger(PtxType type, ulong bits) => type switch
    {
        PtxType.S8 => (sbyte)bits,
        PtxType.S16 => (short)bits,
        PtxType.S32 => (int)bits,
        PtxType.S64 => (long)bits,
        PtxType.U8 or PtxType.B8 => (byte)bits,
        PtxType.U16 or PtxType.B16 => (ushort)bits,
        PtxType.U32 or PtxType.B32 => (uint)bits,
        _ => bits,
    };

    private static ulong FromInteger(Instruction* i, PtxType to, Int128 value)
    {
        if (!to.IsFloat())
        {
            if (i->Has(InstructionFlags.Sat))
            {
                (Int128 least, Int128 greatest) = Range(to);
                value = Int128.Clamp(value, least, greatest);
            }
            return Extend(i, to, (ulong)value);
        }
        Rounding rounding = i->Rounding == Rounding.None ? Rounding.Nearest : i->Rounding;
        double rounded = value == 0 ? 0 : ExactRounding.Round((BigInteger)value, 0, false, rounding, Format(to));
        return Write(to, i->Has(InstructionFlags.Sat) ? Math.Clamp(rounded, 0, 1) : rounded);
    }

    private static ulong FromFloat(Instruction* i, PtxType to, double value)
    {
        if (to.IsFloat())
        {
            double result = i->Rounding switch
            {
                Rounding.NearestInteger => Math.Round(value, MidpointRounding.ToEven),
                Rounding.ZeroInteger => Math.Truncate(value),
                Rounding.DownInteger => Math.Floor(value),
                Rounding.UpInteger => Math.Ceiling(value),
                Rounding.None => value,
                _ => ExactRounding.Convert(value, i->Rounding, Format(to)),
            };
            if (i->Has(InstructionFlags.Sat))
                result = result > 0 ? Math.Min(result, 1) : 0;
            if (i->Has(InstructionFlags.Relu))
                result = !double.IsNaN(result) && double.IsNegative(result) ? 0 : result;
            if (i->Has(InstructionFlags.Ftz) && to == PtxType.F32 && float.IsSubnormal((float)result))
                result = Math.CopySign(0.0, result);
            return Write(to, result);
        }
        if (double.IsNaN(value))
            return Extend(i, to, i->SourceType == PtxType.F64 || to.Bytes() == 8 ? 1ul << (8 * to.Bytes() - 1) : 0);
        double whole = i->Rounding switch
        {
            Rounding.NearestInteger or Rounding.Nearest => Math.Round(value, MidpointRounding.ToEven),
            Rounding.DownInteger or Rounding.Down => Math.Floor(value),
            Rounding.UpInteger or Rounding.Up => Math.Ceiling(value),
            _ => Math.Truncate(value),
        };
        (Int128 lowest, Int128 highest) = Range(to);
        Int128 number = whole <= (double)lowest ? lowest : whole >= (double)highest ? highest : (Int128)whole;
        return Extend(i, to, (ulong)number);
    }

    /// <summary>The bits of a number that the format holds.</summary>
    private static ulong Write(PtxType type, double value) => type switch
    {
        PtxType.F64 => BitConverter.DoubleToUInt64Bits(value),
        PtxType.F16 => HalfVectors.ToHalf((float)value),
        PtxType.BF16 => HalfVectors.ToBrain((float)value),
        _ => double.IsNaN(value) ? 0x7FFFFFFF : BitConverter.SingleToUInt32Bits((float)value),
    };

    private static FloatFormat Format(PtxType type) => type switch
    {
        PtxType.F64 => FloatFormat.Double,
        PtxType.F16 => FloatFormat.Half,
        PtxType.BF16 => FloatFormat.Brain,
        PtxType.TF32 => FloatFormat.Tf32,
        _ => FloatFormat.Single,
    };

    private static (Int128 Least, Int128 Greatest) Range(PtxType type)
    {
        int bits = 8 * type.Bytes();
        return type.IsSigned() ? (-(Int128.One << (bits - 1)), (Int128.One << (bits - 1)) - 1) : (0, (Int128.One << bits) - 1);
    }

    /// <summary>An integer of the type in a register that may be wider: signed types extend their sign to its width.</summary>
    private static ulong Extend(Instruction* i, PtxType type, ulong value)
    {
        int bits = 8 * type.Bytes(), width = 8 * Math.Max(type.Bytes(), i->DeclaredType.Bytes());
        value = type.IsSigned() ? (ulong)((long)(value << (64 - bits)) >> (64 - bits)) : value & (ulong.MaxValue >> (64 - bits));
        return value & (ulong.MaxValue >> (64 - width));
    }
}
