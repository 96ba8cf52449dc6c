using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Elementwise;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// rcp, sqrt, rsqrt, sin, cos, lg2, ex2, tanh. Computed in double precision and rounded, which is the correctly rounded result but for
/// about one argument in 2^28; no GPU computes the .approx forms so well. Perturbed, they are moved by up to nine tenths of the error
/// that the PTX manual documents, by an amount that depends on the bits of the argument alone.
/// </summary>
internal static unsafe class SpecialFunctions
{
    public static nint Select(in Instruction i, bool perturbed)
    {
        if (i.Type == PtxType.F64)
            return Double(i);
        if (i.Type is PtxType.F16 or PtxType.BF16 or PtxType.F16x2 or PtxType.BF16x2)
            return Half(i);
        if (i.Type != PtxType.F32)
            return 0;
        bool approximate = i.Has(InstructionFlags.Approx);
        bool moved = perturbed && approximate;
        return i.Opcode switch
        {
            Opcode.Rcp when approximate => moved ? At(&Single<Reciprocal, Moved>) : At(&Single<Reciprocal, Exact>),
            Opcode.Sqrt when approximate => moved ? At(&Single<Root, Moved>) : At(&Single<Root, Exact>),
            Opcode.Rcp => i.Rounding is Rounding.Nearest or Rounding.None ? At(&Single<Reciprocal, Exact>) : At(&Rounded),
            Opcode.Sqrt => i.Rounding is Rounding.Nearest or Rounding.None ? At(&Single<Root, Exact>) : At(&Rounded),
            Opcode.Rsqrt => moved ? At(&Single<ReciprocalRoot, Moved>) : At(&Single<ReciprocalRoot, Exact>),
            Opcode.Sin => moved ? At(&Single<Sine, Moved>) : At(&Single<Sine, Exact>),
            Opcode.Cos => moved ? At(&Single<Cosine, Moved>) : At(&Single<Cosine, Exact>),
            Opcode.Lg2 => moved ? At(&Single<Logarithm, Moved>) : At(&Single<Logarithm, Exact>),
            Opcode.Ex2 => moved ? At(&Single<Exponential, Moved>) : At(&Single<Exponential, Exact>),
            Opcode.Tanh => moved ? At(&Single<HyperbolicTangent, Moved>) : At(&Single<HyperbolicTangent, Exact>),
            _ => 0,
        };
    }

    private struct Exact;

    private struct Moved;

    private interface IFunction
    {
        static abstract Vector512<double> Invoke(Vector512<double> x);

        /// <summary>The documented bound: relative, or absolute where <see cref="IsAbsolute"/>.</summary>
        static abstract double Error { get; }

        static abstract bool IsAbsolute { get; }
    }

    private readonly struct Reciprocal : IFunction
    {
        public static double Error => 1.0 / (1 << 23);

        public static bool IsAbsolute => false;

        public static Vector512<double> Invoke(Vector512<double> x) => Vector512.Create(1.0) / x;
    }

    private readonly struct Root : IFunction
    {
        public static double Error => 1.0 / (1 << 23);

        public static bool IsAbsolute => false;

        public static Vector512<double> Invoke(Vector512<double> x) => Vector512.Sqrt(x);
    }

    private readonly struct ReciprocalRoot : IFunction
    {
        public static double Error => 1.07 / (1 << 23);

        public static bool IsAbsolute => false;

        public static Vector512<double> Invoke(Vector512<double> x) => Vector512.Create(1.0) / Vector512.Sqrt(x);
    }

    private readonly struct Sine : IFunction
    {
        public static double Error => 1.07 / (1 << 21);

        public static bool IsAbsolute => true;

        public static Vector512<double> Invoke(Vector512<double> x) => Vector512.Sin(x);
    }

    private readonly struct Cosine : IFunction
    {
        public static double Error => 1.41 / (1 << 21);

        public static bool IsAbsolute => true;

        public static Vector512<double> Invoke(Vector512<double> x) => Vector512.Cos(x);
    }

    private readonly struct Logarithm : IFunction
    {
        public static double Error => 1.0 / (1 << 22);

        public static bool IsAbsolute => true;

        public static Vector512<double> Invoke(Vector512<double> x) => Vector512.Log2(x);
    }

    private readonly struct Exponential : IFunction
    {
        /// <summary>(ln 2)^k / k!.</summary>
        private static ReadOnlySpan<double> Powers =>
        [
            1.0, 0.6931471805599453, 0.24022650695910072, 0.05550410866482158, 0.009618129107628477, 0.0013333558146428443,
            0.0001540353039338161, 1.5252733804059841e-05, 1.321548679014431e-06, 1.01780860092397e-07,
            7.054911620801123e-09, 4.4455382718708116e-10, 2.5678435993488206e-11,
        ];

        public static double Error => 1.0 / (1 << 22);

        public static bool IsAbsolute => false;

        public static Vector512<double> Invoke(Vector512<double> x)
        {
            // 2^n 2^f with |f| at most 1/2. Beyond +-160 single precision is infinite or zero.
            Vector512<double> clamped = Vector512.Min(Vector512.Max(x, Vector512.Create(-160.0)), Vector512.Create(160.0));
            Vector512<double> whole = Vector512.Round(clamped), f = clamped - whole;
            // The series of 2^f to the 13th power: what is left out is below 2^-57.
            Vector512<double> fraction = Vector512.Create(1.3691488853904128e-12);
            for (int k = Powers.Length - 1; k >= 0; k--)
                fraction = Vector512.FusedMultiplyAdd(fraction, f, Vector512.Create(Powers[k]));
            Vector512<long> exponent = Vector512.ShiftLeft(Vector512.ConvertToInt64(whole) + Vector512.Create(1023L), 52);
            return fraction * exponent.AsDouble();
        }
    }

    private readonly struct HyperbolicTangent : IFunction
    {
        public static double Error => 1.0 / (1 << 11);

        public static bool IsAbsolute => false;

        public static Vector512<double> Invoke(Vector512<double> x)
        {
            // Small arguments need expm1, which the scalar function has.
            double* results = stackalloc double[8];
            for (int k = 0; k < 8; k++)
                results[k] = Math.Tanh(x[k]);
            return Vector512.Load(results);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Single<TFunction, TMoved>(Warp w, Instruction* i, uint mask)
        where TFunction : struct, IFunction
    {
        Vector512<float> low = default, high = default;
        bool flush = i->Has(InstructionFlags.Ftz);
        for (int half = 0; half < 2; half++)
        {
            Vector512<float> x = Lanes.Load32(w.R + i->A, half).AsSingle();
            if (flush)
                x = Floats.Flush(x);
            (Vector512<double> x0, Vector512<double> x1) = Vector512.Widen(x);
            Vector512<double> y0 = TFunction.Invoke(x0), y1 = TFunction.Invoke(x1);
            if (typeof(TMoved) == typeof(Moved))
            {
                y0 = Move<TFunction>(w, x0, y0);
                y1 = Move<TFunction>(w, x1, y1);
            }
            Vector512<float> y = Floats.Canonical(Vector512.Narrow(y0, y1));
            if (flush)
                y = Floats.Flush(y);
            (low, high) = half == 0 ? (y, high) : (low, y);
        }
        Lanes.Store32(w.R + i->D, low.AsUInt32(), high.AsUInt32(), mask);
    }

    private static Vector512<double> Move<TFunction>(Warp w, Vector512<double> x, Vector512<double> y)
        where TFunction : struct, IFunction
    {
        double* results = stackalloc double[8];
        for (int k = 0; k < 8; k++)
        {
            double value = y[k], by = Amount(w, BitConverter.DoubleToUInt64Bits(x[k])) * TFunction.Error;
            // Exact zeros and infinities stay.
            results[k] = value == 0 || !double.IsFinite(value) ? value : TFunction.IsAbsolute ? value + by : value * (1 + by);
            if (typeof(TFunction) == typeof(HyperbolicTangent))
                results[k] = Math.Clamp(results[k], -1, 1);
        }
        return Vector512.Load(results);
    }

    /// <summary>Between -0.9 and 0.9, the same for the same argument and seed.</summary>
    private static double Amount(Warp w, ulong bits) =>
        ((long)BlockContext.Mix(bits ^ BlockContext.Mix(w.Block.Options.ApproximationSeed ?? 0)) >> 11) * (0.9 / (1L << 52));

    /// <summary>2^126: divisors beyond it have no reciprocal that div.approx could multiply with, and give zero.</summary>
    internal const float LargestDivisor = 8.5070592e37f;

    /// <summary>div.approx and div.full, documented to 2 units in the last place.</summary>
    internal static void DividePerturbed(Warp w, Instruction* i, uint mask)
    {
        float* a = (float*)(w.R + i->A), b = (float*)(w.R + i->B), d = (float*)(w.R + i->D);
        bool flush = i->Has(InstructionFlags.Ftz), full = i->Has(InstructionFlags.Full);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            float x = Flushed(a[lane]), y = Flushed(b[lane]);
            double quotient = !full && MathF.Abs(y) > LargestDivisor ? x * float.CopySign(0, y) : (double)x / y;
            float result = (float)quotient;
            // A unit is between 2^-24 and 2^-23 of the number: one and a half of the smaller and rounding stay within two.
            if (float.IsNormal(result))
                result = (float)(quotient * (1 + Amount(w, BitConverter.DoubleToUInt64Bits(quotient)) * 1.5 / (1 << 24)));
            d[lane] = float.IsNaN(result) ? BitConverter.UInt32BitsToSingle(0x7FFFFFFF) : Flushed(result);
        }

        float Flushed(float value) => flush && float.IsSubnormal(value) ? float.CopySign(0f, value) : value;
    }

    /// <summary>rcp and sqrt with a directed rounding.</summary>
    private static void Rounded(Warp w, Instruction* i, uint mask)
    {
        float* a = (float*)(w.R + i->A), d = (float*)(w.R + i->D);
        bool flush = i->Has(InstructionFlags.Ftz);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            float x = Flushed(a[lane]);
            float result = (float)(i->Opcode == Opcode.Rcp
                ? ExactRounding.Divide(1, x, i->Rounding, FloatFormat.Single) : ExactRounding.Sqrt(x, i->Rounding, FloatFormat.Single));
            d[lane] = float.IsNaN(result) ? BitConverter.UInt32BitsToSingle(0x7FFFFFFF) : Flushed(result);
        }

        float Flushed(float value) => flush && float.IsSubnormal(value) ? float.CopySign(0f, value) : value;
    }

    private static nint Double(in Instruction i) => i.Opcode switch
    {
        // The approximations of double precision keep 20 bits of the mantissa and flush subnormal numbers.
        Opcode.Rcp when i.Has(InstructionFlags.Approx) => At(&Scalar1<CoarseReciprocal, double, double>),
        Opcode.Rsqrt => At(&Scalar1<CoarseReciprocalRoot, double, double>),
        Opcode.Rcp => At(&RoundedDouble),
        Opcode.Sqrt => At(&RoundedDouble),
        _ => 0,
    };

    private readonly struct CoarseReciprocal : IScalar<double, double>
    {
        public static double Invoke(double a) => Coarse(1 / Normal(a));
    }

    private readonly struct CoarseReciprocalRoot : IScalar<double, double>
    {
        public static double Invoke(double a) => Coarse(1 / Math.Sqrt(Normal(a)));
    }

    private static double Normal(double value) => double.IsSubnormal(value) ? Math.CopySign(0.0, value) : value;

    private static double Coarse(double value) =>
        double.IsNaN(value) ? value : BitConverter.Int64BitsToDouble(BitConverter.DoubleToInt64Bits(Normal(value)) & ~0xFFFFFFFFL);

    private static void RoundedDouble(Warp w, Instruction* i, uint mask)
    {
        double* a = (double*)(w.R + i->A), d = (double*)(w.R + i->D);
        bool nearest = i->Rounding is Rounding.Nearest or Rounding.None;
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            double x = a[lane];
            d[lane] = i->Opcode == Opcode.Rcp
                ? nearest ? 1 / x : ExactRounding.Divide(1, x, i->Rounding, FloatFormat.Double)
                : nearest ? Math.Sqrt(x) : ExactRounding.Sqrt(x, i->Rounding, FloatFormat.Double);
        }
    }

    private static nint Half(in Instruction i) => (i.Opcode, i.Type) switch
    {
        (Opcode.Ex2, PtxType.F16) => At(&Scalar1<HalfFunction<Halves.F16, Power>, uint, uint>),
        (Opcode.Ex2, PtxType.BF16) => At(&Scalar1<HalfFunction<FlushedBrain, Power>, uint, uint>),
        (Opcode.Ex2, PtxType.F16x2) => At(&Scalar1<HalfPair<Halves.F16, Power>, uint, uint>),
        (Opcode.Ex2, PtxType.BF16x2) => At(&Scalar1<HalfPair<FlushedBrain, Power>, uint, uint>),
        (Opcode.Tanh, PtxType.F16) => At(&Scalar1<HalfFunction<Halves.F16, Tangent>, uint, uint>),
        (Opcode.Tanh, PtxType.BF16) => At(&Scalar1<HalfFunction<Halves.BF16, Tangent>, uint, uint>),
        (Opcode.Tanh, PtxType.F16x2) => At(&Scalar1<HalfPair<Halves.F16, Tangent>, uint, uint>),
        (Opcode.Tanh, PtxType.BF16x2) => At(&Scalar1<HalfPair<Halves.BF16, Tangent>, uint, uint>),
        _ => 0,
    };

    /// <summary>ex2 has bf16 with .ftz only: subnormal numbers become zeros of their sign.</summary>
    private struct FlushedBrain : Halves.IFormat
    {
        public static float Read(uint bits) => Halves.BF16.Read(Flushed(bits));

        public static uint Write(float value) => Flushed(Halves.BF16.Write(value));

        private static uint Flushed(uint bits) => (bits & 0x7F80) == 0 ? bits & 0x8000 : bits;
    }

    private readonly struct Power : IScalar<double, double>
    {
        public static double Invoke(double a) => Math.Pow(2, a);
    }

    private readonly struct Tangent : IScalar<double, double>
    {
        public static double Invoke(double a) => Math.Tanh(a);
    }

    private readonly struct HalfFunction<TFormat, TFunction> : IScalar<uint, uint>
        where TFormat : struct, Halves.IFormat
        where TFunction : struct, IScalar<double, double>
    {
        public static uint Invoke(uint a) => TFormat.Write(HalfVectors.ToOdd(TFunction.Invoke(TFormat.Read(a & 0xFFFF))));
    }

    private readonly struct HalfPair<TFormat, TFunction> : IScalar<uint, uint>
        where TFormat : struct, Halves.IFormat
        where TFunction : struct, IScalar<double, double>
    {
        public static uint Invoke(uint a) =>
            HalfFunction<TFormat, TFunction>.Invoke(a & 0xFFFF) | HalfFunction<TFormat, TFunction>.Invoke(a >> 16) << 16;
    }
}
