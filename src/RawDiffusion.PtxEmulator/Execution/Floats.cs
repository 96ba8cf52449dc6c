using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Elementwise;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// Arithmetic of single and double precision. Single-precision results that are NaN are the one NaN that NVIDIA's hardware makes, 0x7FFFFFFF.
/// </summary>
internal static unsafe class Floats
{
    public static nint Select(in Instruction i, bool perturbed) => i.Type switch
    {
        PtxType.F32 => Single(i, perturbed),
        PtxType.F64 => Double(i),
        _ => 0,
    };

    private static nint Single(in Instruction i, bool perturbed)
    {
        switch (i.Opcode)
        {
            case Opcode.Add:
                return i.Rounding switch
                {
                    Rounding.Zero => Shape<Add<ToZero>>(i),
                    Rounding.Down => Shape<Add<ToMinus>>(i),
                    Rounding.Up => Shape<Add<ToPlus>>(i),
                    _ => Shape<Add<ToNearest>>(i),
                };
            case Opcode.Sub:
                return i.Rounding switch
                {
                    Rounding.Zero => Shape<Subtract<ToZero>>(i),
                    Rounding.Down => Shape<Subtract<ToMinus>>(i),
                    Rounding.Up => Shape<Subtract<ToPlus>>(i),
                    _ => Shape<Subtract<ToNearest>>(i),
                };
            case Opcode.Mul:
                return i.Rounding switch
                {
                    Rounding.Zero => Shape<Multiply<ToZero>>(i),
                    Rounding.Down => Shape<Multiply<ToMinus>>(i),
                    Rounding.Up => Shape<Multiply<ToPlus>>(i),
                    _ => Shape<Multiply<ToNearest>>(i),
                };
            case Opcode.Fma:
            case Opcode.Mad:
                return i.Rounding switch
                {
                    Rounding.Zero => ShapeTernary<MultiplyAdd<ToZero>>(i),
                    Rounding.Down => ShapeTernary<MultiplyAdd<ToMinus>>(i),
                    Rounding.Up => ShapeTernary<MultiplyAdd<ToPlus>>(i),
                    _ => ShapeTernary<MultiplyAdd<ToNearest>>(i),
                };
            case Opcode.Div:
                if (i.Has(InstructionFlags.Approx) || i.Has(InstructionFlags.Full))
                    return perturbed ? At(&SpecialFunctions.DividePerturbed) : i.Has(InstructionFlags.Full) ? Shape<Divide>(i) : Shape<DivideByReciprocal>(i);
                return i.Rounding switch
                {
                    Rounding.Zero => Shape<DivideRounded<ToZero>>(i),
                    Rounding.Down => Shape<DivideRounded<ToMinus>>(i),
                    Rounding.Up => Shape<DivideRounded<ToPlus>>(i),
                    _ => Shape<Divide>(i),
                };
            case Opcode.Abs:
                return i.Has(InstructionFlags.Ftz) ? At(&Unary<Flushing<Absolute>, float>) : At(&Unary<Absolute, float>);
            case Opcode.Neg:
                return i.Has(InstructionFlags.Ftz) ? At(&Unary<Flushing<Negate>, float>) : At(&Unary<Negate, float>);
            case Opcode.Min:
                return Extremum<Minimum, MinimumNaN>(i);
            case Opcode.Max:
                return Extremum<Maximum, MaximumNaN>(i);
            case Opcode.Copysign:
                return At(&Binary<CopySign, float>);
            default:
                return 0;
        }
    }

    private static nint Double(in Instruction i)
    {
        switch (i.Opcode)
        {
            case Opcode.Add:
                return i.Rounding switch
                {
                    Rounding.Zero => At(&Binary<Add64<ToZero>, double>),
                    Rounding.Down => At(&Binary<Add64<ToMinus>, double>),
                    Rounding.Up => At(&Binary<Add64<ToPlus>, double>),
                    _ => At(&Binary<Add64<ToNearest>, double>),
                };
            case Opcode.Sub:
                return i.Rounding switch
                {
                    Rounding.Zero => At(&Binary<Subtract64<ToZero>, double>),
                    Rounding.Down => At(&Binary<Subtract64<ToMinus>, double>),
                    Rounding.Up => At(&Binary<Subtract64<ToPlus>, double>),
                    _ => At(&Binary<Subtract64<ToNearest>, double>),
                };
            case Opcode.Mul:
                return i.Rounding switch
                {
                    Rounding.Zero => At(&Binary<Multiply64<ToZero>, double>),
                    Rounding.Down => At(&Binary<Multiply64<ToMinus>, double>),
                    Rounding.Up => At(&Binary<Multiply64<ToPlus>, double>),
                    _ => At(&Binary<Multiply64<ToNearest>, double>),
                };
            case Opcode.Fma:
            case Opcode.Mad:
                return i.Rounding switch
                {
                    Rounding.Zero => At(&Ternary<MultiplyAdd64<ToZero>, double>),
                    Rounding.Down => At(&Ternary<MultiplyAdd64<ToMinus>, double>),
                    Rounding.Up => At(&Ternary<MultiplyAdd64<ToPlus>, double>),
                    _ => At(&Ternary<MultiplyAdd64<ToNearest>, double>),
                };
            case Opcode.Div:
                return i.Rounding switch
                {
                    Rounding.Zero => At(&Scalar2<Divide64<ToZero>, double, double, double>),
                    Rounding.Down => At(&Scalar2<Divide64<ToMinus>, double, double, double>),
                    Rounding.Up => At(&Scalar2<Divide64<ToPlus>, double, double, double>),
                    _ => At(&Scalar2<Divide64<ToNearest>, double, double, double>),
                };
            case Opcode.Abs:
                return At(&Unary<Absolute64, double>);
            case Opcode.Neg:
                return At(&Unary<Negate64, double>);
            case Opcode.Min:
                return At(&Binary<Minimum64, double>);
            case Opcode.Max:
                return At(&Binary<Maximum64, double>);
            case Opcode.Copysign:
                return At(&Binary<CopySign64, double>);
            default:
                return 0;
        }
    }

    private static nint Shape<TOp>(in Instruction i)
        where TOp : struct, IBinary<float> => (i.Has(InstructionFlags.Ftz), i.Has(InstructionFlags.Sat)) switch
        {
            (false, false) => At(&Binary<OneNaN<TOp>, float>),
            (true, false) => At(&Binary<FlushingBinary<OneNaN<TOp>>, float>),
            (false, true) => At(&Binary<Saturating<TOp>, float>),
            (true, true) => At(&Binary<FlushingBinary<Saturating<TOp>>, float>),
        };

    private static nint ShapeTernary<TOp>(in Instruction i)
        where TOp : struct, ITernary<float> => (i.Has(InstructionFlags.Ftz), i.Has(InstructionFlags.Sat)) switch
        {
            (false, false) => At(&Ternary<OneNaNTernary<TOp>, float>),
            (true, false) => At(&Ternary<FlushingTernary<OneNaNTernary<TOp>>, float>),
            (false, true) => At(&Ternary<SaturatingTernary<TOp>, float>),
            (true, true) => At(&Ternary<FlushingTernary<SaturatingTernary<TOp>>, float>),
        };

    private static nint Extremum<TOp, TNaN>(in Instruction i)
        where TOp : struct, IBinary<float>
        where TNaN : struct, IBinary<float>
    {
        bool ftz = i.Has(InstructionFlags.Ftz), nan = i.Has(InstructionFlags.NaN), xor = i.Has(InstructionFlags.XorSign);
        return (ftz, nan, xor) switch
        {
            (false, false, false) => At(&Binary<OneNaN<TOp>, float>),
            (false, true, false) => At(&Binary<OneNaN<TNaN>, float>),
            (true, false, false) => At(&Binary<FlushingBinary<OneNaN<TOp>>, float>),
            (true, true, false) => At(&Binary<FlushingBinary<OneNaN<TNaN>>, float>),
            (false, false, true) => At(&Binary<XorSigned<TOp>, float>),
            (false, true, true) => At(&Binary<XorSigned<TNaN>, float>),
            (true, false, true) => At(&Binary<FlushingBinary<XorSigned<TOp>>, float>),
            (true, true, true) => At(&Binary<FlushingBinary<XorSigned<TNaN>>, float>),
        };
    }

    /// <summary>Subnormal numbers become zeros of their sign.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Flush(Vector512<float> a)
    {
        Vector512<uint> bits = a.AsUInt32();
        Vector512<uint> small = Vector512.Equals(bits & Vector512.Create(0x7F800000u), Vector512<uint>.Zero);
        return Vector512.ConditionalSelect(small, bits & Vector512.Create(0x80000000u), bits).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Canonical(Vector512<float> a) =>
        Vector512.ConditionalSelect(Vector512.Equals(a, a), a, Vector512.Create(0x7FFFFFFFu).AsSingle());

    /// <summary>To [0, 1]; NaN becomes 0, and so does -0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Saturate(Vector512<float> a)
    {
        Vector512<float> positive = Vector512.ConditionalSelect(Vector512.GreaterThan(a, Vector512<float>.Zero), a, Vector512<float>.Zero);
        return Vector512.ConditionalSelect(Vector512.GreaterThan(positive, Vector512.Create(1f)), Vector512.Create(1f), positive);
    }

    internal readonly struct OneNaN<TOp> : IBinary<float>
        where TOp : struct, IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => Canonical(TOp.Invoke(a, b));
    }

    private readonly struct Saturating<TOp> : IBinary<float>
        where TOp : struct, IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => Saturate(TOp.Invoke(a, b));
    }

    private readonly struct FlushingBinary<TOp> : IBinary<float>
        where TOp : struct, IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => Flush(TOp.Invoke(Flush(a), Flush(b)));
    }

    private readonly struct Flushing<TOp> : IUnary<float>
        where TOp : struct, IUnary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a) => Flush(TOp.Invoke(Flush(a)));
    }

    private readonly struct OneNaNTernary<TOp> : ITernary<float>
        where TOp : struct, ITernary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Canonical(TOp.Invoke(a, b, c));
    }

    private readonly struct SaturatingTernary<TOp> : ITernary<float>
        where TOp : struct, ITernary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Saturate(TOp.Invoke(a, b, c));
    }

    private readonly struct FlushingTernary<TOp> : ITernary<float>
        where TOp : struct, ITernary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b, Vector512<float> c) =>
            Flush(TOp.Invoke(Flush(a), Flush(b), Flush(c)));
    }

    private readonly struct Add<TRound> : IBinary<float>
        where TRound : struct, IRounding
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => DirectedRounding.Add<TRound>(a, b);
    }

    private readonly struct Subtract<TRound> : IBinary<float>
        where TRound : struct, IRounding
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => DirectedRounding.Add<TRound>(a, -b);
    }

    private readonly struct Multiply<TRound> : IBinary<float>
        where TRound : struct, IRounding
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => DirectedRounding.Multiply<TRound>(a, b);
    }

    private readonly struct MultiplyAdd<TRound> : ITernary<float>
        where TRound : struct, IRounding
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b, Vector512<float> c) => DirectedRounding.Fma<TRound>(a, b, c);
    }

    private readonly struct Divide : IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => a / b;
    }

    /// <summary>div.approx is a (1 / b), and 1 / b is zero for divisors beyond 2^126.</summary>
    private readonly struct DivideByReciprocal : IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => Vector512.ConditionalSelect(
            Vector512.GreaterThan(Vector512.Abs(b), Vector512.Create(SpecialFunctions.LargestDivisor)),
            a * Vector512.CopySign(Vector512<float>.Zero, b), a / b);
    }

    private readonly struct DivideRounded<TRound> : IBinary<float>
        where TRound : struct, IRounding
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b)
        {
            Span<float> result = stackalloc float[16];
            for (int k = 0; k < 16; k++)
                result[k] = (float)ExactRounding.Divide(a[k], b[k], TRound.Mode, FloatFormat.Single);
            return Vector512.Create<float>(result);
        }
    }

    private readonly struct Absolute : IUnary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a) => Vector512.Abs(a);
    }

    private readonly struct Negate : IUnary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a) => -a;
    }

    // Where one operand is NaN the other is the result, and -0 is less than +0.
    private readonly struct Minimum : IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => Vector512.MinNumber(a, b);
    }

    private readonly struct Maximum : IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => Vector512.MaxNumber(a, b);
    }

    private readonly struct MinimumNaN : IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => Vector512.Min(a, b);
    }

    private readonly struct MaximumNaN : IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => Vector512.Max(a, b);
    }

    private readonly struct XorSigned<TOp> : IBinary<float>
        where TOp : struct, IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b)
        {
            Vector512<float> sign = (a ^ b) & Vector512.Create(-0f);
            Vector512<float> result = TOp.Invoke(Vector512.Abs(a), Vector512.Abs(b));
            return Vector512.ConditionalSelect(Vector512.Equals(result, result), result | sign, Vector512.Create(0x7FFFFFFFu).AsSingle());
        }
    }

    /// <summary>The second operand with the sign of the first.</summary>
    private readonly struct CopySign : IBinary<float>
    {
        public static Vector512<float> Invoke(Vector512<float> a, Vector512<float> b) => Vector512.CopySign(b, a);
    }

    private readonly struct Add64<TRound> : IBinary<double>
        where TRound : struct, IRounding
    {
        public static Vector512<double> Invoke(Vector512<double> a, Vector512<double> b) => DirectedRounding.Add<TRound>(a, b);
    }

    private readonly struct Subtract64<TRound> : IBinary<double>
        where TRound : struct, IRounding
    {
        public static Vector512<double> Invoke(Vector512<double> a, Vector512<double> b) => DirectedRounding.Add<TRound>(a, -b);
    }

    private readonly struct Multiply64<TRound> : IBinary<double>
        where TRound : struct, IRounding
    {
        public static Vector512<double> Invoke(Vector512<double> a, Vector512<double> b) => DirectedRounding.Multiply<TRound>(a, b);
    }

    private readonly struct MultiplyAdd64<TRound> : ITernary<double>
        where TRound : struct, IRounding
    {
        public static Vector512<double> Invoke(Vector512<double> a, Vector512<double> b, Vector512<double> c) => DirectedRounding.Fma<TRound>(a, b, c);
    }

    private readonly struct Divide64<TRound> : IScalar<double, double, double>
        where TRound : struct, IRounding
    {
        public static double Invoke(double a, double b) =>
            typeof(TRound) == typeof(ToNearest) ? a / b : ExactRounding.Divide(a, b, TRound.Mode, FloatFormat.Double);
    }

    private readonly struct Absolute64 : IUnary<double>
    {
        public static Vector512<double> Invoke(Vector512<double> a) => Vector512.Abs(a);
    }

    private readonly struct Negate64 : IUnary<double>
    {
        public static Vector512<double> Invoke(Vector512<double> a) => -a;
    }

    private readonly struct Minimum64 : IBinary<double>
    {
        public static Vector512<double> Invoke(Vector512<double> a, Vector512<double> b) => Vector512.MinNumber(a, b);
    }

    private readonly struct Maximum64 : IBinary<double>
    {
        public static Vector512<double> Invoke(Vector512<double> a, Vector512<double> b) => Vector512.MaxNumber(a, b);
    }

    private readonly struct CopySign64 : IBinary<double>
    {
        public static Vector512<double> Invoke(Vector512<double> a, Vector512<double> b) => Vector512.CopySign(b, a);
    }
}
