using System.Numerics;

namespace RawDiffusion.Tests;

/// <summary>Logic, shifts, bit fields and permutations of bytes, bit by bit from the manual.</summary>
public class BitTests
{
    public static TheoryData<string> Sizes => new("b16", "b32", "b64");

    public static TheoryData<string> Words => new("u32", "s32", "u64", "s64");

    private static bool Bit(ulong bits, int i) => (bits >> i & 1) != 0;

    private static ulong Cut(string type, ulong bits) => bits & Operands.Mask(Operands.Bits(type));

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Logic(string type)
    {
        Instruct.Equal($"and.{type}", type, [type, type], v => v[0] & v[1]);
        Instruct.Equal($"or.{type}", type, [type, type], v => v[0] | v[1]);
        Instruct.Equal($"xor.{type}", type, [type, type], v => v[0] ^ v[1]);
        Instruct.Equal($"not.{type}", type, [type], v => Cut(type, ~v[0]));
        Instruct.Equal($"cnot.{type}", type, [type], v => v[0] == 0 ? 1u : 0u);
    }

    [Fact]
    public void LogicOfPredicates()
    {
        ulong[][] pairs = [[0, 0, 1, 1], [0, 1, 0, 1]];
        foreach (var (name, table) in new[] { ("and", 0b1000), ("or", 0b1110), ("xor", 0b0110) })
        {
            Instruct.Equal(name, $"setp.ne.u32 q, a, 0; setp.ne.u32 q2, b, 0; {name}.pred r, q, q2;", "pred", ["b32", "b32"], pairs,
                v => (ulong)(table >> (int)(2 * v[0] + v[1]) & 1));
        }
        Instruct.Equal("not", "setp.ne.u32 q, a, 0; not.pred r, q;", "pred", ["b32"], [pairs[0]], v => 1 - v[0]);
        Instruct.Equal("mov", "setp.ne.u32 q, a, 0; mov.pred r, q;", "pred", ["b32"], [pairs[0]], v => v[0]);
        Instruct.Equal("mov", "mov.pred r, -1;", "pred", ["b32"], [pairs[0]], _ => 1);
    }

    [Theory]
    [InlineData("b16")]
    [InlineData("b32")]
    [InlineData("b64")]
    [InlineData("u16")]
    [InlineData("s16")]
    [InlineData("u32")]
    [InlineData("s32")]
    [InlineData("u64")]
    [InlineData("s64")]
    public void ShiftsOverTheSizeLeaveOnlyTheSign(string type)
    {
        int bits = Operands.Bits(type);
        if (type[0] == 'b')
            Instruct.Equal($"shl.{type}", type, [type, "u32"], v => v[1] >= (ulong)bits ? 0 : Cut(type, v[0] << (int)v[1]));
        bool sign = type[0] == 's';
        Instruct.Equal($"shr.{type}", type, [type, "u32"], v =>
        {
            bool negative = sign && Bit(v[0], bits - 1);
            ulong result = 0;
            for (int i = 0; i < bits; i++)
            {
                ulong from = (ulong)i + v[1];
                if (from >= (ulong)bits ? negative : Bit(v[0], (int)from))
                    result |= 1ul << i;
            }
            return result;
        });
    }

    [Fact]
    public void FunnelShifts()
    {
        foreach (string mode in new[] { "clamp", "wrap" })
        {
            Func<ulong, int> amount = c => mode == "clamp" ? (int)Math.Min(c, 32) : (int)(c & 31);
            Instruct.Equal($"shf.l.{mode}.b32", "b32", ["b32", "b32", "u32"], v => (ulong)(((BigInteger)v[1] << 32 | v[0]) << amount(v[2]) >> 32 & uint.MaxValue));
            Instruct.Equal($"shf.r.{mode}.b32", "b32", ["b32", "b32", "u32"], v => (ulong)(((BigInteger)v[1] << 32 | v[0]) >> amount(v[2]) & uint.MaxValue));
        }
    }

    [Theory]
    [InlineData("b32")]
    [InlineData("b64")]
    public void CountsAndReversals(string type)
    {
        int bits = Operands.Bits(type);
        Instruct.Equal($"popc.{type}", "u32", [type], v => (ulong)Enumerable.Range(0, bits).Count(i => Bit(v[0], i)));
        Instruct.Equal($"clz.{type}", "u32", [type], v => (ulong)Enumerable.Range(0, bits).TakeWhile(i => !Bit(v[0], bits - 1 - i)).Count());
        Instruct.Equal($"brev.{type}", type, [type], v => Enumerable.Range(0, bits).Aggregate(0ul, (r, i) => Bit(v[0], i) ? r | 1ul << (bits - 1 - i) : r));
    }

    [Theory]
    [MemberData(nameof(Words))]
    public void TheHighestBitThatIsNotTheSign(string type)
    {
        int bits = Operands.Bits(type);
        Func<ulong, int> find = a =>
        {
            bool skip = type[0] == 's' && Bit(a, bits - 1);
            for (int i = bits - 1; i >= 0; i--)
            {
                if (Bit(a, i) != skip)
                    return i;
            }
            return -1;
        };
        Instruct.Equal($"bfind.{type}", "u32", [type], v => (uint)find(v[0]));
        Instruct.Equal($"bfind.shiftamt.{type}", "u32", [type], v => find(v[0]) is var i && i < 0 ? uint.MaxValue : (uint)(bits - 1 - i));
    }

    [Theory]
    [MemberData(nameof(Words))]
    public void BitFieldsAreExtractedWithTheirSign(string type)
    {
        int most = Operands.Bits(type) - 1;
        Instruct.Equal($"bfe.{type}", type, [type, "u32", "u32"], v =>
        {
            int position = (int)(v[1] & 0xFF), length = (int)(v[2] & 0xFF);
            bool sign = type[0] == 's' && length > 0 && Bit(v[0], Math.Min(position + length - 1, most));
            ulong result = 0;
            for (int i = 0; i <= most; i++)
            {
                if (i < length && position + i <= most ? Bit(v[0], position + i) : sign)
                    result |= 1ul << i;
            }
            return result;
        });
    }

    [Theory]
    [InlineData("b32")]
    [InlineData("b64")]
    public void BitFieldsAreInserted(string type)
    {
        int most = Operands.Bits(type) - 1;
        Instruct.Equal($"bfi.{type}", type, [type, type, "u32", "u32"], v =>
        {
            int position = (int)(v[2] & 0xFF), length = (int)(v[3] & 0xFF);
            ulong result = v[1];
            for (int i = 0; i < length && position + i <= most; i++)
                result = result & ~(1ul << (position + i)) | (Bit(v[0], i) ? 1ul << (position + i) : 0);
            return result;
        });
    }

    [Fact]
    public void BytesArePermuted()
    {
        Func<ulong[], int, ulong> pick = (v, i) => (i < 4 ? v[0] >> (8 * i) : v[1] >> (8 * (i - 4))) & 0xFF;
        Permute("", v => [.. Enumerable.Range(0, 4).Select(i =>
        {
            int selector = (int)(v[2] >> (4 * i) & 15);
            ulong b = pick(v, selector & 7);
            return (selector & 8) == 0 ? b : b >= 128 ? 255ul : 0;
        })]);
        Permute(".f4e", v => [.. Enumerable.Range(0, 4).Select(i => pick(v, (int)(v[2] & 3) + i))]);
        Permute(".b4e", v => [.. Enumerable.Range(0, 4).Select(i => pick(v, (int)((v[2] & 3) + 8 - (ulong)i) % 8))]);
        Permute(".rc8", v => [.. Enumerable.Range(0, 4).Select(_ => pick(v, (int)(v[2] & 3)))]);
        Permute(".ecl", v => [.. Enumerable.Range(0, 4).Select(i => pick(v, Math.Max(i, (int)(v[2] & 3))))]);
        Permute(".ecr", v => [.. Enumerable.Range(0, 4).Select(i => pick(v, Math.Min(i, (int)(v[2] & 3))))]);
        Permute(".rc16", v => [.. Enumerable.Range(0, 4).Select(i => pick(v, 2 * (int)(v[2] & 1) + i % 2))]);

        static void Permute(string mode, Func<ulong[], ulong[]> bytes) => Instruct.Equal($"prmt.b32{mode}", "b32", ["b32", "b32", "b32"],
            v => bytes(v).Select((b, i) => b << (8 * i)).Aggregate((x, y) => x | y));
    }

    [Fact]
    public void AnyFunctionOfThreeBits()
    {
        ulong[][] columns = Operands.For("b32", "b32", "b32");
        ulong[][] few = Array.ConvertAll(columns, c => c[..2000]);
        for (int table = 0; table < 256; table++)
        {
            int t = table;
            Instruct.Equal($"lop3.b32 {t}", $"lop3.b32 r, a, b, c, {t};", "b32", ["b32", "b32", "b32"], t is 0x96 or 0xE8 or 0xCA ? columns : few, v =>
            {
                ulong result = 0;
                for (int i = 0; i < 32; i++)
                {
                    int index = (Bit(v[0], i) ? 4 : 0) + (Bit(v[1], i) ? 2 : 0) + (Bit(v[2], i) ? 1 : 0);
                    result |= (ulong)(t >> index & 1) << i;
                }
                return result;
            });
        }
    }

    [Fact]
    public void RegistersAreJoinedAndSplit()
    {
        Instruct.Equal("mov.b64 of two", "mov.b64 r, {a, b};", "b64", ["b32", "b32"], Operands.For("b32", "b32"), v => v[0] | v[1] << 32);
        Instruct.Equal("mov.b32 of two", "mov.b32 r, {a, b};", "b32", ["b16", "b16"], Operands.Exhaustive("b16", "b16"), v => v[0] | v[1] << 16);
        Instruct.Equal("mov.b64 of four", "mov.b64 r, {a, b, c, d};", "b64", ["b16", "b16", "b16", "b16"], Operands.Exhaustive("b16", "b16", "b16", "b16"),
            v => v[0] | v[1] << 16 | v[2] << 32 | v[3] << 48);
        Instruct.Equal("mov.b64 to two", "mov.b64 {t1, t2}, a; xor.b32 r, t1, t2;", "b32", ["b64"], Operands.For("b64"), v => (v[0] ^ v[0] >> 32) & uint.MaxValue);
        Instruct.Equal("mov.b64 to the upper", "mov.b64 {_, r}, a;", "b32", ["b64"], Operands.For("b64"), v => v[0] >> 32);
        Instruct.Equal("mov.b32 to the lower", "{ .reg .b16 h; mov.b32 {r, h}, a; }", "b16", ["b32"], Operands.For("b32"), v => v[0] & 0xFFFF);
    }
}
