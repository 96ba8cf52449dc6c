using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.Tests;

/// <summary>The form of PTX. What instructions mean is the matter of the decoder's tests.</summary>
public class PtxParserTests
{
    private const string Head = ".version 8.4\n.target sm_80, debug\n.address_size 64\n";

    [Fact]
    public void TheHeadSaysVersionAndTarget()
    {
        var module = PtxParser.Parse("// a comment\n/* another\n */ " + Head);
        Assert.Equal(new Version(8, 4), module.Version);
        Assert.Equal("sm_80", module.Target);
        Assert.Empty(module.Functions);
    }

    [Fact]
    public void KernelsHaveParametersDirectivesAndABody()
    {
        var kernel = Assert.Single(PtxParser.Parse(Head + """
            .visible .entry scale(
                .param .u64 scale_param_0,
                .param .u64 .ptr .global .align 16 scale_param_1,
                .param .align 8 .b8 scale_param_2[24]
            )
            .maxntid 256, 2
            .minnctapersm 2
            .pragma "nounroll";
            {
                ret;
            }
            """).Functions);
        Assert.True(kernel.IsKernel);
        Assert.Equal(("scale", PtxLinkage.Visible), (kernel.Name, kernel.Linkage));
        Assert.Equal([("u64", 8, 8L), ("u64", 8, 8L), ("b8", 8, 24L)], kernel.Parameters.Select(p => (p.Type, p.Alignment, p.Size)));
        Assert.Equal(["maxntid 256 2", "minnctapersm 2"], kernel.Directives.Select(d => $"{d.Name} {string.Join(' ', d.Numbers)}"));
        Assert.Equal("ret", Assert.IsType<PtxInstruction>(Assert.Single(kernel.Body!.Statements)).Opcode);
    }

    [Fact]
    public void FunctionsHaveResultsAndMayBeDeclaredOnly()
    {
        var functions = PtxParser.Parse(Head + """
            .extern .func (.param .b32 func_retval0) vprintf (.param .b64 a, .param .b64 b) ;
            .func stop () .noreturn;
            .weak .func (.param .align 4 .b8 r[8]) pair(.param .b32 x) { ret; }
            """).Functions;
        Assert.Equal([PtxLinkage.Extern, PtxLinkage.Local, PtxLinkage.Weak], functions.Select(f => f.Linkage));
        Assert.Equal([false, false, true], functions.Select(f => f.Body is not null));
        Assert.Equal([1, 0, 1], functions.Select(f => f.Returns.Count));
        Assert.Equal([2, 0, 1], functions.Select(f => f.Parameters.Count));
    }

    [Fact]
    public void VariablesHaveSpaceTypeExtentsAndValues()
    {
        var variables = PtxParser.Parse(Head + """
            .global .align 4 .b8 bytes[6] = {1, 0x10, 017, 0b11, -1};
            .const .f32 numbers[2][2] = {{0f3F800000}, {2.5, 0d4000000000000000}};
            .global .u64 pointers[] = {bytes, generic(bytes)+4, generic(bytes), bytes+2};
            .global .align 8 .b8 parts[8] = {0xFF(bytes), 0xFF00(bytes)};
            .global .v4 .f32 vector;
            .extern .shared .align 16 .b8 dynamic[];
            .shared .b32 a, b[3];
            """).Variables;
        Assert.Equal(["bytes", "numbers", "pointers", "parts", "vector", "dynamic", "a", "b"], variables.Select(v => v.Name));
        Assert.Equal([6L, 16, 32, 8, 16, 0, 4, 12], variables.Select(v => v.Size));
        Assert.Equal([4, 4, 8, 8, 16, 16, 4, 4], variables.Select(v => v.Alignment));
        Assert.True(variables[5].IsOpen);
        Assert.Equal([1ul, 16, 15, 3, ulong.MaxValue], variables[0].Initializers.Select(i => ((PtxImmediate)i.Value).Bits));
        // The second row begins at index 2 although the first has one value.
        Assert.Equal([0L, 2, 3], variables[1].Initializers.Select(i => i.Index));
        Assert.Equal([("bytes", 0L, false), ("bytes", 4, true), ("bytes", 0, true), ("bytes", 2, false)],
            variables[2].Initializers.Select(i => (((PtxSymbolOffset)i.Value).Name, ((PtxSymbolOffset)i.Value).Offset, i.IsGeneric)));
        Assert.Equal([0xFFul, 0xFF00ul], variables[3].Initializers.Select(i => i.Mask));
    }

    [Fact]
    public void BodiesNestDeclareAndLabel()
    {
        var body = Body("""
            .reg .b32 %r<10>, single;
            .reg .pred p;
            .local .align 16 .b8 depot[32];
            { .reg .b32 %r<2>; }
            $L__again:
            .pragma "nounroll";
            list: .branchtargets $L__again, $L__end;
            proto: .callprototype (.param .b32 _) _ (.param .b64 _, .param .b32 _);
            """);
        Assert.Equal([("%r", 10), ("single", -1), ("p", -1)], body.OfType<PtxRegisters>().Select(r => (r.Name, r.Count)));
        Assert.Equal(32, body.OfType<PtxLocalVariable>().Single().Variable.Size);
        Assert.Single(body.OfType<PtxBlock>().Single().Statements);
        Assert.Equal("$L__again", body.OfType<PtxLabel>().Single().Name);
        Assert.Equal(["$L__again", "$L__end"], body.OfType<PtxTargets>().Single().Targets);
        Assert.Equal(2, body.OfType<PtxPrototype>().Single().Parameters.Count);
    }

    [Fact]
    public void LinesOfTheSourceSayWhatWasInlinedWhere()
    {
        var places = Body("""
            .loc	1 16 34
            .loc	1 3 5, function_name $L__info_string0+12, inlined_at 1 16 34
            """).Cast<PtxLocation>().ToList();
        Assert.Equal([new PtxPlace(1, 16, 34), new PtxPlace(1, 3, 5)], places.Select(p => p.Place));
        Assert.Equal([null, new PtxPlace(1, 16, 34)], places.Select(p => p.InlinedAt));
    }

    [Fact]
    public void FilesAreNamedAndSectionsPassedOver()
    {
        var module = PtxParser.Parse(Head + """
            .file	1 "/a folder/x.cu", 1700000000, 200
            .file	2 "y.cuh"
            .section	.debug_str
            {
            $L__info_string0:
            .b8 95,90,51,105,0

            }
            @@DWARF .byte 0x01 ; anything
            """);
        Assert.Equal("/a folder/x.cu", module.Files[1]);
        Assert.Equal("y.cuh", module.Files[2]);
    }

    [Theory]
    [InlineData("add.s32 %r1, %r2, 3;", "add", "s32", "%r1", "%r2", "3")]
    [InlineData("bar.sync 0;", "bar", "sync", "0")]
    [InlineData("mov.f32 f, 0f3F800000;", "mov", "f32", "f", "0f3F800000")]
    [InlineData("mov.f64 f, -0d3FF0000000000000;", "mov", "f64", "f", "0dBFF0000000000000")]
    [InlineData("mov.f64 f, 1.5e-1;", "mov", "f64", "f", "0d3FC3333333333333")]
    [InlineData("mov.u32 r, %tid.x;", "mov", "u32", "r", "%tid.x")]
    [InlineData("mov.u64 r, table+8;", "mov", "u64", "r", "table+8")]
    [InlineData("mov.u32 r, (1 << 4 | 3) * 2 - 0x10;", "mov", "u32", "r", "22")]
    [InlineData("mov.u32 r, -7 + ~0 - WARP_SZ;", "mov", "u32", "r", "-40")]
    [InlineData("mov.u32 r, WARP_SZ;", "mov", "u32", "r", "32")]
    [InlineData("mov.u32 r, 4294967295U;", "mov", "u32", "r", "4294967295")]
    [InlineData("ld.global.nc.L1::no_allocate.v2.f32 {a, b}, [p+-16];", "ld", "global nc L1::no_allocate v2 f32", "{a,b}", "[p-16]")]
    [InlineData("st.shared::cta.u32 [40], r;", "st", "shared::cta u32", "[40]", "r")]
    [InlineData("ld.param.u32 r, [f_param_0];", "ld", "param u32", "r", "[f_param_0]")]
    [InlineData("shfl.sync.bfly.b32 r|p, a, 16, 31, -1;", "shfl", "sync bfly b32", "r|p", "a", "16", "31", "-1")]
    [InlineData("setp.lt.and.s32 p|q, a, b, !c;", "setp", "lt and s32", "p|q", "a", "b", "!c")]
    [InlineData("mov.b64 {_, r}, d;", "mov", "b64", "{_,r}", "d")]
    [InlineData("call.uni (retval0), f, (param0, param1), proto;", "call", "uni", "(retval0)", "f", "(param0,param1)", "proto")]
    [InlineData("ret;", "ret", "")]
    public void InstructionsHaveModifiersAndOperands(string text, string opcode, string modifiers, params string[] operands)
    {
        var instruction = Assert.IsType<PtxInstruction>(Assert.Single(Body(text)));
        Assert.Equal((opcode, modifiers), (instruction.Opcode, string.Join(' ', instruction.Modifiers)));
        Assert.Equal(operands, instruction.Operands.Select(Show));
        Assert.Equal(text[..^1], instruction.Text.ToString());
        Assert.Null(instruction.Guard);
    }

    [Theory]
    [InlineData("@%p1 bra x;", "%p1", false)]
    [InlineData("@!%p1 bra x;", "%p1", true)]
    public void InstructionsHaveGuards(string text, string guard, bool negated)
    {
        var instruction = Assert.IsType<PtxInstruction>(Assert.Single(Body(text)));
        Assert.Equal((guard, negated, "bra"), (instruction.Guard, instruction.GuardNegated, instruction.Opcode));
    }

    [Theory]
    [InlineData("add.s32 a, b c;", "PTX line 6: ';' is wanted in place of 'c': add.s32 a, b c;")]
    [InlineData("add. a;", "PTX line 6: a full stop is followed by no name: add. a;")]
    [InlineData("mov.f32 f, 0f3F80;", "PTX line 6: 0f wants 8 hexadecimal digits: mov.f32 f, 0f3F80;")]
    [InlineData("mov.u32 r, 1x;", "PTX line 6: '1x' is no number of 64 bits: mov.u32 r, 1x;")]
    [InlineData("mov.u32 r, 08;", "PTX line 6: '08' is no number of 64 bits: mov.u32 r, 08;")]
    [InlineData("mov.u32 r, 18446744073709551616;", "PTX line 6: '18446744073709551616' is no number of 64 bits: mov.u32 r, 18446744073709551616;")]
    [InlineData("mov.u32 r, 1/0;", "PTX line 6: division by zero: mov.u32 r, 1/0;")]
    [InlineData("mov.u32 r, ?;", "PTX line 6: the character '?' has no place here: mov.u32 r, ?;")]
    [InlineData("mov.u32 r, \u00e9;", "PTX line 6: the character U+00E9 has no place here: mov.u32 r, \u00e9;")]
    [InlineData("ld.u32 r, [a;", "PTX line 6: ']' is wanted in place of ';': ld.u32 r, [a;")]
    [InlineData("ld.u32 r, [a, {b}];", "PTX line 6: addresses with coordinates (textures, surfaces, tensor maps) are not supported: ld.u32 r, [a, {b}];")]
    [InlineData(".reg .q32 r;", "PTX line 6: the type of a register is wanted in place of 'q32': .reg .q32 r;")]
    [InlineData(".reg .b32 r<2000000>;", "PTX line 6: 2000000 registers; the most are 1048576: .reg .b32 r<2000000>;")]
    [InlineData(".local .align 3 .b8 x[4];", "PTX line 6: an alignment is a power of two, not 3: .local .align 3 .b8 x[4];")]
    [InlineData(".local .b8 x[4] = {1};", "PTX line 6: only variables in .global and .const have initial values: .local .b8 x[4] = {1};")]
    [InlineData(".tex .u32 x;", "PTX line 6: .tex is not supported in a body: .tex .u32 x;")]
    [InlineData("}", "PTX line 7: a directive is wanted here: }")]
    [InlineData("{", "PTX line 7: an instruction is wanted in place of the end of the text: }")]
    [InlineData("/* open", "PTX line 6: this comment does not end: /* open")]
    [InlineData(".loc 1 2 0, at 3;", "PTX line 6: function_name or inlined_at is wanted in place of 'at': .loc 1 2 0, at 3;")]
    public void ErrorsSayLineAndText(string line, string message)
    {
        var error = Assert.Throws<PtxException>(() => PtxParser.Parse(Head + ".entry k()\n{\n" + line + "\n}"));
        Assert.Equal(message, error.Message);
        Assert.Equal(message[9..message.IndexOf(':')], $"{error.Line}");
    }

    [Theory]
    [InlineData("", "PTX line 1: .version is wanted in place of the end of the text")]
    [InlineData(".version 8\n", "PTX line 1: .version wants a number such as 8.4: .version 8")]
    [InlineData(".version 8.0\n.target sm_80\n.address_size 32\n", "PTX line 3: only 64-bit addresses are supported")]
    [InlineData(Head + ".surfref x;", "PTX line 4: .surfref is not supported outside functions: .surfref x;")]
    [InlineData(Head + ".global .b8 x[2] = {1, 2, 3};", "PTX line 4: more initial values than elements: .global .b8 x[2] = {1, 2, 3};")]
    [InlineData(Head + ".global .b8 x[0] = {1};", "PTX line 4: more initial values than elements: .global .b8 x[0] = {1};")]
    [InlineData(Head + ".global .b8 x[-1];", "PTX line 4: an array cannot have -1 elements: .global .b8 x[-1];")]
    [InlineData(Head + ".global .b8 x[65536][65536];", "PTX line 4: an array has more than 2^31 elements: .global .b8 x[65536][65536];")]
    [InlineData(Head + ".global .u64 x = 0xFE(y);", "PTX line 4: the mask of an address selects one byte: .global .u64 x = 0xFE(y);")]
    [InlineData(Head + ".entry k() .maxntid 1, 2, 3, 4 { }", "PTX line 4: .maxntid has at most 3 numbers: .entry k() .maxntid 1, 2, 3, 4 { }")]
    [InlineData(Head + ".entry k(.reg .b32 x) { }", "PTX line 4: parameters in registers are not supported: .entry k(.reg .b32 x) { }")]
    public void ErrorsOutsideBodiesDoToo(string text, string message) =>
        Assert.Equal(message, Assert.Throws<PtxException>(() => PtxParser.Parse(text)).Message);

    [Theory]
    [InlineData("{", "}")]
    [InlineData("(", ")")]
    [InlineData("-", "")]
    public void DeepNestingIsRefused(string open, string close)
    {
        string nested = string.Concat(Enumerable.Repeat(open, 100_000)) + "1" + string.Concat(Enumerable.Repeat(close, 100_000));
        Assert.Contains("more than 64 levels of nesting", Assert.Throws<PtxException>(() => Body("mov.u32 r, " + nested + ";")).Message);
        if (open == "{")
            Assert.Contains("more than 64 levels of nesting", Assert.Throws<PtxException>(() => Body(nested)).Message);
    }

    [Fact]
    public void LongLinesAreShortenedInMessages()
    {
        string message = Assert.Throws<PtxException>(() => Body("add " + new string('a', 1_000_000) + " b;")).Message;
        Assert.InRange(message.Length, 100, 500);
    }

    private static IReadOnlyList<PtxStatement> Body(string text) =>
        PtxParser.Parse(Head + ".entry k()\n{\n" + text + "\n}\n").Functions.Single().Body!.Statements;

    private static string Show(PtxOperand operand) => operand switch
    {
        PtxName { Component: "" } n => n.Name,
        PtxName n => $"{n.Name}.{n.Component}",
        PtxSymbolOffset s => $"{s.Name}{s.Offset:+0;-0}",
        PtxImmediate { Kind: PtxImmediateKind.Integer } i => $"{(long)i.Bits}",
        PtxImmediate { Kind: PtxImmediateKind.Float32 } i => $"0f{i.Bits:X8}",
        PtxImmediate i => $"0d{i.Bits:X16}",
        PtxAddress { Base: null } a => $"[{a.Offset}]",
        PtxAddress a => $"[{a.Base}{a.Offset:+0;-0;#}]",
        PtxVector v => $"{{{string.Join(',', v.Elements.Select(Show))}}}",
        PtxArguments a => $"({string.Join(',', a.Elements.Select(Show))})",
        PtxPair p => $"{Show(p.First)}|{Show(p.Second)}",
        PtxNegated n => "!" + n.Name,
        _ => throw new InvalidOperationException(),
    };
}
