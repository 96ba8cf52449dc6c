using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>
/// Random programs of branches, loops and guards whose lanes part all the time: every thread computes what the same program computes
/// step by step alone. This holds divergence, meeting places and the sharing of registers to their promise.
/// </summary>
public class RandomProgramTests
{
    private const int Registers = 14, Threads = 64;

    /// <summary>A piece of a program: its PTX, and what it does to the registers of one thread; false to leave the loop around it.</summary>
    private sealed record Piece(string Text, Func<uint[], bool> Run);

    [Theory]
    [InlineData(ExecutionMode.Unchecked)]
    [InlineData(ExecutionMode.Checked)]
    public void EachThreadComputesWhatItWouldAlone(ExecutionMode mode)
    {
        for (int seed = 0; seed < 150; seed++)
        {
            var random = new Random(seed);
            int names = 0;
            var program = Sequence(random, 3, false, ref names);
            uint[] input = [.. Enumerable.Range(0, Threads * 4).Select(_ => (uint)random.Next() << random.Next(4) >> random.Next(20))];
            uint[] output = InstructionRunner.RunKernel($$"""
                ENTRY
                {
                    .reg .b32 %v<{{Registers}}>, %t<4>, i, hash; .reg .b64 p, w; .reg .pred q; .reg .b32 %c<{{names + 1}}>;
                    mov.u32 i, %tid.x; ld.param.u64 p, [p0]; mad.wide.u32 p, i, 16, p;
                    ld.global.v4.u32 {%v0, %v1, %v2, %v3}, [p];
                    {{string.Concat(Enumerable.Range(4, Registers - 4).Select(r => $"mov.u32 %v{r}, {r * 1234567};\n"))}}
                    {{program.Text}}
                    mov.u32 hash, 0;
                    {{string.Concat(Enumerable.Range(0, Registers).Select(r => $"mad.lo.u32 hash, hash, 31, %v{r};\n"))}}
                    mov.u32 i, %tid.x; ld.param.u64 p, [p1]; mad.wide.u32 p, i, 4, p; st.global.u32 [p], hash;
                }
                """, Threads, Threads, new LaunchOptions { Mode = mode, ScheduleSeed = seed % 2 == 0 ? null : (ulong)seed }, input);
            for (int thread = 0; thread < Threads; thread++)
            {
                uint[] v = [.. input[(4 * thread)..(4 * thread + 4)], .. Enumerable.Range(4, Registers - 4).Select(r => (uint)r * 1234567)];
                program.Run(v);
                Assert.True(v.Aggregate(0u, (hash, x) => hash * 31 + x) == output[thread], $"program {seed}, thread {thread}:\n{program.Text}");
            }
        }
    }

    private static Piece Sequence(Random random, int depth, bool inLoop, ref int names)
    {
        var pieces = new List<Piece>();
        for (int i = random.Next(3, 9); i > 0; i--)
            pieces.Add(Any(random, depth, inLoop, ref names));
        return new Piece(string.Concat(pieces.Select(p => p.Text)), v => pieces.All(p => p.Run(v)));
    }

    private static Piece Any(Random random, int depth, bool inLoop, ref int names)
    {
        int kind = random.Next(10);
        if (depth > 0 && kind == 0)
            return Loop(random, depth - 1, ref names);
        if (depth > 0 && kind is 1 or 2)
            return Branch(random, depth - 1, inLoop, ref names);
        if (inLoop && kind == 3)
        {
            var (test, holds) = Test(random);
            // LEAVE is the end of the innermost loop, which replaces it.
            return new Piece(test + "@q bra LEAVE;\n", v => !holds(v));
        }
        if (kind == 4)
        {
            var (test, holds) = Test(random);
            var operation = Operation(random);
            return new Piece(test + "@q " + operation.Text, v => !holds(v) || operation.Run(v));
        }
        return kind == 5 ? Wide(random) : Operation(random);
    }

    private static (string Text, Func<uint[], bool> Holds) Test(Random random)
    {
        int a = random.Next(Registers), b = random.Next(Registers);
        return ($"setp.lt.u32 q, %v{a}, %v{b};\n", v => v[a] < v[b]);
    }

    private static Piece Operation(Random random)
    {
        int d = random.Next(Registers), a = random.Next(Registers), b = random.Next(Registers);
        var (name, function) = random.Pick<(string, Func<uint, uint, uint>)>(
            ("add.u32", (x, y) => x + y), ("sub.u32", (x, y) => x - y), ("xor.b32", (x, y) => x ^ y), ("mul.lo.u32", (x, y) => x * y),
            ("min.u32", Math.Min), ("max.s32", (x, y) => (uint)Math.Max((int)x, (int)y)), ("shr.u32", (x, y) => y > 31 ? 0 : x >> (int)y));
        return new Piece($"{name} %v{d}, %v{a}, %v{b};\n", v =>
        {
            v[d] = function(v[a], v[b]);
            return true;
        });
    }

    /// <summary>Through a register of 64 bits.</summary>
    private static Piece Wide(Random random)
    {
        int d = random.Next(Registers), e = (d + 1) % Registers, a = random.Next(Registers), b = random.Next(Registers);
        return new Piece($"mul.wide.u32 w, %v{a}, %v{b};\nmov.b64 {{%t1, %t2}}, w;\nadd.u32 %v{d}, %t1, 1;\nxor.b32 %v{e}, %t2, %v{e};\n", v =>
        {
            ulong product = (ulong)v[a] * v[b];
            v[d] = (uint)product + 1;
            v[e] ^= (uint)(product >> 32);
            return true;
        });
    }

    private static Piece Branch(Random random, int depth, bool inLoop, ref int names)
    {
        int name = ++names;
        var (test, holds) = Test(random);
        Piece then = Sequence(random, depth, inLoop, ref names), other = Sequence(random, depth, inLoop, ref names);
        return random.Next(2) == 0
            ? new Piece($"{test}@!q bra skip{name};\n{then.Text}skip{name}:\n", v => !holds(v) || then.Run(v))
            : new Piece($"{test}@q bra then{name};\n{other.Text}bra meet{name};\nthen{name}:\n{then.Text}meet{name}:\n", v => holds(v) ? then.Run(v) : other.Run(v));
    }

    private static Piece Loop(Random random, int depth, ref int names)
    {
        int name = ++names, count = random.Next(Registers);
        var body = Sequence(random, depth, true, ref names);
        string text = $"and.b32 %c{name}, %v{count}, 3;\ntop{name}:\nsetp.eq.u32 q, %c{name}, 0;\n@q bra end{name};\n"
            + body.Text.Replace("LEAVE", $"end{name}") + $"sub.u32 %c{name}, %c{name}, 1;\nbra top{name};\nend{name}:\n";
        return new Piece(text, v =>
        {
            for (uint c = v[count] & 3; c != 0 && body.Run(v); c--)
            {
            }
            return true;
        });
    }
}
