using System.Numerics;

namespace RawDiffusion.Tests;

/// <summary>cvt between every pair of types with every rounding that is allowed.</summary>
public class ConversionTests
{
    private static readonly string[] s_integers = ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"];
    private static readonly string[] s_floats = ["f16", "bf16", "f32", "f64"];

    public static TheoryData<string> Integers => new(s_integers);

    public static TheoryData<string> Floats => new(s_floats);

    private static (Int128 Least, Int128 Most) Range(string type)
    {
        int bits = Operands.Bits(type);
        return type[0] == 's' ? (-(Int128.One << (bits - 1)), (Int128.One << (bits - 1)) - 1) : (0, (Int128.One << bits) - 1);
    }

    private static Int128 Value(string type, ulong bits)
    {
        int size = Operands.Bits(type);
        Int128 value = bits & Operands.Mask(size);
        return type[0] == 's' && (bits >> (size - 1) & 1) != 0 ? value - (Int128.One << size) : value;
    }

    private static Int128 Clamp(string type, Int128 value)
    {
        var (least, most) = Range(type);
        return Int128.Clamp(value, least, most);
    }

    /// <summary>A number as near as integers far beyond 64 bits come to it.</summary>
    private static Int128 Near(BigInteger value) => (Int128)BigInteger.Clamp(value, -(BigInteger.One << 100), BigInteger.One << 100);

    /// <summary>An integer of 8 bits is kept in a register of 16, extended by its sign or zeros.</summary>
    private static string Held(string type) => type is "u8" or "s8" ? "b16" : $"b{Operands.Bits(type)}";

    private static ulong Extended(string type, Int128 value) => (ulong)value & Operands.Mask(Operands.Bits(Held(type)));

    private static ulong[][] Inputs(string type) => Operands.Bits(type) <= 16 ? Operands.Exhaustive(type is "u8" or "s8" ? "u16" : type) : Operands.For(type);

    [Theory]
    [MemberData(nameof(Integers))]
    public void IntegersAreCutOrExtendedOrSaturated(string from)
    {
        foreach (string to in s_integers)
        {
            Instruct.Equal($"cvt.{to}.{from}", $"cvt.{to}.{from} r, a;", Held(to), [Held(from)], Inputs(from), v =>
            {
                int bits = Operands.Bits(to);
                ulong low = (ulong)Value(from, v[0]) & Operands.Mask(bits);
                return Extended(to, Value(to, low));
            });
            Instruct.Equal($"cvt.sat.{to}.{from}", $"cvt.sat.{to}.{from} r, a;", Held(to), [Held(from)], Inputs(from), v => Extended(to, Clamp(to, Value(from, v[0]))));
        }
    }

    /// <summary>Registers may be larger than the types: the low bits are converted, and the result is extended by its sign or zeros.</summary>
    [Theory]
    [MemberData(nameof(Integers))]
    public void LargerRegistersAreUsedInPart(string from)
    {
        foreach (string to in s_integers)
        {
            foreach (var (result, operand) in new[] { ("b64", "b64"), ("b32", "b64"), ("b64", "b32"), ("b32", "b32") })
            {
                if (Operands.Bits(to) > Operands.Bits(result) || Operands.Bits(from) > Operands.Bits(operand))
                    continue;
                Instruct.Equal($"cvt.{to}.{from} {result} {operand}", $"cvt.{to}.{from} r, a;", result, [operand], Operands.For(operand), v =>
                {
                    ulong low = (ulong)Value(from, v[0]) & Operands.Mask(Operands.Bits(to));
                    return (ulong)Value(to, low) & Operands.Mask(Operands.Bits(result));
                });
            }
        }
        Instruct.Equal($"cvt.rn.f32.{from}", $"cvt.rn.f32.{from} r, a;", "f32", ["b64"], Operands.For("b64"),
            v => ExactFloat.Single.Rounded(Value(from, v[0]), 0, Round.Nearest));
    }

    [Theory]
    [MemberData(nameof(Integers))]
    public void IntegersBecomeFloats(string from)
    {
        foreach (string to in s_floats.Where(f => f != "bf16"))
        {
            foreach (var (name, round) in new[] { ("rn", Round.Nearest), ("rz", Round.Zero), ("rm", Round.Down), ("rp", Round.Up) })
            {
                Instruct.Equal($"cvt.{name}.{to}.{from}", $"cvt.{name}.{to}.{from} r, a;", to, [Held(from)], Inputs(from),
                    v => ExactFloat.Of(to).Rounded(Value(from, v[0]), 0, round));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Floats))]
    public void FloatsBecomeIntegersInRange(string from)
    {
        var format = ExactFloat.Of(from);
        // What a NaN becomes depends on the GPU: zero for 32 bits and fewer from f32; not compared.
        ulong[] numbers = [.. Inputs(from)[0].Where(a => !format.IsNaN(a))];
        foreach (var (name, round) in new[] { ("rni", Round.Nearest), ("rzi", Round.Zero), ("rmi", Round.Down), ("rpi", Round.Up) })
        {
            var rounded = numbers.Distinct().ToDictionary(a => a, a =>
            {
                if (format.IsInfinite(a))
                    return format.IsNegative(a) ? -Range("u64").Most : Range("u64").Most;
                var (significand, exponent) = format.Value(a);
                return exponent > 128 ? significand.Sign * Range("u64").Most : Near(ExactFloat.Whole(significand, exponent, round));
            });
            foreach (string to in s_integers)
            {
                if (from == "bf16" && to is not ("u16" or "s16" or "u32" or "s32" or "u64" or "s64"))
                    continue;
                Instruct.Equal(
                    $"cvt.{name}.{to}.{from}", $"cvt.{name}.{to}.{from} r, a;", Held(to), [from], [numbers], v => Extended(to, Clamp(to, rounded[v[0]])));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Floats))]
    public void FloatsBecomeOtherFloats(string from)
    {
        var format = ExactFloat.Of(from);
        foreach (string to in s_floats)
        {
            var target = ExactFloat.Of(to);
            bool exact = Operands.Bits(to) > Operands.Bits(from);
            if (to == from || (!exact && (from, to) is ("f16", "bf16") or ("bf16", "f16") or ("f64", "bf16")))
                continue;
            if (exact)
            {
                Instruct.Equal($"cvt.{to}.{from}", $"cvt.{to}.{from} r, a;" + Unify(to), to, [from], Inputs(from), v => format.Convert(v[0], target, Round.Nearest));
                continue;
            }
            foreach (var (name, round) in new[] { ("rn", Round.Nearest), ("rz", Round.Zero), ("rm", Round.Down), ("rp", Round.Up) })
            {
                if (to == "bf16" && name is "rm" or "rp")
                    continue;
                Instruct.Equal($"cvt.{name}.{to}.{from}", $"cvt.{name}.{to}.{from} r, a;" + Unify(to), to, [from], Inputs(from),
                    v => format.Convert(v[0], target, round));
            }
        }
    }

    /// <summary>The bits of a NaN that becomes a float64 are not said.</summary>
    private static string Unify(string to) => to == "f64" ? "testp.notanumber.f64 q, r; selp.b64 r, 0x7FF8000000000000, r, q;" : "";

    [Theory]
    [InlineData("f16")]
    [InlineData("f32")]
    [InlineData("f64")]
    public void FloatsAreRoundedToWholeOnes(string type)
    {
        var format = ExactFloat.Of(type);
        foreach (var (name, round) in new[] { ("rni", Round.Nearest), ("rzi", Round.Zero), ("rmi", Round.Down), ("rpi", Round.Up) })
        {
            ulong[] numbers = [.. Inputs(type)[0].Where(a => !format.IsNaN(a))];
            Instruct.Equal($"cvt.{name}.{type}.{type}", $"cvt.{name}.{type}.{type} r, a;", type, [type], [numbers], v =>
            {
                if (format.IsInfinite(v[0]))
                    return v[0];
                var (significand, exponent) = format.Value(v[0]);
                return exponent >= 0 ? v[0] : format.Rounded(ExactFloat.Whole(significand, exponent, round), 0, Round.Nearest, format.IsNegative(v[0]));
            });
        }
    }

    [Fact]
    public void SaturatedFloatsStayBetweenZeroAndOne()
    {
        Instruct.Equal("cvt.sat.f32.f32", "f32", ["f32"], v => ExactFloat.Single.Saturate(v[0]));
        Instruct.Equal("cvt.ftz.sat.f32.f32", "f32", ["f32"], v => ExactFloat.Single.Saturate(ExactFloat.Single.Flush(v[0])));
        Instruct.Equal("cvt.rn.sat.f32.f64", "f32", ["f64"], v => ExactFloat.Single.Saturate(ExactFloat.Double.Convert(v[0], ExactFloat.Single, Round.Nearest)));
        Instruct.Equal("cvt.rn.sat.f16.f32", "f16", ["f32"], v => ExactFloat.Half.Saturate(ExactFloat.Single.Convert(v[0], ExactFloat.Half, Round.Nearest)));
    }

    [Fact]
    public void FtzMakesSubnormalNumbersZeros()
    {
        var f = ExactFloat.Single;
        Instruct.Equal("cvt.rn.ftz.f32.f64", "f32", ["f64"], v => f.Flush(ExactFloat.Double.Convert(v[0], f, Round.Nearest)));
        Instruct.Equal("cvt.rpi.ftz.s32.f32", "cvt.rpi.ftz.s32.f32 r, a;", "b32", ["f32"],
            [[.. Operands.For("f32")[0].Where(a => !f.IsNaN(a) && !f.IsInfinite(a))]], v =>
            {
                var (significand, exponent) = f.Value(f.Flush(v[0]));
                return Extended("s32", Clamp("s32", Near(ExactFloat.Whole(significand, exponent, Round.Up))));
            });
    }

    [Theory]
    [InlineData("f16")]
    [InlineData("bf16")]
    public void TwoFloatsArePackedTheFirstInTheUpperHalf(string half)
    {
        var target = ExactFloat.Of(half);
        foreach (var (name, round) in new[] { ("rn", Round.Nearest), ("rz", Round.Zero) })
        {
            Instruct.Equal($"cvt.{name}.{half}x2.f32", "b32", ["f32", "f32"],
                v => ExactFloat.Single.Convert(v[0], target, round) << 16 | ExactFloat.Single.Convert(v[1], target, round));
        }
        Instruct.Equal($"cvt.rn.relu.{half}x2.f32", "b32", ["f32", "f32"], v => Positive(v[0]) << 16 | Positive(v[1]));

        ulong Positive(ulong single)
        {
            ulong result = ExactFloat.Single.Convert(single, target, Round.Nearest);
            return !target.IsNaN(result) && target.IsNegative(result) ? 0 : result;
        }
    }

    [Fact]
    public void Tf32HasTenBitsBehindThePointAndTiesGoAway()
    {
        // Numbers alone: the bits of a NaN are not said.
        ulong[] numbers = [.. Operands.For("f32")[0].Where(a => !ExactFloat.Single.IsNaN(a))];
        Instruct.Equal("cvt.rna.tf32.f32", "cvt.rna.tf32.f32 r, a;", "b32", ["f32"], [numbers],
            v => ExactFloat.Single.IsInfinite(v[0]) ? v[0] : (v[0] & 0x8000_0000) | Math.Min((v[0] & 0x7FFF_FFFF) + 0x1000 & ~0x1FFFul, 0x7F80_0000));
    }
}
