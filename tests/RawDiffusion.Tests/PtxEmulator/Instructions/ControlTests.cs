using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>Branches, calls and barriers: that every lane takes its own way and all meet again.</summary>
public class ControlTests
{
    [Fact]
    public void LoopsOfDifferentLengthsMeetAgain() => Instruct.Equal("loop",
        "and.b32 t1, a, 63; mov.u32 r, 0; top: setp.eq.u32 q, t1, 0; @q bra done; add.u32 r, r, t1; sub.u32 t1, t1, 1; bra.uni top; done: bar.warp.sync -1;",
        "b32", ["b32"], Operands.For("b32"), v => (v[0] & 63) * ((v[0] & 63) + 1) / 2);

    [Fact]
    public void NestedBranchesTakeEveryWay() => Instruct.Equal("nested", """
        and.b32 t1, a, 1; setp.ne.u32 q, t1, 0; and.b32 t1, a, 2; setp.ne.u32 q2, t1, 0; mov.u32 r, 0;
        @q bra one;
        @q2 bra two;
        add.u32 r, r, 1;
        bra.uni both;
        two: add.u32 r, r, 2;
        both: add.u32 r, r, 10;
        bra.uni meet;
        one: @!q2 add.u32 r, r, 3;
        @q2 add.u32 r, r, 4;
        meet: activemask.b32 t2;
        add.u32 r, r, 100; setp.ne.u32 q, t2, -1; @q add.u32 r, r, 1000;
        """, "b32", ["b32"], Operands.For("b32"), v => 100 + ((v[0] & 3) switch { 0 => 11ul, 2 => 12, 1 => 3, _ => 4 }));

    [Fact]
    public void IndirectBranchesGoWhereTheIndexSays() => Instruct.Equal("brx",
        "and.b32 t1, a, 3; list: .branchtargets zero, one, two, one; brx.idx t1, list; zero: mov.u32 r, 7; bra meet; one: mov.u32 r, 8; bra meet; two: mov.u32 r, 9; meet: bar.warp.sync -1;",
        "b32", ["b32"], Operands.For("b32"), v => (v[0] & 3) switch { 0 => 7u, 2 => 9, _ => 8 });

    [Fact]
    public void GuardsKeepTheOldValue() => Instruct.Equal("guard", "and.b32 t1, a, 1; setp.eq.u32 q, t1, 1; mov.b32 r, a; @q mov.u32 r, 5; @!q add.u32 r, r, 1;",
        "b32", ["b32"], Operands.For("b32"), v => (v[0] & 1) == 1 ? 5 : v[0] + 1 & uint.MaxValue);

    [Fact]
    public void FunctionsAreCalledByTheLanesOfABranch()
    {
        uint[] output = InstructionRunner.RunKernel("""
            .func (.param .b32 r) scaled(.param .b32 x, .param .align 8 .b8 by[8])
            {
                .reg .b32 a, b, c; .reg .pred p;
                ld.param.b32 a, [x]; ld.param.v2.b32 {b, c}, [by];
                setp.gt.u32 p, a, 20;
                @p bra large;
                mad.lo.u32 a, a, b, c;
                st.param.b32 [r], a;
                ret;
                large: st.param.b32 [r], 7777;
                ret;
            }
            .func (.param .b32 r) twice(.param .b32 x)
            {
                .reg .b32 a;
                ld.param.b32 a, [x];
                { .param .b32 q; .param .align 8 .b8 z[8]; .param .b32 s; st.param.b32 [q], a; st.param.v2.b32 [z], {2, 0}; call (s), scaled, (q, z); ld.param.b32 a, [s]; }
                st.param.b32 [r], a;
            }
            ENTRY
            {
                .reg .b32 i, a; .reg .b64 p; .reg .pred q;
                mov.u32 i, %tid.x; and.b32 a, i, 1; setp.eq.u32 q, a, 1;
                mov.u32 a, 0;
                @!q bra even;
                { .param .b32 x; .param .align 8 .b8 y[8]; .param .b32 s; st.param.b32 [x], i; st.param.v2.b32 [y], {3, 1}; call.uni (s), scaled, (x, y); ld.param.b32 a, [s]; }
                bra meet;
                even:
                call (a), twice, (i);
                meet:
                ld.param.u64 p, [p0]; mad.wide.u32 p, i, 4, p;
                st.global.u32 [p], a;
            }
            """, 64, 64);
        for (uint i = 0; i < 64; i++)
            Assert.Equal(i > 20 ? 7777 : i % 2 == 1 ? 3 * i + 1 : 2 * i, output[i]);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(1ul)]
    [InlineData(2ul)]
    public void BarriersOrderSharedMemory(ulong? seed)
    {
        uint[] output = InstructionRunner.RunKernel("""
            .shared .b32 values[256];
            ENTRY
            {
                .reg .b32 %r<8>; .reg .b64 %rd<4>; .reg .pred %p<4>;
                mov.u32 %r1, %tid.x;
                mov.u32 %r2, values; mad.lo.u32 %r3, %r1, 4, %r2;
                st.shared.u32 [%r3], %r1;
                bar.sync 0;
                xor.b32 %r4, %r1, 255; mad.lo.u32 %r4, %r4, 4, %r2;
                ld.shared.u32 %r5, [%r4];
                barrier.sync 1, 256;
                st.shared.u32 [%r3], 1;
                and.b32 %r6, %r1, 7; setp.eq.u32 %p1, %r6, 3;
                bar.red.popc.u32 %r6, 0, %p1;
                bar.red.and.pred %p2, 0, %p1; bar.red.or.pred %p3, 2, 256, !%p1;
                selp.b32 %r7, 1, 0, %p2; @%p3 add.u32 %r7, %r7, 2;
                ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r1, 16, %rd1;
                st.global.v4.u32 [%rd1], {%r5, %r6, %r7, 0};
            }
            """, 256, 1024, new LaunchOptions { ScheduleSeed = seed });
        for (uint i = 0; i < 256; i++)
            Assert.Equal([255 - i, 32, 2, 0], output[(int)(4 * i)..(int)(4 * i + 4)]);
    }

    [Fact]
    public void NamedBarriersJoinProducersAndConsumers()
    {
        uint[] output = InstructionRunner.RunKernel("""
            .shared .b32 value;
            ENTRY
            {
                .reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .pred %p<2>;
                mov.u32 %r1, %tid.x; setp.lt.u32 %p1, %r1, 32;
                ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r1, 4, %rd1;
                @!%p1 bra consumer;
                st.shared.u32 [value], 42;
                bar.arrive 3, 64;
                ret;
                consumer:
                bar.sync 3, 64;
                ld.shared.u32 %r2, [value];
                st.global.u32 [%rd1], %r2;
            }
            """, 64, 64);
        Assert.Equal(Enumerable.Range(0, 64).Select(i => i < 32 ? 0u : 42), output);
    }

    [Fact]
    public void BarriersInMemoryCompleteTheirPhases()
    {
        uint[] output = InstructionRunner.RunKernel("""
            .shared .align 8 .b64 barrier;
            .shared .b32 value;
            ENTRY
            {
                .reg .b32 %r<6>; .reg .b64 %rd<6>; .reg .pred %p<4>;
                mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 0;
                ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r1, 8, %rd1;
                @%p1 mbarrier.init.shared.b64 [barrier], 64;
                bar.sync 0;
                setp.eq.u32 %p2, %r1, 63; @%p2 st.shared.u32 [value], 9;
                mbarrier.arrive.shared::cta.b64 %rd2, [barrier];
                wait: mbarrier.try_wait.shared.b64 %p3, [barrier], %rd2; @!%p3 bra wait;
                ld.shared.u32 %r2, [value];
                mbarrier.arrive.shared.b64 _, [barrier];
                wait2: mbarrier.test_wait.parity.shared.b64 %p3, [barrier], 1; @!%p3 bra wait2;
                mov.u32 %r3, 1;
                st.global.v2.u32 [%rd1], {%r2, %r3};
                bar.sync 0;
                @%p1 mbarrier.inval.shared.b64 [barrier];
            }
            """, 64, 128);
        Assert.All(output.Chunk(2), pair => Assert.Equal([9u, 1], pair));
    }

    [Fact]
    public void ClocksGoOn()
    {
        uint[] output = InstructionRunner.RunKernel("""
            ENTRY
            {
                .reg .b32 a, b; .reg .b64 c, d, p; .reg .pred q;
                mov.u64 c, %clock64; mov.u32 a, %clock; nanosleep.u32 10; mov.u64 d, %clock64; mov.u32 b, %clock; mov.u64 p, %globaltimer; mov.u32 a, %clock_hi;
                setp.gt.u64 q, d, c; selp.b32 a, 1, 0, q; setp.ne.u64 q, p, 0; @q add.u32 a, a, 2;
                ld.param.u64 p, [p0]; st.global.u32 [p], a;
            }
            """, 1, 1);
        Assert.Equal([3u], output);
    }
}
