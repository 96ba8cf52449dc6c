using System.Numerics;
using System.Runtime.CompilerServices;
using RawDiffusion.PtxEmulator.Decoding;
using static RawDiffusion.PtxEmulator.Execution.Elementwise;
using static RawDiffusion.PtxEmulator.Execution.Handlers;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>
/// Arithmetic on f16 and bf16, alone or in pairs: computed in single precision, which is precise enough that rounding twice does no harm
/// (fma rounds to odd in between), and rounded once to 16 bits.
/// </summary>
internal static unsafe class Halves
{
    public static nint Select(in Instruction i) => i.Type switch
    {
        PtxType.F16 => Operation<F16, One<F16>>(i),
        PtxType.BF16 => Operation<BF16, One<BF16>>(i),
        PtxType.F16x2 => Operation<F16, Two<F16>>(i),
        PtxType.BF16x2 => Operation<BF16, Two<BF16>>(i),
        _ => 0,
    };

    private static nint Operation<TFormat, TWidth>(in Instruction i)
        where TFormat : struct, IFormat
        where TWidth : struct, IWidth
    {
        bool relu = i.Has(InstructionFlags.Relu), sat = i.Has(InstructionFlags.Sat);
        return (i.Opcode, relu, sat) switch
        {
            (Opcode.Add, false, false) => At(&Apply<TFormat, TWidth, Sum, None>),
            (Opcode.Add, false, true) => At(&Apply<TFormat, TWidth, Sum, Unit>),
            (Opcode.Sub, false, false) => At(&Apply<TFormat, TWidth, Difference, None>),
            (Opcode.Sub, false, true) => At(&Apply<TFormat, TWidth, Difference, Unit>),
            (Opcode.Mul, false, false) => At(&Apply<TFormat, TWidth, Product, None>),
            (Opcode.Mul, false, true) => At(&Apply<TFormat, TWidth, Product, Unit>),
            (Opcode.Fma, false, false) => At(&Apply<TFormat, TWidth, MultiplyAdd, None>),
            (Opcode.Fma, false, true) => At(&Apply<TFormat, TWidth, MultiplyAdd, Unit>),
            (Opcode.Fma, true, false) => At(&Apply<TFormat, TWidth, MultiplyAdd, Positive>),
            (Opcode.Min, _, _) => i.Has(InstructionFlags.NaN) ? At(&Apply<TFormat, TWidth, MinimumNaN, None>) : At(&Apply<TFormat, TWidth, Minimum, None>),
            (Opcode.Max, _, _) => i.Has(InstructionFlags.NaN) ? At(&Apply<TFormat, TWidth, MaximumNaN, None>) : At(&Apply<TFormat, TWidth, Maximum, None>),
            (Opcode.Neg, _, _) => typeof(TWidth) == typeof(Two<TFormat>) ? At(&Scalar1<NegatePair, uint, uint>) : At(&Scalar1<NegateOne, uint, uint>),
            (Opcode.Abs, _, _) => typeof(TWidth) == typeof(Two<TFormat>) ? At(&Scalar1<AbsolutePair, uint, uint>) : At(&Scalar1<AbsoluteOne, uint, uint>),
            _ => 0,
        };
    }

    internal interface IFormat
    {
        static abstract float Read(uint bits);

        static abstract uint Write(float value);
    }

    internal struct F16 : IFormat
    {
        public static float Read(uint bits) => HalfVectors.FromHalf(bits);

        public static uint Write(float value) => HalfVectors.ToHalf(value);
    }

    internal struct BF16 : IFormat
    {
        public static float Read(uint bits) => HalfVectors.FromBrain(bits);

        public static uint Write(float value) => HalfVectors.ToBrain(value);
    }

    private interface IWidth
    {
        static abstract int Count { get; }
    }

    private struct One<TFormat> : IWidth
    {
        public static int Count => 1;
    }

    private struct Two<TFormat> : IWidth
    {
        public static int Count => 2;
    }

    private interface IOperation
    {
        static abstract float Invoke(float a, float b, float c);
    }

    private struct Sum : IOperation
    {
        public static float Invoke(float a, float b, float c) => a + b;
    }

    private struct Difference : IOperation
    {
        public static float Invoke(float a, float b, float c) => a - b;
    }

    private struct Product : IOperation
    {
        public static float Invoke(float a, float b, float c) => HalfVectors.FmaToOdd(a, b, float.IsNegative(a) != float.IsNegative(b) ? -0f : 0f);
    }

    private struct MultiplyAdd : IOperation
    {
        public static float Invoke(float a, float b, float c) => HalfVectors.FmaToOdd(a, b, c);
    }

    private struct Minimum : IOperation
    {
        public static float Invoke(float a, float b, float c) => float.MinNumber(a, b);
    }

    private struct Maximum : IOperation
    {
        public static float Invoke(float a, float b, float c) => float.MaxNumber(a, b);
    }

    private struct MinimumNaN : IOperation
    {
        public static float Invoke(float a, float b, float c) => float.Min(a, b);
    }

    private struct MaximumNaN : IOperation
    {
        public static float Invoke(float a, float b, float c) => float.Max(a, b);
    }

    /// <summary>What is done to the result: nothing; .sat, to [0, 1]; .relu, negative numbers become 0.</summary>
    private struct None;

    private struct Unit;

    private struct Positive;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Apply<TFormat, TWidth, TOp, TAfter>(Warp w, Instruction* i, uint mask)
        where TFormat : struct, IFormat
        where TWidth : struct, IWidth
        where TOp : struct, IOperation
    {
        uint* a = (uint*)(w.R + i->A), b = (uint*)(w.R + i->B), d = (uint*)(w.R + i->D);
        uint* c = i->C < 0 ? a : (uint*)(w.R + i->C);
        bool flush = i->Has(InstructionFlags.Ftz);
        for (; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            uint result = 0;
            for (int k = 0; k < TWidth.Count; k++)
            {
                float value = TOp.Invoke(TFormat.Read(Flushed(a[lane] >> (16 * k))), TFormat.Read(Flushed(b[lane] >> (16 * k))), TFormat.Read(Flushed(c[lane] >> (16 * k))));
                if (typeof(TAfter) == typeof(Unit))
                    value = value > 0 ? Math.Min(value, 1) : 0;
                else if (typeof(TAfter) == typeof(Positive))
                    value = value <= 0 ? 0 : value;
                result |= (uint)(ushort)Flushed(TFormat.Write(value)) << (16 * k);
            }
            d[lane] = result;
        }

        // .ftz is there for f16 alone: subnormal numbers become zeros of their sign.
        uint Flushed(uint half) => flush && (half & 0x7C00) == 0 ? half & 0x8000 : half;
    }

    private readonly struct NegateOne : IScalar<uint, uint>
    {
        public static uint Invoke(uint a) => a ^ 0x8000;
    }

    private readonly struct NegatePair : IScalar<uint, uint>
    {
        public static uint Invoke(uint a) => a ^ 0x80008000;
    }

    private readonly struct AbsoluteOne : IScalar<uint, uint>
    {
        public static uint Invoke(uint a) => a & 0x7FFF;
    }

    private readonly struct AbsolutePair : IScalar<uint, uint>
    {
        public static uint Invoke(uint a) => a & 0x7FFF7FFF;
    }
}
