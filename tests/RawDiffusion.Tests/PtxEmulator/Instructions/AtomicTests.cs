namespace RawDiffusion.Tests;

/// <summary>Atomics: one place is changed by all threads, in any order, and each is told a value that it had in between.</summary>
public class AtomicTests
{
    private const int Threads = 256;

    /// <summary>Threads with operands b apply the operation to one place that begins as given; returns its end and what each was told.</summary>
    private static (ulong End, ulong[] Told) Run(string operation, string type, string space, ulong start, ulong[] operands, string extra = "")
    {
        int words = Operands.Bits(type) == 64 ? 2 : 1;
        string bits = words == 2 ? "b64" : "b32";
        string place = space == "shared" ? "mov.u64 p, place;" : "ld.param.u64 p, [p1]; add.u64 p, p, " + 8 * Threads + ";";
        string set = space == "global" || space.Length == 0 ? "st.global" : "st.shared";
        string load = set.Replace("st", "ld");
        string spaced = space.Length == 0 ? "" : "." + space;
        string body = $$"""
            .shared .align 8 .b64 place;
            ENTRY
            {
                .reg .b32 i; .reg .b64 p, o, x; .reg .{{bits}} b, d; .reg .pred first;
                mov.u32 i, %tid.x; setp.eq.u32 first, i, 0;
                {{place}}
                ld.param.u64 o, [p0]; mad.wide.u32 o, i, 8, o; ld.global.{{bits}} b, [o];
                @first {{set}}.{{bits}} [p], {{start}};
                bar.sync 0;
                atom{{spaced}}.{{operation}}.{{type}} d, [p], {{extra}}b;
                ld.param.u64 o, [p1]; mad.wide.u32 o, i, 8, o; st.global.{{bits}} [o], d;
                bar.sync 0;
                ld.param.u64 o, [p1]; {{load}}.{{bits}} b, [p]; add.u64 o, o, {{8 * Threads}};
                @first st.global.{{bits}} [o], b;
            }
            """;
        uint[] input = new uint[2 * Threads];
        for (int i = 0; i < Threads; i++)
            (input[2 * i], input[2 * i + 1]) = ((uint)operands[i], (uint)(operands[i] >> 32));
        uint[] output = InstructionRunner.RunKernel(body, Threads, 2 * Threads + 2, input);
        ulong Word(int i) => output[2 * i] | (words == 2 ? (ulong)output[2 * i + 1] << 32 : 0);
        return (Word(Threads), [.. Enumerable.Range(0, Threads).Select(Word)]);
    }

    private static ulong[] Random(string type, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Threads).Select(_ => (ulong)random.NextInt64(long.MinValue, long.MaxValue) & Operands.Mask(Operands.Bits(type)))];
    }

    [Theory]
    [InlineData("global")]
    [InlineData("shared")]
    [InlineData("")]
    public void TheEndIsThatOfAllOperationsTogether(string space)
    {
        foreach (string type in new[] { "u32", "s32", "u64", "s64" })
        {
            ulong mask = Operands.Mask(Operands.Bits(type)), start = Random(type, 1)[0];
            ulong[] b = Random(type, 2);
            Func<ulong, long> signed = x => Operands.Bits(type) == 32 ? (int)x : (long)x;
            Fold("add", (x, y) => x + y & mask);
            Fold("min", (x, y) => type[0] == 's' ? signed(x) < signed(y) ? x : y : Math.Min(x, y));
            Fold("max", (x, y) => type[0] == 's' ? signed(x) > signed(y) ? x : y : Math.Max(x, y));
            if (type[0] == 'u')
            {
                Fold("and", (x, y) => x & y, "b");
                Fold("or", (x, y) => x | y, "b");
                Fold("xor", (x, y) => x ^ y, "b");
            }

            void Fold(string operation, Func<ulong, ulong, ulong> definition, string? letter = null)
            {
                var (end, told) = Run(operation, (letter ?? type[..1]) + type[1..], space, start, b);
                Assert.Equal(b.Aggregate(start, definition), end);
                CheckChain(start, end, told, b, definition);
            }
        }
    }

    /// <summary>Some order of the threads explains what each was told: the values form a chain from the start to the end.</summary>
    private static void CheckChain(ulong start, ulong end, ulong[] told, ulong[] operands, Func<ulong, ulong, ulong> definition)
    {
        var unused = new Dictionary<ulong, Queue<int>>();
        foreach (var group in Enumerable.Range(0, told.Length).GroupBy(i => told[i]))
            // Those that change nothing first.
            unused[group.Key] = new Queue<int>(group.OrderBy(i => definition(told[i], operands[i]) != told[i]));
        ulong at = start;
        for (int i = 0; i < told.Length; i++)
        {
            Assert.True(unused.TryGetValue(at, out var queue) && queue.Count > 0, $"no thread was told 0x{at:X}");
            at = definition(at, operands[queue.Dequeue()]);
        }
        Assert.Equal(end, at);
    }

    [Fact]
    public void ExchangesHandOneValueOn()
    {
        foreach (string type in new[] { "b32", "b64" })
        {
            ulong[] b = Random(type, 3);
            var (end, told) = Run("exch", type, "global", 5, b);
            Assert.Equal([.. b.Append(5ul).Order()], told.Append(end).Order());
        }
    }

    [Fact]
    public void CompareAndSwapSucceedsForOne()
    {
        foreach (string type in new[] { "b32", "b64" })
        {
            ulong[] b = [.. Enumerable.Range(100, Threads).Select(i => (ulong)i)];
            var (end, told) = Run("cas", type, "global", 5, b, "5, ");
            int winner = Array.IndexOf(told, 5ul);
            Assert.Equal(b[winner], end);
            Assert.All(told.Where((_, i) => i != winner), t => Assert.Equal(end, t));
        }
    }

    [Fact]
    public void IncrementsAndDecrementsWrapAtTheirOperand()
    {
        ulong[] b = [.. Enumerable.Repeat(99ul, Threads)];
        var (end, told) = Run("inc", "u32", "shared", 90, b);
        Func<ulong, ulong, ulong> up = (x, y) => x >= y ? 0 : x + 1, down = (x, y) => x == 0 || x > y ? y : x - 1;
        Assert.Equal(b.Aggregate(90ul, up), end);
        CheckChain(90, end, told, b, up);
        (end, told) = Run("dec", "u32", "shared", 500, b);
        Assert.Equal(b.Aggregate(500ul, down), end);
        CheckChain(500, end, told, b, down);
    }

    [Fact]
    public void FloatsAreAdded()
    {
        // Whole numbers: exact in any order.
        ulong[] singles = [.. Enumerable.Range(0, Threads).Select(i => (ulong)BitConverter.SingleToUInt32Bits(i - 50))];
        Assert.Equal(Enumerable.Range(0, Threads).Sum(i => i - 50f), BitConverter.UInt32BitsToSingle((uint)Run("add", "f32", "shared", 0, singles).End));
        Assert.Equal(Enumerable.Range(0, Threads).Sum(i => i - 50f), BitConverter.UInt32BitsToSingle((uint)Run("add", "f32", "global", 0, singles).End));
        ulong[] doubles = [.. Enumerable.Range(0, Threads).Select(i => BitConverter.DoubleToUInt64Bits(i * 1e10))];
        Assert.Equal(Enumerable.Range(0, Threads).Sum(i => i * 1e10), BitConverter.UInt64BitsToDouble(Run("add", "f64", "", 0, doubles).End));
        ulong two = BitConverter.HalfToUInt16Bits((Half)1) | (ulong)BitConverter.HalfToUInt16Bits((Half)(-2)) << 16;
        ulong pairs = Run("add.noftz", "f16x2", "global", 0, [.. Enumerable.Repeat(two, Threads)]).End;
        Assert.Equal(((Half)256, (Half)(-512)), (BitConverter.UInt16BitsToHalf((ushort)pairs), BitConverter.UInt16BitsToHalf((ushort)(pairs >> 16))));
    }

    [Fact]
    public void ReductionsTellNothing()
    {
        uint[] output = InstructionRunner.RunKernel("""
            ENTRY
            {
                .reg .b32 i; .reg .b64 p;
                mov.u32 i, %tid.x; ld.param.u64 p, [p0];
                red.global.add.u32 [p], i;
                red.global.max.s32 [p+4], i;
                red.relaxed.gpu.global.or.b32 [p+8], i;
                atom.global.add.u32 _, [p+12], 2;
            }
            """, 100, 4);
        Assert.Equal([4950u, 99, 127, 200], output);
    }
}
