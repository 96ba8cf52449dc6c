using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.Tests;

public class ModuleDecoderTests
{
    [SkippableTheory]
    [InlineData("compute_75")]
    [InlineData("compute_80")]
    [InlineData("compute_90")]
    public void WhatNvrtcWritesIsDecoded(string architecture)
    {
        TestNvrtc.Require();
        string[] kernels = [.. PtxTexts.All.Where(text => architecture != "compute_75" || (text != PtxTexts.Tensor && text != PtxTexts.Warps))
            .SelectMany(text => Compile(text, architecture).Kernels).Select(kernel => kernel.Name)];
        string[] expected = ["add", "sgemm", "reduce", "functions", "doubles", "local", "warps", "tensor"];
        Assert.Equal(expected.Where(name => architecture != "compute_75" || name is not ("warps" or "tensor")).Order(), kernels.Order());
    }

    [SkippableFact]
    public void InstructionsKnowTheirSourceLineAndWhereItWasInlined()
    {
        TestNvrtc.Require();
        var kernel = Compile(PtxTexts.Warps, "compute_80").Kernels.Single();
        var inlined = Assert.Single(kernel.Lines, line => line.InlinedAt is not null);
        Assert.Equal((3, 12), (inlined.Line, inlined.InlinedAt!.Line));
        Assert.EndsWith("test.cu", inlined.File);
        int multiplication = Array.FindIndex(kernel.Code, i => i.Opcode == Opcode.Mad);
        Assert.Equal(inlined, kernel.Lines[kernel.Code[multiplication].Line]);
        Assert.Contains("mad.lo.s32", kernel.Describe(multiplication));
        Assert.Equal(new Dim3(256, 1, 1), kernel.MaxBlock);
    }

    [Fact]
    public void ParametersAreLaidOutByTheirAlignment()
    {
        var kernel = Decode(PtxTexts.Head + """
            .entry k(.param .u8 a, .param .u64 b, .param .align 4 .b8 c[6], .param .f64 d)
            { .reg .b64 x; ld.param.u64 x, [d+0]; }
            """);
        Assert.Equal([0, 8, 16, 24], kernel.Parameters.Select(p => p.Offset));
        Assert.Equal(32, kernel.ParameterBytes);
        Assert.Equal((StateSpace.Parameter, 24), (kernel.Code[0].Space, kernel.Code[0].Offset));
    }

    [Fact]
    public void SharedVariablesThatAreUsedAreLaidOutAndTheDynamicOneComesLast()
    {
        var kernel = Decode(PtxTexts.Head + """
            .extern .shared .align 16 .b8 dynamic[];
            .shared .align 8 .b8 used[12];
            .shared .align 8 .b8 unused[4096];
            .entry k()
            {
                .shared .b8 inner[5];
                .reg .b32 r;
                .reg .b64 x;
                mov.u64 x, dynamic;
                ld.shared.u32 r, [used+4];
                ld.shared.u8 r, [dynamic+1];
            }
            """);
        Assert.Equal([new SharedVariable("inner", 0, 5), new SharedVariable("used", 8, 12), new SharedVariable("dynamic", 32, 0)],
            kernel.SharedVariables.OrderBy(v => v.Offset));
        Assert.Equal(32, kernel.StaticSharedBytes);
        Assert.Equal(32ul, kernel.Constants.Single(c => c.Slot == kernel.Code[0].A).Value);
        Assert.Equal([12, 33], kernel.Code[1..3].Select(i => i.Offset));
    }

    [Fact]
    public void ModuleVariablesHaveTheirBytesAndPointers()
    {
        var module = ModuleDecoder.Decode("test", PtxTexts.Head + """
            .global .align 8 .b8 bytes[16] = {1, 2, 3};
            .const .u16 shorts[3] = {1, -1};
            .global .u64 pointers[3] = {5, generic(bytes)+4, shorts};
            .global .align 8 .b8 parts[16] = {7, 0, 0, 0, 0, 0, 0, 0, 0xFF(bytes), 0xFF00(bytes), 0xFF0000(bytes), 0xFF000000(bytes), 0xFF00000000(bytes),
                0xFF0000000000(bytes), 0xFF000000000000(bytes), 0xFF00000000000000(bytes)};
            .entry k() { .reg .b64 x; mov.u64 x, pointers+8; ld.global.u64 x, [bytes+2]; }
            """);
        Assert.Equal([("bytes", 16L), ("shorts", 6), ("pointers", 24), ("parts", 16)], module.Variables.Select(v => (v.Name, v.Bytes)));
        Assert.Equal([1, 2, 3], module.Variables[0].Initial);
        Assert.Equal([1, 0, 255, 255], module.Variables[1].Initial);
        Assert.Equal(StateSpace.Constant, module.Variables[1].Space);
        Assert.Equal(5, module.Variables[2].Initial[0]);
        Assert.Equal([new InitialPointer(8, 0, 4), new InitialPointer(16, 1, 0)], module.Variables[2].Pointers);
        Assert.Equal([new InitialPointer(8, 0, 0)], module.Variables[3].Pointers);
        var kernel = module.Kernels.Single();
        Assert.Contains(new ConstantSlot(kernel.Code[0].A, PtxType.B64, 8, 2), kernel.Constants);
        Assert.Contains(new ConstantSlot(kernel.Code[1].A, PtxType.B64, 2, 0), kernel.Constants);
    }

    [Fact]
    public void RegistersOfAnInnerBlockHideThoseOutside()
    {
        var code = Decode(PtxTexts.Kernel("""
            .reg .b32 %r<4>;
            mov.u32 %r1, 1;
            { .reg .b32 %r<2>; mov.u32 %r1, 2; mov.u32 %r3, 3; }
            mov.u32 %r1, 4;
            """)).Code;
        Assert.NotEqual(code[0].D, code[1].D);
        Assert.Equal(code[0].D, code[3].D);
        Assert.NotEqual(code[0].D, code[2].D);
    }

    [Fact]
    public void RegistersThatAreNeverAliveTogetherShareAPlace()
    {
        // A chain of a thousand values, of which two at a time are alive.
        var kernel = Decode(PtxTexts.Kernel(".reg .b32 %r<1001>; mov.u32 %r0, 1;\n"
            + string.Concat(Enumerable.Range(1, 1000).Select(i => $"add.u32 %r{i}, %r{i - 1}, %r{i - 1};\n")) + "st.local.u32 [0], %r1000;"));
        Assert.Equal(1001, kernel.DeclaredRegisters);
        Assert.Equal(2, kernel.Code.Select(i => i.D).Where(d => d >= 0).Distinct().Count());
        Assert.All(kernel.Code.Where(i => i.Opcode == Opcode.Add), i => Assert.NotEqual(i.D, i.A));
    }

    [Fact]
    public void AddressesOfSharedVariablesAreArgumentsToo()
    {
        var kernel = Decode(PtxTexts.Head + """
            .shared .align 8 .b8 first[24];
            .shared .align 8 .b8 second[8];
            .func f(.param .b64 a, .param .b64 b) { }
            .entry k() { .reg .b64 x; mov.u64 x, first; call f, (second, x); }
            """);
        Assert.Equal(["first", "second"], kernel.SharedVariables.Select(v => v.Name));
        Assert.Equal(24ul, kernel.Constants.Single(c => c.Slot == kernel.Code[1].B).Value);
    }

    [Fact]
    public void PrefixesOfRegistersMayEndInDigits()
    {
        var code = Decode(PtxTexts.Kernel(".reg .b32 %r1<20>, %r<200>; .reg .b32 %r15; st.local.v4.u32 [0], {%r15, %r119, %r120, %r11};")).Code;
        Assert.Equal(Opcode.St, code[0].Opcode);
        Assert.Equal(4, code[0].ListCount);
        string error = Assert.Throws<PtxException>(() => Decode(PtxTexts.Kernel(".reg .b32 %r<20>; mov.u32 %r05, 1;"))).Message;
        Assert.Contains("%r05 is not declared", error);
    }

    /// <summary>Ten thousand blocks and registers: the analysis of which are alive together is left out.</summary>
    [Fact]
    public void LargeKernelsAreDecodedToo()
    {
        var kernel = Decode(PtxTexts.Kernel(".reg .b32 %r<10001>; .reg .pred p;\n"
            + string.Concat(Enumerable.Range(1, 10_000).Select(i => $"@p bra l{i}; mov.u32 %r{i}, {i}; l{i}:\n"))));
        Assert.Equal(10_000, kernel.Code.Where(i => i.Opcode == Opcode.Mov).Select(i => i.D).Distinct().Count());
        // The last one leads to the exit.
        Assert.All(Enumerable.Range(0, 9_999), i => Assert.Equal(2 * i + 2, kernel.Code[2 * i].Reconverge));
    }

    [Fact]
    public void ValuesThatALoopOrAGuardKeepsHaveAPlaceOfTheirOwn()
    {
        var code = Decode(PtxTexts.Kernel("""
            .reg .b32 kept, carried, inner, guarded; .reg .pred p;
            mov.u32 kept, 1;
            mov.u32 carried, 2;
            mov.u32 guarded, 3;
            top:
            add.u32 inner, carried, 1;
            add.u32 carried, inner, 1;
            @p mov.u32 guarded, 4;
            @p bra top;
            st.local.v2.u32 [0], {kept, guarded};
            """)).Code;
        Assert.Equal(4, new[] { code[0].D, code[1].D, code[2].D, code[3].D }.Distinct().Count());
        Assert.Equal([code[1].D, code[2].D], code[4..6].Select(i => i.D));
    }

    [Fact]
    public void BranchesMeetAtTheImmediatePostDominator()
    {
        var code = Decode(PtxTexts.Kernel("""
            .reg .pred p, q;
            @p bra other;
            @q bra inner;
            membar.cta;
            inner:
            bra.uni meet;
            other:
            membar.gl;
            meet:
            bar.sync 0;
            """)).Code;
        Assert.Equal([5, 3], code[..2].Select(i => i.Reconverge));
        Assert.Equal([4, 3], code[..2].Select(i => i.Target));
    }

    [Fact]
    public void LanesThatLeaveDoNotKeepTheOthersFromMeeting()
    {
        // if (p) { if (q) return; membar; } bar;
        var code = Decode(PtxTexts.Kernel("""
            .reg .pred p, q;
            @!p bra meet;
            @q bra gone;
            membar.cta;
            meet:
            bar.sync 0;
            gone:
            ret;
            """)).Code;
        Assert.Equal([3, 2], code[..2].Select(i => i.Reconverge));
    }

    [Fact]
    public void EndlessLoopsHavePostDominatorsToo()
    {
        var code = Decode(PtxTexts.Kernel("""
            .reg .pred p, q;
            top:
            @p bra skip;
            membar.cta;
            skip:
            @q bra gone;
            bra.uni top;
            gone:
            ret;
            """)).Code;
        Assert.Equal([2, 3], new[] { code[0].Reconverge, code[2].Reconverge });
    }

    [Fact]
    public void IndirectBranchesKnowAllTheirTargets()
    {
        var kernel = Decode(PtxTexts.Kernel("""
            .reg .b32 r;
            list: .branchtargets a, b, a;
            brx.idx r, list;
            a: membar.cta;
            b: membar.gl;
            """));
        Assert.Equal([1, 2, 1], kernel.Operands.AsSpan(kernel.Code[0].List, kernel.Code[0].ListCount).ToArray());
        Assert.Equal(2, kernel.Code[0].Reconverge);
    }

    [Fact]
    public void CallsJumpToTheFunctionAndArgumentsArePlacedWhereItHasThem()
    {
        var kernel = Decode(PtxTexts.Head + """
            .func (.param .b32 r) twice(.param .b32 x)
            {
                .reg .b32 a;
                .reg .pred p;
                ld.param.b32 a, [x];
                @p ret;
                st.param.b32 [r], a;
                ret;
            }
            .entry k()
            {
                .reg .b32 a;
                {
                    .param .b32 param0;
                    st.param.b32 [param0], a;
                    .param .b32 retval0;
                    call.uni (retval0), twice, (param0);
                    ld.param.b32 a, [retval0];
                }
            }
            """);
        Assert.Equal([Opcode.St, Opcode.Call, Opcode.Ld, Opcode.Exit, Opcode.Ld, Opcode.Bra, Opcode.St, Opcode.Ret], kernel.Code.Select(i => i.Opcode));
        Assert.Equal(4, kernel.Code[1].Target);
        Assert.Equal(7, kernel.Code[5].Target);
        Assert.Equal(kernel.Code[1].D, kernel.Code[7].A);
        Assert.Equal(kernel.Code[0].Offset, kernel.Code[4].Offset);
        Assert.Equal(kernel.Code[2].Offset, kernel.Code[6].Offset);
        Assert.All(new[] { 0, 2, 4, 6 }, pc => Assert.Equal(StateSpace.Local, kernel.Code[pc].Space));
    }

    [Theory]
    [InlineData("add.s32 r, r, s;", "s is not declared: add.s32 r, r, s")]
    [InlineData("add.s32 r, r, f;", "f is declared .f32, which does not fit .s32: add.s32 r, r, f")]
    [InlineData("add.s32 r, r, d;", "d is declared .b64, which does not fit .s32: add.s32 r, r, d")]
    [InlineData("add.f32 f, f, 1;", "this constant is no .f32: add.f32 f, f, 1")]
    [InlineData("add.s32 r, r;", "add has 3 operands, not 2: add.s32 r, r")]
    [InlineData("add.s32.wide r, r, r;", ".wide is not supported here: add.s32.wide r, r, r")]
    [InlineData("add.sat.u32 r, r, r;", ".sat is not supported here: add.sat.u32 r, r, r")]
    [InlineData("mul.s32 r, r, r;", ".lo, .hi or .wide is missing: mul.s32 r, r, r")]
    [InlineData("fma.f32 f, f, f, f;", "a rounding is missing: fma.f32 f, f, f, f")]
    [InlineData("cvt.f32.s32 f, r;", "this rounding from .s32 to .f32 is missing or not supported: cvt.f32.s32 f, r")]
    [InlineData("setp.lt.b32 p, r, r;", "a comparison of .b32 is missing: setp.lt.b32 p, r, r")]
    [InlineData("ld.global.u32 r, [r];", "r is no 64-bit address: ld.global.u32 r, [r]")]
    [InlineData("ld.shared.u32 r, [v];", "v is in another state space: ld.shared.u32 r, [v]")]
    [InlineData("ld.local.v4.f64 {d, d, d, d}, [v];", "ld has no type .f64: ld.local.v4.f64 {d, d, d, d}, [v]")]
    [InlineData("bra nowhere;", "there is no label nowhere: bra nowhere")]
    [InlineData("call nothing;", "there is no function nothing: call nothing")]
    [InlineData("call (r), malloc, (d);", "memory is not allocated by kernels: this is not supported: call (r), malloc, (d)")]
    [InlineData("call k, ();", "k is a kernel: kernels are not called: call k, ()")]
    [InlineData("call self, ();", "self calls itself: recursion is not supported: call self, ()")]
    [InlineData("tex.2d.v4.f32.f32 {f, f, f, f}, d;", "tex is not supported: tex.2d.v4.f32.f32 {f, f, f, f}, d")]
    [InlineData("wgmma.fence.sync.aligned;", "wgmma is not supported: wgmma.fence.sync.aligned")]
    [InlineData("mov.u32 r, %clock64;", "%clock64 has 64 bits, which does not fit .u32: mov.u32 r, %clock64")]
    [InlineData("mov.u64 d, k;", "the addresses of functions are not supported: mov.u64 d, k")]
    [InlineData("mov.u64 d, missing;", "missing is defined in another module, which is not supported: mov.u64 d, missing")]
    public void WhatIsNotSupportedIsRefusedWithLineAndText(string instruction, string message)
    {
        string text = PtxTexts.Head + ".extern .func (.param .b32 r) malloc(.param .b64 n); .extern .global .b32 missing; .func self() { call self, (); }\n"
            + ".entry k()\n{ .reg .b32 r; .reg .f32 f; .reg .b64 d; .reg .pred p; .local .b32 v;\n" + instruction + "\n}";
        var error = Assert.Throws<PtxException>(() => ModuleDecoder.Decode("test", text));
        int line = message.StartsWith("self", StringComparison.Ordinal) ? 4 : 7;
        Assert.Equal($"PTX line {line}: {message}", error.Message);
    }

    private static DecodedKernel Decode(string text) => ModuleDecoder.Decode("test", text).Kernels.Single();

    private static DecodedModule Compile(string source, string architecture) =>
        ModuleDecoder.Decode("test.cu", Nvrtc.Compile(new KernelSource("test.cu", source), new KernelTarget(architecture), "--generate-line-info").Ptx);
}
