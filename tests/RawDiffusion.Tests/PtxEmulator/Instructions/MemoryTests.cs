namespace RawDiffusion.Tests;

/// <summary>Loads and stores of every type, state space and width; addresses; asynchronous copies.</summary>
public class MemoryTests
{
    [Theory]
    [InlineData("b8", "b16")]
    [InlineData("u8", "b32")]
    [InlineData("s8", "b16")]
    [InlineData("s8", "b32")]
    [InlineData("s8", "b64")]
    [InlineData("u16", "b32")]
    [InlineData("s16", "b32")]
    [InlineData("s16", "b64")]
    [InlineData("b16", "b16")]
    [InlineData("u32", "b64")]
    [InlineData("s32", "b64")]
    [InlineData("b32", "b32")]
    [InlineData("f32", "b32")]
    [InlineData("b64", "b64")]
    [InlineData("f64", "b64")]
    public void LoadsExtendToTheirRegister(string type, string register)
    {
        // Through local memory, which each thread has alone.
        int bits = Operands.Bits(type), wide = Operands.Bits(register);
        foreach (string space in new[] { "local", "generic" })
        {
            string address = space == "local" ? "" : "cvta.local.u64 l1, l1; ", suffix = space == "local" ? ".local" : "";
            Instruct.Equal($"ld{suffix}.{type}", $".local .align 8 .b64 v[2]; mov.u64 l1, v; {address}st{suffix}.b64 [l1+8], a; ld{suffix}.{type} r, [l1+8];", register,
                ["b64"], Operands.For("b64"), v => ((type[0] == 's' ? (ulong)((long)(v[0] << (64 - bits)) >> (64 - bits)) : v[0] & Operands.Mask(bits)) & Operands.Mask(wide)));
        }
    }

    [Theory]
    [InlineData("b8", "b16")]
    [InlineData("u8", "b32")]
    [InlineData("u8", "b64")]
    [InlineData("u16", "b32")]
    [InlineData("s16", "b64")]
    [InlineData("b16", "b16")]
    [InlineData("u32", "b64")]
    [InlineData("b32", "b32")]
    [InlineData("b64", "b64")]
    public void StoresWriteTheLowBytesOnly(string type, string register)
    {
        int bits = Operands.Bits(type);
        Instruct.Equal($"st.{type}", $".local .b64 v; st.local.b64 [v], -1; st.local.{type} [v], a; ld.local.b64 r, [v];", "b64", [register], Operands.For(register),
            v => v[0] & Operands.Mask(bits) | ~Operands.Mask(bits));
    }

    [Fact]
    public void VectorsLieSideBySide()
    {
        Instruct.Equal("v2.b64", ".local .align 16 .b64 v[2]; st.local.v2.b64 [v], {a, b}; ld.local.v2.u64 {l1, l2}, [v]; xor.b64 r, l1, l2;", "b64", ["b64", "b64"],
            Operands.For("b64", "b64"), v => v[0] ^ v[1]);
        Instruct.Equal("v4.b32", ".local .align 16 .b32 v[4]; st.local.v4.b32 [v], {a, b, 7, c}; ld.local.v4.u32 {_, t1, t2, t3}, [v]; mad.lo.u32 r, t1, t2, t3;", "b32",
            ["b32", "b32", "b32"], Operands.For("b32", "b32", "b32"), v => 7 * v[1] + v[2] & uint.MaxValue);
        Instruct.Equal("v4.b8", ".local .align 4 .b8 v[4]; st.local.v4.b8 [v], {a, b, c, d}; ld.local.b32 r, [v];", "b32", ["b16", "b16", "b16", "b16"],
            Operands.Exhaustive("b16", "b16", "b16", "b16"), v => v[0] & 255 | (v[1] & 255) << 8 | (v[2] & 255) << 16 | (v[3] & 255) << 24);
        Instruct.Equal("v2.u8", ".local .align 8 .b64 v; st.local.b64 [v], a; ld.local.v2.s8 {t1, t2}, [v+2]; mov.b64 r, {t1, t2};", "b64", ["b64"],
            Operands.For("b64"), v => (ulong)(uint)(sbyte)(v[0] >> 16) + ((ulong)(uint)(sbyte)(v[0] >> 24) << 32));
    }

    [Fact]
    public void GenericAddressesReachEverySpace()
    {
        uint[] results = InstructionRunner.RunKernel("""
            .const .u32 numbers[2] = {11, 22};
            .shared .align 8 .b32 shared[64];
            ENTRY
            {
                .local .align 8 .b32 local[4];
                .reg .b32 %r<12>; .reg .b64 %rd<12>; .reg .pred %p<6>;
                mov.u32 %r1, %tid.x;
                ld.param.u64 %rd1, [p0];
                mul.wide.u32 %rd2, %r1, 4;
                mov.u64 %rd3, shared; add.u64 %rd3, %rd3, %rd2;
                cvta.shared.u64 %rd4, %rd3;
                add.u32 %r2, %r1, 100;
                st.u32 [%rd4], %r2;
                ld.shared.u32 %r3, [%rd3];
                mov.u64 %rd5, local; cvta.local.u64 %rd6, %rd5;
                st.local.u32 [local+8], %r1;
                ld.u32 %r4, [%rd6+8];
                cvta.to.local.u64 %rd7, %rd6; ld.local.u32 %r5, [%rd7+8];
                isspacep.shared %p1, %rd4; isspacep.local %p2, %rd6; isspacep.global %p3, %rd1; isspacep.shared %p4, %rd6; isspacep.global %p5, %rd4;
                selp.b32 %r6, 1, 0, %p1; @%p2 add.u32 %r6, %r6, 2; @%p3 add.u32 %r6, %r6, 4; @%p4 add.u32 %r6, %r6, 8; @%p5 add.u32 %r6, %r6, 16;
                cvta.to.global.u64 %rd8, %rd1;
                mad.wide.u32 %rd8, %r1, 16, %rd8;
                st.global.v4.u32 [%rd8], {%r3, %r4, %r5, %r6};
            }
            """.Replace(".const .u32 numbers[2] = {11, 22};\n", ""), 64, 256);
        for (uint i = 0; i < 64; i++)
            Assert.Equal([i + 100, i, i, 7], results[(int)(4 * i)..(int)(4 * i + 4)]);
    }

    [Fact]
    public void AsynchronousCopiesArriveWhenTheyAreWaitedFor()
    {
        uint[] input = [.. Enumerable.Range(0, 1024).Select(i => (uint)i * 2654435761)];
        uint[] output = InstructionRunner.RunKernel("""
            .shared .align 16 .b8 buffer[4096];
            ENTRY
            {
                .reg .b32 %r<12>; .reg .b64 %rd<12>;
                mov.u32 %r1, %tid.x;
                ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1];
                mul.wide.u32 %rd3, %r1, 16;
                add.u64 %rd1, %rd1, %rd3; add.u64 %rd2, %rd2, %rd3;
                mov.u32 %r2, buffer; mad.lo.u32 %r2, %r1, 16, %r2;
                and.b32 %r3, %r1, 3; mul.lo.u32 %r3, %r3, 4;
                cp.async.cg.shared.global [%r2], [%rd1], 16;
                cp.async.commit_group;
                cp.async.ca.shared.global [%r2+2048], [%rd1+2048], 8;
                cp.async.ca.shared.global [%r2+2056], [%rd1+2056], 4;
                cp.async.ca.shared.global.L2::128B [%r2+2060], [%rd1+2060], 4, %r3;
                cp.async.commit_group;
                cp.async.wait_group 1;
                ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r2];
                st.global.v4.u32 [%rd2], {%r4, %r5, %r6, %r7};
                cp.async.wait_all;
                bar.sync 0;
                ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r2+2048];
                st.global.v4.u32 [%rd2+2048], {%r4, %r5, %r6, %r7};
            }
            """.Replace("%r3, %r1, 3; mul.lo.u32 %r3, %r3, 4", "%r3, %r1, 1; mul.lo.u32 %r3, %r3, 4"), 128, 1024, input);
        for (int i = 0; i < 1024; i++)
        {
            // The last word of each vector of the second half is copied by odd threads, and filled with zeros by even ones.
            bool filled = i >= 512 && i % 4 == 3 && i / 4 % 2 == 0;
            Assert.Equal(filled ? 0 : input[i], output[i]);
        }
    }

    [Fact]
    public void MatricesAreLoadedAndStoredRowByRow()
    {
        foreach (string transposed in new[] { "", ".trans" })
        {
            uint[] output = InstructionRunner.RunKernel($$"""
                .shared .align 16 .b8 matrices[1024];
                ENTRY
                {
                    .reg .b32 %r<12>; .reg .b64 %rd<4>; .reg .b16 %h<4>;
                    mov.u32 %r1, %tid.x;
                    ld.param.u64 %rd1, [p0];
                    mov.u32 %r2, matrices; mad.lo.u32 %r3, %r1, 16, %r2;
                    mul.lo.u32 %r4, %r1, 8; cvt.u16.u32 %h1, %r4;
                    st.shared.v2.u16 [%r3], {%h1, %h1}; add.u16 %h2, %h1, 1; st.shared.u16 [%r3+2], %h2;
                    add.u16 %h2, %h1, 2; st.shared.u16 [%r3+4], %h2; add.u16 %h2, %h1, 3; st.shared.u16 [%r3+6], %h2;
                    add.u16 %h2, %h1, 4; st.shared.u16 [%r3+8], %h2; add.u16 %h2, %h1, 5; st.shared.u16 [%r3+10], %h2;
                    add.u16 %h2, %h1, 6; st.shared.u16 [%r3+12], %h2; add.u16 %h2, %h1, 7; st.shared.u16 [%r3+14], %h2;
                    bar.warp.sync -1;
                    ldmatrix.sync.aligned.m8n8.x4{{transposed}}.shared.b16 {%r5, %r6, %r7, %r8}, [%r3];
                    mad.wide.u32 %rd2, %r1, 16, %rd1;
                    st.global.v4.u32 [%rd2], {%r5, %r6, %r7, %r8};
                    stmatrix.sync.aligned.m8n8.x4{{transposed}}.shared.b16 [%r3+512], {%r5, %r6, %r7, %r8};
                    bar.warp.sync -1;
                    ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [%r3+512];
                    st.global.v4.u32 [%rd2+512], {%r5, %r6, %r7, %r8};
                }
                """, 32, 256);
            for (int lane = 0; lane < 32; lane++)
            {
                for (int m = 0; m < 4; m++)
                {
                    int row = lane / 4, column = lane % 4 * 2;
                    Func<int, int, uint> element = (r, c) => (uint)(transposed.Length > 0 ? (8 * m + c) * 8 + r : (8 * m + r) * 8 + c);
                    Assert.Equal(element(row, column) | element(row, column + 1) << 16, output[4 * lane + m]);
                    // Stored as they were loaded they are what they were.
                    Assert.Equal((uint)(8 * lane + 2 * m) | (uint)(8 * lane + 2 * m + 1) << 16, output[128 + 4 * lane + m]);
                }
            }
        }
    }
}
