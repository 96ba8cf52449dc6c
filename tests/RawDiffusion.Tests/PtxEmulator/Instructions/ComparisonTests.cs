using System.Numerics;

namespace RawDiffusion.Tests;

/// <summary>setp, set, selp and slct.</summary>
public class ComparisonTests
{
    private static readonly (string Name, Func<int?, bool> Holds)[] s_ordered =
    [
        ("eq", c => c == 0), ("ne", c => c is not null and not 0), ("lt", c => c < 0), ("le", c => c <= 0), ("gt", c => c > 0), ("ge", c => c >= 0),
    ];

    private static readonly (string Name, Func<int?, bool> Holds)[] s_unordered =
    [
        ("equ", c => c is null or 0), ("neu", c => c != 0), ("ltu", c => c is null or < 0), ("leu", c => c is null or <= 0),
        ("gtu", c => c is null or > 0), ("geu", c => c is null or >= 0), ("num", c => c is not null), ("nan", c => c is null),
    ];

    private static readonly (string Name, Func<int?, bool> Holds)[] s_unsigned =
        [("lo", c => c < 0), ("ls", c => c <= 0), ("hi", c => c > 0), ("hs", c => c >= 0)];

    private static bool IsFloat(string type) => type is "f32" or "f64" or "f16" or "bf16";

    private static int? Order(string type, ulong a, ulong b)
    {
        if (IsFloat(type))
            return ExactFloat.Of(type).Compare(a, b);
        int bits = Operands.Bits(type);
        return type[0] == 's' ? ((long)(a << (64 - bits))).CompareTo((long)(b << (64 - bits))) : a.CompareTo(b);
    }

    public static TheoryData<string> Types => new("b16", "b32", "b64", "u16", "s16", "u32", "s32", "u64", "s64", "f16", "bf16", "f32", "f64");

    [Theory]
    [MemberData(nameof(Types))]
    public void ComparisonsHoldAsTheirNamesSay(string type)
    {
        ulong[][] columns = Operands.Bits(type) == 16 ? Operands.Exhaustive(type, type) : Operands.For(type, type);
        IEnumerable<(string Name, Func<int?, bool> Holds)> comparisons = type[0] == 'b' && type != "bf16" ? s_ordered[..2]
            : IsFloat(type) ? [.. s_ordered, .. s_unordered] : type[0] == 'u' ? [.. s_ordered, .. s_unsigned] : s_ordered;
        foreach (var (name, holds) in comparisons)
            Instruct.Equal(name, $"setp.{name}.{type} r, a, b;", "pred", [type, type], columns, v => holds(Order(type, v[0], v[1])) ? 1u : 0u);
    }

    [Fact]
    public void FtzComparesSubnormalNumbersAsZeros()
    {
        var f = ExactFloat.Single;
        Instruct.Equal("setp.eq.ftz.f32", "pred", ["f32", "f32"], v => f.Compare(f.Flush(v[0]), f.Flush(v[1])) == 0 ? 1u : 0u);
        Instruct.Equal("setp.lt.ftz.f32", "pred", ["f32", "f32"], v => f.Compare(f.Flush(v[0]), f.Flush(v[1])) < 0 ? 1u : 0u);
    }

    [Theory]
    [InlineData("and", 0b1000)]
    [InlineData("or", 0b1110)]
    [InlineData("xor", 0b0110)]
    public void ResultsAreCombinedWithAPredicate(string operation, int table)
    {
        ulong[][] columns = [.. Operands.For("s32", "s32"), []];
        columns[2] = [.. columns[0].Select((a, i) => (a ^ (ulong)i) & 1)];
        Func<bool, bool, ulong> combined = (x, c) => (ulong)(table >> ((x ? 2 : 0) + (c ? 1 : 0)) & 1);
        const string Make = "setp.ne.u32 q, c, 0; ";
        Instruct.Equal(operation, Make + $"setp.lt.{operation}.s32 r, a, b, q;", "pred", ["s32", "s32", "b32"], columns, v => combined((int)v[0] < (int)v[1], v[2] != 0));
        Instruct.Equal(operation, Make + $"setp.lt.{operation}.s32 r, a, b, !q;", "pred", ["s32", "s32", "b32"], columns, v => combined((int)v[0] < (int)v[1], v[2] == 0));
        Instruct.Equal(operation, Make + $"setp.lt.{operation}.s32 q2|r, a, b, q;", "pred", ["s32", "s32", "b32"], columns, v => combined((int)v[0] >= (int)v[1], v[2] != 0));
        Instruct.Equal(operation, Make + $"set.lt.{operation}.u32.s32 r, a, b, q;", "b32", ["s32", "s32", "b32"], columns,
            v => combined((int)v[0] < (int)v[1], v[2] != 0) != 0 ? uint.MaxValue : 0);
    }

    [Fact]
    public void TheSecondPredicateIsTheOpposite() => Instruct.Equal("setp p|q", "setp.eq.f32 q|r, a, b;", "pred", ["f32", "f32"], Operands.For("f32", "f32"),
        v => ExactFloat.Single.Compare(v[0], v[1]) == 0 ? 0u : 1u);

    [Theory]
    [InlineData("u32", "s32")]
    [InlineData("s32", "u64")]
    [InlineData("u32", "f32")]
    [InlineData("s32", "f64")]
    [InlineData("f32", "s32")]
    [InlineData("f32", "f32")]
    [InlineData("f32", "u16")]
    [InlineData("u32", "f16")]
    public void SetGivesAllOnesOrOne(string result, string type) => Instruct.Equal($"set.ge.{result}.{type}", "b32", [type, type],
        v => Order(type, v[0], v[1]) >= 0 ? result == "f32" ? 0x3F80_0000 : uint.MaxValue : 0u);

    [Theory]
    [InlineData("b16")]
    [InlineData("u16")]
    [InlineData("b32")]
    [InlineData("s32")]
    [InlineData("f32")]
    [InlineData("b64")]
    [InlineData("f64")]
    public void SelpSelectsByAPredicate(string type)
    {
        ulong[][] columns = [.. Operands.For(type, type), []];
        columns[2] = [.. columns[0].Select((a, i) => (a ^ (ulong)i) & 1)];
        Instruct.Equal("selp", $"setp.ne.u32 q, c, 0; selp.{type} r, a, b, q;", type, [type, type, "b32"], columns, v => v[2] != 0 ? v[0] : v[1]);
    }

    [Theory]
    [InlineData("b16")]
    [InlineData("u32")]
    [InlineData("f32")]
    [InlineData("s64")]
    [InlineData("f64")]
    public void SlctSelectsBySign(string type)
    {
        Instruct.Equal("slct", $"slct.{type}.s32 r, a, b, c;", type, [type, type, "s32"], Operands.For(type, type, "s32"), v => (int)v[2] >= 0 ? v[0] : v[1]);
        // -0 is not less than zero, a NaN is not at least zero.
        Instruct.Equal("slct", $"slct.{type}.f32 r, a, b, c;", type, [type, type, "f32"], Operands.For(type, type, "f32"),
            v => ExactFloat.Single.Compare(v[2], 0) >= 0 ? v[0] : v[1]);
        Instruct.Equal("slct", $"slct.ftz.{type}.f32 r, a, b, c;", type, [type, type, "f32"], Operands.For(type, type, "f32"),
            v => ExactFloat.Single.Compare(ExactFloat.Single.Flush(v[2]), 0) >= 0 ? v[0] : v[1]);
    }
}
