using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>What the other instruction tests leave: coarse approximations, pairs, variables of the module, output, traps.</summary>
public class RemainingInstructionTests
{
    [Theory]
    [InlineData("rcp.approx.ftz.f64")]
    [InlineData("rsqrt.approx.f64")]
    public void CoarseApproximationsOfDoublesHaveTwentyBits(string mnemonic)
    {
        bool root = mnemonic.StartsWith("rsqrt", StringComparison.Ordinal);
        ulong[] values = [.. Operands.For("f64")[0].Where(a => !ExactFloat.Double.IsSubnormal(a))];
        ulong[] results = Instruct.Run($"{mnemonic} r, a;", "f64", ["f64"], [values], LaunchOptions.Default);
        for (int i = 0; i < values.Length; i++)
        {
            double x = BitConverter.UInt64BitsToDouble(values[i]), exact = root ? 1 / Math.Sqrt(x) : 1 / x, result = BitConverter.UInt64BitsToDouble(results[i]);
            if (double.IsSubnormal(exact))
                exact = Math.CopySign(0, exact);
            bool near = double.IsNaN(exact) ? double.IsNaN(result) : !double.IsFinite(exact) || exact == 0 ? result == exact
                : Math.Abs(result - exact) <= Math.Abs(exact) * Math.ScaleB(1, -20) && (uint)results[i] == 0;
            Assert.True(near, $"{mnemonic} of {x:R} is {result:R}, not {exact:R}");
        }
    }

    [Theory]
    [InlineData("ex2.approx", "f16")]
    [InlineData("ex2.approx.ftz", "bf16")]
    [InlineData("tanh.approx", "f16")]
    [InlineData("tanh.approx", "bf16")]
    [InlineData("neg", "f16")]
    [InlineData("abs", "bf16")]
    public void PairsOfOneOperandAreTwoOfOne(string mnemonic, string type)
    {
        ulong[] all = Operands.Exhaustive(type)[0], one = Instruct.Run($"{mnemonic}.{type} r, a;", type, [type], [all], LaunchOptions.Default);
        Instruct.Equal(mnemonic, $"{mnemonic}.{type}x2 r, a;", "b32", ["b32"], Operands.For("b32"), v => one[v[0] & 0xFFFF] | one[v[0] >> 16] << 16);
    }

    [Theory]
    [InlineData("fma.rn.relu", "f16", 3)]
    [InlineData("fma.rn.sat", "f16", 3)]
    [InlineData("min.NaN", "bf16", 2)]
    [InlineData("max", "f16", 2)]
    [InlineData("sub", "bf16", 2)]
    public void PairsAreTwoOfOne(string mnemonic, string type, int operands)
    {
        string[] single = [.. Enumerable.Repeat(type, operands)], pair = [.. Enumerable.Repeat("b32", operands)];
        ulong[][] columns = Operands.For(pair);
        ulong[] low = Instruct.Run(Instruct.Text($"{mnemonic}.{type}", operands), type, single, Array.ConvertAll(columns, c => Array.ConvertAll(c, x => x & 0xFFFF)), LaunchOptions.Default);
        ulong[] high = Instruct.Run(Instruct.Text($"{mnemonic}.{type}", operands), type, single, Array.ConvertAll(columns, c => Array.ConvertAll(c, x => x >> 16)), LaunchOptions.Default);
        ulong[] both = Instruct.Run(Instruct.Text($"{mnemonic}.{type}x2", operands), "b32", pair, columns, LaunchOptions.Default);
        Assert.Equal(low.Zip(high, (l, h) => l | h << 16), both);
    }

    [Fact]
    public void HalvesAreAddedAndSwappedInPlace()
    {
        uint[] output = InstructionRunner.RunKernel("""
            ENTRY
            {
                .reg .b32 i; .reg .b64 p; .reg .b16 h, g; .reg .pred q;
                ld.param.u64 p, [p0]; mov.u32 i, %tid.x;
                mov.b16 h, 0x3C00;
                atom.global.add.noftz.f16 g, [p], h;
                mov.b16 h, 0x3F80;
                red.global.add.noftz.bf16 [p+2], h;
                cvt.u16.u32 h, i; add.u16 h, h, 1;
                atom.global.cas.b16 g, [p+6], 0, h;
                setp.eq.u16 q, g, 0; @q st.global.u16 [p+8], h;
            }
            """, 64, 3);
        Assert.Equal((64f, 64f), ((float)BitConverter.UInt16BitsToHalf((ushort)output[0]), BitConverter.UInt32BitsToSingle(output[0] & 0xFFFF_0000)));
        Assert.Equal(0u, output[1] & 0xFFFF);
        Assert.InRange(output[1] >> 16, 1u, 64u);
        Assert.Equal(output[1] >> 16, output[2]);
    }

    [Fact]
    public void VariablesOfTheModuleHaveTheirValues()
    {
        uint[] output = InstructionRunner.RunKernel("""
            .const .align 4 .b32 numbers[3] = {11, 22, 33};
            .global .f32 one = 0f3F800000;
            .global .align 8 .u64 second = generic(numbers)+4;
            .global .b32 counter;
            ENTRY
            {
                .reg .b32 a, b, c, d; .reg .b64 p, q;
                ld.const.b32 a, [numbers+8];
                mov.u64 q, numbers; cvta.const.u64 q, q; ld.b32 b, [q];
                ld.global.b32 c, [one];
                ld.global.u64 q, [second]; ld.u32 d, [q];
                ld.param.u64 p, [p0]; st.global.v4.b32 [p], {a, b, c, d};
                ld.volatile.global.b32 a, [counter]; add.u32 a, a, 5; st.relaxed.gpu.global.b32 [counter], a; ld.acquire.gpu.global.b32 b, [counter];
                st.global.b32 [p+16], b;
            }
            """, 1, 5);
        Assert.Equal([33u, 11, 0x3F80_0000, 22, 5], output);
    }

    [Fact]
    public void GenericAddressesKnowTheirSpace()
    {
        uint[] output = InstructionRunner.RunKernel("""
            .const .b32 constant = 5;
            .global .b32 variable = 6;
            .shared .b32 shared;
            ENTRY
            {
                .local .b32 local;
                .reg .b32 a, b; .reg .b64 p, x; .reg .pred q;
                ld.param.u64 p, [p0];
                mov.u64 x, constant; cvta.const.u64 x, x; mov.u32 a, 0;
                isspacep.const q, x; @q or.b32 a, a, 1; isspacep.global q, x; @q or.b32 a, a, 2; isspacep.shared q, x; @q or.b32 a, a, 4;
                mov.u64 x, variable; cvta.global.u64 x, x;
                isspacep.global q, x; @q or.b32 a, a, 8; isspacep.local q, x; @q or.b32 a, a, 16; isspacep.shared q, x; @q or.b32 a, a, 32;
                mov.u64 x, shared; cvta.shared.u64 x, x;
                isspacep.shared q, x; @q or.b32 a, a, 64; isspacep.global q, x; @q or.b32 a, a, 128; isspacep.local q, x; @q or.b32 a, a, 256;
                mov.u64 x, local; cvta.local.u64 x, x;
                isspacep.local q, x; @q or.b32 a, a, 512; isspacep.shared q, x; @q or.b32 a, a, 1024; isspacep.param q, x; @q or.b32 a, a, 2048;
                mov.b64 x, p0; cvta.param.u64 x, x;
                isspacep.param q, x; @q or.b32 a, a, 4096; isspacep.local q, x; @q or.b32 a, a, 8192; isspacep.global q, x; @q or.b32 a, a, 16384;
                ld.u64 x, [x]; setp.eq.u64 q, x, p; @q or.b32 a, a, 32768;
                mov.u32 b, %total_smem_size; st.global.v2.b32 [p], {a, b};
            }
            """, 1, 2);
        Assert.Equal(1u | 8 | 64 | 512 | 4096 | 32768, output[0]);
        Assert.InRange(output[1], 4u, 64u);
    }

    [Fact]
    public void PrintfIsFormatted()
    {
        var text = new System.Text.StringBuilder();
        InstructionRunner.RunKernel("""
            .extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);
            .global .align 1 .b8 format[11] = {37, 100, 32, 37, 46, 50, 102, 32, 37, 115, 10};
            .global .align 1 .b8 terminator[1] = {0};
            .global .align 1 .b8 word[3] = {104, 105, 0};
            ENTRY
            {
                .local .align 8 .b8 depot[24];
                .reg .b32 i; .reg .b64 f, a, w; .reg .f64 d;
                mov.u32 i, %tid.x; st.local.u32 [depot], i;
                cvt.rn.f64.u32 d, i; mul.f64 d, d, 0d3FF8000000000000; st.local.f64 [depot+8], d;
                mov.u64 w, word; st.local.u64 [depot+16], w;
                mov.u64 a, depot; cvta.local.u64 a, a; mov.u64 f, format;
                { .param .b64 x; .param .b64 y; .param .b32 z; st.param.b64 [x], f; st.param.b64 [y], a; call.uni (z), vprintf, (x, y); ld.param.b32 i, [z]; }
            }
            """.Replace("format[11] = {37, 100, 32, 37, 46, 50, 102, 32, 37, 115, 10}", "format[12] = {37, 100, 32, 37, 46, 50, 102, 32, 37, 115, 10, 0}")
               .Replace(".global .align 1 .b8 terminator[1] = {0};\n", ""), 3, 1, new LaunchOptions { Output = s => text.Append(s) });
        Assert.Equal("0 0.00 hi\n1 1.50 hi\n2 3.00 hi\n", text.ToString());
    }

    [Fact]
    public void TrapsStopTheKernel()
    {
        var fault = Assert.Throws<EmulationFaultException>(() => InstructionRunner.RunKernel(
            "ENTRY { .reg .pred q; .reg .b32 i; mov.u32 i, %tid.x; setp.eq.u32 q, i, 40; @q trap; }", 64, 1));
        Assert.Contains("trap", fault.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void CallsAndIndirectBranchesHaveGuardsToo()
    {
        uint[] output = InstructionRunner.RunKernel("""
            .func (.param .b32 r) plus(.param .b32 x)
            {
                .reg .b32 a;
                ld.param.b32 a, [x]; add.u32 a, a, 100; st.param.b32 [r], a;
            }
            ENTRY
            {
                .reg .b32 i, a; .reg .b64 p; .reg .pred q;
                mov.u32 i, %tid.x; and.b32 a, i, 1; setp.eq.u32 q, a, 1;
                mov.u32 a, i;
                @q call (a), plus, (i);
                list: .branchtargets one, one;
                and.b32 i, i, 2; setp.ne.u32 q, i, 0; mov.u32 i, 0;
                @!q brx.idx i, list;
                add.u32 a, a, 1000;
                one:
                mov.u32 i, %tid.x; ld.param.u64 p, [p0]; mad.wide.u32 p, i, 4, p; st.global.b32 [p], a;
            }
            """, 64, 64);
        for (uint i = 0; i < 64; i++)
            Assert.Equal(i + (i % 2 == 1 ? 100u : 0) + ((i & 2) != 0 ? 1000u : 0), output[i]);
    }

    [Fact]
    public void CopiesArriveAtBarriersInMemory()
    {
        uint[] input = [.. Enumerable.Range(0, 64).Select(i => (uint)i * 7)];
        uint[] output = InstructionRunner.RunKernel("""
            .shared .align 8 .b64 barrier;
            .shared .align 16 .b32 values[64];
            ENTRY
            {
                .reg .b32 i, a; .reg .b64 p, s; .reg .pred q;
                mov.u32 i, %tid.x; setp.eq.u32 q, i, 0;
                @q mbarrier.init.shared.b64 [barrier], 64;
                bar.sync 0;
                ld.param.u64 p, [p0]; mad.wide.u32 p, i, 4, p; mov.u32 a, values; mad.lo.u32 a, i, 4, a;
                cp.async.ca.shared.global [a], [p], 4;
                cp.async.mbarrier.arrive.noinc.shared.b64 [barrier];
                wait: mbarrier.try_wait.parity.shared.b64 q, [barrier], 0; @!q bra wait;
                xor.b32 a, i, 63; mul.lo.u32 a, a, 4; mov.u64 s, values; cvt.u64.u32 p, a; add.u64 s, s, p;
                ld.shared.u32 a, [s];
                ld.param.u64 p, [p1]; mad.wide.u32 p, i, 4, p; st.global.b32 [p], a;
            }
            """, 64, 64, input);
        Assert.Equal(input.Reverse(), output);
    }
}
