using System.Numerics;

namespace RawDiffusion.Tests;

/// <summary>What lanes of a warp exchange, warp by warp from the manual's pseudocode.</summary>
public class WarpTests
{
    private const string Predicate = "setp.ne.u32 q, a, 0; ";

    /// <summary>Runs for many warps and asks the definition for the 32 results of each.</summary>
    private static void EqualWarps(string text, string result, string[] types, ulong[][] columns, Func<ulong[][], ulong[]> definition)
    {
        int warps = columns[0].Length / 32;
        columns = Array.ConvertAll(columns, c => c[..(32 * warps)]);
        ulong[] results = Instruct.Run(text, result, types, columns, RawDiffusion.PtxEmulator.Execution.LaunchOptions.Default);
        for (int w = 0; w < warps; w++)
        {
            ulong[] expected = definition(Array.ConvertAll(columns, c => c[(32 * w)..(32 * w + 32)]));
            for (int lane = 0; lane < 32; lane++)
            {
                if (expected[lane] != results[32 * w + lane])
                    Assert.Fail($"{text} in lane {lane} of warp {w} is 0x{results[32 * w + lane]:X}, not 0x{expected[lane]:X}");
            }
        }
    }

    private static ulong[] Lanes(Func<int, ulong> value) => [.. Enumerable.Range(0, 32).Select(value)];

    private static ulong Mask(Func<int, bool> holds) => Enumerable.Range(0, 32).Aggregate(0ul, (m, i) => holds(i) ? m | 1ul << i : m);

    /// <summary>Values of which many are equal.</summary>
    private static ulong[] Few(int kinds, int seed) => Random(seed, r => (ulong)r.Next(kinds));

    private static ulong[] Random(int seed, Func<Random, ulong> value)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Operands.Count).Select(_ => value(random))];
    }

    [Theory]
    [InlineData("up")]
    [InlineData("down")]
    [InlineData("bfly")]
    [InlineData("idx")]
    public void ShufflesReadOtherLanesOfTheirSegment(string mode)
    {
        ulong[][] columns =
        [
            Operands.For("b32")[0][^Operands.Count..], Random(1, r => r.Next(4) == 0 ? (ulong)r.Next() : (ulong)r.Next(33)),
            Random(2, r => r.Next(2) == 0 ? mode == "up" ? 0u : 31u : (ulong)r.Next(1 << 13)),
        ];
        EqualWarps($"shfl.sync.{mode}.b32 t1|q, a, b, c, -1; selp.b32 t2, 1, 0, q; mov.b64 r, {{t1, t2}};", "b64", ["b32", "b32", "b32"], columns, v => Lanes(lane =>
        {
            int b = (int)(v[1][lane] & 31), c = (int)(v[2][lane] & 31), segment = (int)(v[2][lane] >> 8 & 31);
            int most = (lane & segment) | (c & ~segment), least = lane & segment;
            int j = mode switch { "up" => lane - b, "down" => lane + b, "bfly" => lane ^ b, _ => least | (b & ~segment) };
            bool inside = mode == "up" ? j >= most : j <= most;
            return v[0][inside ? j : lane] | (inside ? 1ul << 32 : 0);
        }));
    }

    [Fact]
    public void Votes()
    {
        ulong[][] columns = [Random(3, r => r.Next(40) is var k && k < 2 ? (ulong)k : r.Next(64) == 0 ? 1u : 0u)];
        // Whole warps of one kind too.
        for (int i = 0; i < 64 * 32; i++)
            columns[0][i] = (ulong)(i / 32 % 2);
        EqualWarps(Predicate + "vote.sync.all.pred r, q, -1;", "pred", ["b32"], columns, v => Lanes(_ => v[0].All(x => x != 0) ? 1u : 0u));
        EqualWarps(Predicate + "vote.sync.any.pred r, q, -1;", "pred", ["b32"], columns, v => Lanes(_ => v[0].Any(x => x != 0) ? 1u : 0u));
        EqualWarps(Predicate + "vote.sync.uni.pred r, q, -1;", "pred", ["b32"], columns, v => Lanes(_ => v[0].Distinct().Count() == 1 ? 1u : 0u));
        EqualWarps(Predicate + "vote.sync.ballot.b32 r, q, -1;", "b32", ["b32"], columns, v => Lanes(_ => Mask(i => v[0][i] != 0)));
        EqualWarps(Predicate + "vote.sync.ballot.b32 r, !q, -1;", "b32", ["b32"], columns, v => Lanes(_ => Mask(i => v[0][i] == 0)));
        EqualWarps(Predicate + "vote.sync.all.pred r, !q, -1;", "pred", ["b32"], columns, v => Lanes(_ => v[0].All(x => x == 0) ? 1u : 0u));
    }

    [Fact]
    public void SomeLanesVoteAmongThemselves()
    {
        ulong[][] columns = [Few(2, 4), Few(3, 5)];
        EqualWarps(Predicate + "vote.sync.ballot.b32 t1, q, -1; setp.eq.u32 q2, b, 0; mov.u32 r, 77; @q vote.sync.ballot.b32 r, q2, t1;",
            "b32", ["b32", "b32"], columns, v => Lanes(lane => v[0][lane] != 0 ? Mask(i => v[0][i] != 0 && v[1][i] == 0) : 77));
    }

    [Theory]
    [InlineData("b32", 4)]
    [InlineData("b64", 4)]
    [InlineData("b32", 40)]
    [InlineData("b64", 1)]
    public void MatchesAreTheLanesOfOneValue(string type, int kinds)
    {
        ulong high = type == "b64" ? 1ul << 40 : 1;
        ulong[][] columns = [[.. Few(kinds, 6).Select(x => x * high)]];
        EqualWarps($"match.any.sync.{type} r, a, -1;", "b32", [type], columns, v => Lanes(lane => Mask(i => v[0][i] == v[0][lane])));
        EqualWarps($"match.all.sync.{type} t1|q, a, -1; selp.b32 t2, 1, 0, q; mov.b64 r, {{t1, t2}};", "b64", [type], columns,
            v => Lanes(_ => v[0].Distinct().Count() == 1 ? uint.MaxValue | 1ul << 32 : 0));
    }

    [Fact]
    public void ReductionsOverAWarp()
    {
        ulong[][] columns = [Operands.For("b32")[0][^Operands.Count..]];
        Reduce("add.u32", v => v.Aggregate((x, y) => x + y & uint.MaxValue));
        Reduce("add.s32", v => v.Aggregate((x, y) => x + y & uint.MaxValue));
        Reduce("min.u32", v => v.Min());
        Reduce("max.u32", v => v.Max());
        Reduce("min.s32", v => (uint)v.Min(x => (int)x));
        Reduce("max.s32", v => (uint)v.Max(x => (int)x));
        Reduce("and.b32", v => v.Aggregate((x, y) => x & y));
        Reduce("or.b32", v => v.Aggregate((x, y) => x | y));
        Reduce("xor.b32", v => v.Aggregate((x, y) => x ^ y));

        void Reduce(string name, Func<ulong[], ulong> definition) =>
            EqualWarps($"redux.sync.{name} r, a, -1;", "b32", ["b32"], columns, v => Lanes(_ => definition(v[0])));
    }

    [Fact]
    public void TheActiveLanesAreThoseOfTheBranch()
    {
        ulong[][] columns = [Few(2, 8)];
        EqualWarps(Predicate + "mov.u32 r, 0; @!q bra skip; activemask.b32 r; skip: bar.warp.sync -1;", "b32", ["b32"], columns,
            v => Lanes(lane => v[0][lane] != 0 ? Mask(i => v[0][i] != 0) : 0));
    }

    [Fact]
    public void OneLaneIsElected()
    {
        ulong[][] columns = [Few(2, 9)];
        EqualWarps("elect.sync t1|q, -1; selp.b32 t2, 1, 0, q; vote.sync.ballot.b32 t3, q, -1; popc.b32 r, t3; mad.lo.u32 r, t1, 0, r;", "b32", ["b32"], columns,
            _ => Lanes(_ => 1));
    }

    [Fact]
    public void LanesKnowTheirMasks()
    {
        ulong[][] columns = [Few(2, 10)];
        Special("%laneid", lane => (ulong)lane);
        Special("%lanemask_eq", lane => 1ul << lane);
        Special("%lanemask_lt", lane => (1ul << lane) - 1);
        Special("%lanemask_le", lane => (2ul << lane) - 1);
        Special("%lanemask_gt", lane => ~((2ul << lane) - 1) & uint.MaxValue);
        Special("%lanemask_ge", lane => ~((1ul << lane) - 1) & uint.MaxValue);

        void Special(string name, Func<int, ulong> definition) => EqualWarps($"mov.u32 r, {name};", "b32", ["b32"], columns, _ => Lanes(definition));
    }

    [Fact]
    public void ThreadsKnowTheirPlace()
    {
        uint[] place = InstructionRunner.RunKernel("""
            ENTRY
            {
                .reg .b32 %r<12>; .reg .b64 %rd<4>; .reg .b16 h;
                mov.u32 %r1, %tid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %ctaid.x; mov.u32 %r4, %nctaid.y; mov.u32 %r5, %warpid; mov.u32 %r6, %tid.z;
                mov.u16 h, %ntid.x; cvt.u32.u16 %r7, h; mov.u64 %rd3, %gridid; add.u32 %r8, %tid.x, %ntid.y;
                ld.param.u64 %rd1, [p0];
                mad.wide.u32 %rd1, %r1, 32, %rd1;
                st.global.v4.u32 [%rd1], {%r1, %r2, %r3, %r4};
                st.global.v4.u32 [%rd1+16], {%r5, %r6, %r7, %r8};
            }
            """, 96, 96 * 8);
        for (uint i = 0; i < 96; i++)
            Assert.Equal([i, 96, 0, 1, i / 32, 0, 96, i + 1], place[(int)(8 * i)..(int)(8 * i + 8)]);
    }
}
