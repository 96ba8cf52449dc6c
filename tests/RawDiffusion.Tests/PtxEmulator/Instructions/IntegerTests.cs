using System.Numerics;

namespace RawDiffusion.Tests;

/// <summary>Integer arithmetic against integers of any length.</summary>
public class IntegerTests
{
    private static readonly string[] s_all = ["u16", "s16", "u32", "s32", "u64", "s64"];

    public static TheoryData<string> Types => new(s_all);

    public static TheoryData<string> Words => new("u32", "s32", "u64", "s64");

    private static BigInteger Value(string type, ulong bits) =>
        type[0] == 's' && (bits >> (Operands.Bits(type) - 1) & 1) != 0 ? bits - (BigInteger.One << Operands.Bits(type)) : bits;

    /// <summary>The low bits.</summary>
    private static ulong Cut(string type, BigInteger value) => (ulong)(value & Operands.Mask(Operands.Bits(type)));

    private static BigInteger Least(string type) => type[0] == 's' ? -(BigInteger.One << (Operands.Bits(type) - 1)) : 0;

    private static BigInteger Most(string type) => type[0] == 's' ? (BigInteger.One << (Operands.Bits(type) - 1)) - 1 : Operands.Mask(Operands.Bits(type));

    private static string Wide(string type) => $"{type[0]}{2 * Operands.Bits(type)}";

    private static void Equal(string mnemonic, string type, int operands, Func<BigInteger[], BigInteger> definition) =>
        Instruct.Equal($"{mnemonic}.{type}", type, [.. Enumerable.Repeat(type, operands)],
            v => Cut(type, definition(Array.ConvertAll(v, x => Value(type, x)))));

    [Theory]
    [MemberData(nameof(Types))]
    public void SumsAndDifferencesWrapAround(string type)
    {
        Equal("add", type, 2, v => v[0] + v[1]);
        Equal("sub", type, 2, v => v[0] - v[1]);
    }

    [Fact]
    public void SaturatedSumsStayInRange()
    {
        Equal("add.sat", "s32", 2, v => BigInteger.Min(Most("s32"), BigInteger.Max(Least("s32"), v[0] + v[1])));
        Equal("sub.sat", "s32", 2, v => BigInteger.Min(Most("s32"), BigInteger.Max(Least("s32"), v[0] - v[1])));
        Equal("mad.hi.sat", "s32", 3, v => BigInteger.Min(Most("s32"), BigInteger.Max(Least("s32"), (v[0] * v[1] >> 32) + v[2])));
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void ProductsHaveALowAndAHighPart(string type)
    {
        int bits = Operands.Bits(type);
        Equal("mul.lo", type, 2, v => v[0] * v[1]);
        Equal("mul.hi", type, 2, v => v[0] * v[1] >> bits);
        Equal("mad.lo", type, 3, v => v[0] * v[1] + v[2]);
        Equal("mad.hi", type, 3, v => (v[0] * v[1] >> bits) + v[2]);
    }

    [Theory]
    [InlineData("u16")]
    [InlineData("s16")]
    [InlineData("u32")]
    [InlineData("s32")]
    public void WideProductsHaveTwiceTheBits(string type)
    {
        string wide = Wide(type);
        Instruct.Equal($"mul.wide.{type}", wide, [type, type], v => Cut(wide, Value(type, v[0]) * Value(type, v[1])));
        Instruct.Equal($"mad.wide.{type}", wide, [type, type, wide], v => Cut(wide, Value(type, v[0]) * Value(type, v[1]) + Value(wide, v[2])));
    }

    [Theory]
    [InlineData("u32")]
    [InlineData("s32")]
    public void ProductsOf24Bits(string type)
    {
        Func<BigInteger, BigInteger> low = x => type == "u32" ? x & 0xFFFFFF : ((x & 0xFFFFFF) ^ 0x800000) - 0x800000;
        Equal("mul24.lo", type, 2, v => low(v[0]) * low(v[1]));
        Equal("mul24.hi", type, 2, v => low(v[0]) * low(v[1]) >> 16);
        Equal("mad24.lo", type, 3, v => low(v[0]) * low(v[1]) + v[2]);
        Equal("mad24.hi", type, 3, v => (low(v[0]) * low(v[1]) >> 16) + v[2]);
        if (type == "s32")
            Equal("mad24.hi.sat", type, 3, v => BigInteger.Min(Most(type), BigInteger.Max(Least(type), (low(v[0]) * low(v[1]) >> 16) + v[2])));
    }

    /// <summary>What division by zero and the one quotient out of range give is not said by the manual: they must only not fault.</summary>
    [Theory]
    [MemberData(nameof(Types))]
    public void QuotientsAreCutTowardsZero(string type)
    {
        ulong[][] columns = Operands.Bits(type) == 16 ? Operands.Exhaustive(type, type) : Operands.For(type, type);
        Instruct.Run(Instruct.Text($"div.{type}", 2), type, [type, type], columns, RawDiffusion.PtxEmulator.Execution.LaunchOptions.Default);
        bool[] said = [.. columns[0].Select((a, i) => columns[1][i] != 0 && !(Value(type, a) == Least(type) && Value(type, columns[1][i]) == -1))];
        columns = Array.ConvertAll(columns, c => c.Where((_, i) => said[i]).ToArray());
        Instruct.Equal($"div.{type}", Instruct.Text($"div.{type}", 2), type, [type, type], columns,
            v => Cut(type, BigInteger.Divide(Value(type, v[0]), Value(type, v[1]))));
        Instruct.Equal($"rem.{type}", Instruct.Text($"rem.{type}", 2), type, [type, type], columns,
            v => Cut(type, BigInteger.Remainder(Value(type, v[0]), Value(type, v[1]))));
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void SmallerAndLargerOnesAndDistances(string type)
    {
        Equal("min", type, 2, v => BigInteger.Min(v[0], v[1]));
        Equal("max", type, 2, v => BigInteger.Max(v[0], v[1]));
        Equal("sad", type, 3, v => v[2] + BigInteger.Abs(v[0] - v[1]));
    }

    [Theory]
    [InlineData("s16")]
    [InlineData("s32")]
    [InlineData("s64")]
    public void AbsoluteValuesAndNegation(string type)
    {
        Equal("abs", type, 1, v => BigInteger.Abs(v[0]));
        Equal("neg", type, 1, v => -v[0]);
    }

    [Fact]
    public void NoLessThanZero()
    {
        Equal("min.relu", "s32", 2, v => BigInteger.Max(0, BigInteger.Min(v[0], v[1])));
        Equal("max.relu", "s32", 2, v => BigInteger.Max(0, BigInteger.Max(v[0], v[1])));
    }

    [Theory]
    [MemberData(nameof(Words))]
    public void CarriesGoOnToTheNextInstruction(string type)
    {
        int bits = Operands.Bits(type);
        var mask = (BigInteger)Operands.Mask(bits);
        // The upper half of a sum of two words each.
        string high = bits == 32 ? "t1" : "l1";
        Instruct.Equal("add.cc, addc", $"add.cc.{type} {high}, a, b; addc.{type} r, c, d;", type, [type, type, type, type],
            Operands.For(type, type, type, type), v => Cut(type, v[2] + (BigInteger)v[3] + ((v[0] + (BigInteger)v[1]) > mask ? 1 : 0)));
        Instruct.Equal("sub.cc, subc", $"sub.cc.{type} {high}, a, b; subc.{type} r, c, d;", type, [type, type, type, type],
            Operands.For(type, type, type, type), v => Cut(type, v[2] - (BigInteger)v[3] - (v[0] < v[1] ? 1 : 0)));
        Instruct.Equal("addc.cc", $"add.cc.{type} {high}, a, b; addc.cc.{type} {high}, c, d; addc.{type} r, 0, 0;", type, [type, type, type, type],
            Operands.For(type, type, type, type),
            v => v[2] + (BigInteger)v[3] + ((v[0] + (BigInteger)v[1]) > mask ? 1 : 0) > mask ? 1u : 0u);
        Instruct.Equal("subc.cc", $"sub.cc.{type} {high}, a, b; subc.cc.{type} {high}, c, d; subc.{type} r, 0, 0;", type, [type, type, type, type],
            Operands.For(type, type, type, type),
            v => (BigInteger)v[2] - v[3] - (v[0] < v[1] ? 1 : 0) < 0 ? Operands.Mask(bits) : 0);
        Instruct.Equal("mad.lo.cc, madc.hi", $"mad.lo.cc.{type} {high}, a, b, c; madc.hi.{type} r, a, b, d;", type, [type, type, type, type],
            Operands.For(type, type, type, type), v =>
            {
                var product = Value(type, v[0]) * Value(type, v[1]);
                bool carry = (product & mask) + v[2] > mask;
                return Cut(type, (product >> bits) + v[3] + (carry ? 1 : 0));
            });
    }

    [Theory]
    [InlineData("u32", "u32")]
    [InlineData("s32", "s32")]
    [InlineData("u32", "s32")]
    [InlineData("s32", "u32")]
    public void DotProductsOfBytes(string a, string b)
    {
        Func<string, ulong, int, BigInteger> part = (type, x, i) => Value($"{type[0]}8", x >> (8 * i) & 0xFF);
        Func<string, ulong, int, BigInteger> pair = (type, x, i) => Value($"{type[0]}16", x >> (16 * i) & 0xFFFF);
        Instruct.Equal($"dp4a.{a}.{b}", "b32", ["b32", "b32", "b32"],
            v => Cut("u32", v[2] + Enumerable.Range(0, 4).Aggregate(BigInteger.Zero, (sum, i) => sum + part(a, v[0], i) * part(b, v[1], i))));
        Instruct.Equal($"dp2a.lo.{a}.{b}", "b32", ["b32", "b32", "b32"],
            v => Cut("u32", v[2] + pair(a, v[0], 0) * part(b, v[1], 0) + pair(a, v[0], 1) * part(b, v[1], 1)));
        Instruct.Equal($"dp2a.hi.{a}.{b}", "b32", ["b32", "b32", "b32"],
            v => Cut("u32", v[2] + pair(a, v[0], 0) * part(b, v[1], 2) + pair(a, v[0], 1) * part(b, v[1], 3)));
    }
}
