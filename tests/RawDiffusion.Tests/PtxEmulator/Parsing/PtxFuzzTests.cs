using System.Text;
using System.Text.RegularExpressions;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Parsing;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

/// <summary>
/// Damaged PTX is decoded, and then every slot and target lies where it may, or is refused with a line number. The environment variable
/// RAWDIFFUSION_FUZZ_ITERATIONS sets how many texts; each number is a text of its own, the same in every run.
/// </summary>
public partial class PtxFuzzTests(ITestOutputHelper output)
{
    private static readonly TimeSpan s_limit = TimeSpan.FromHours(1);

    /// <summary>Short texts that use everything that the parser and the decoder know.</summary>
    private static readonly string[] s_written =
    [
        PtxTexts.Head + """
            .file 1 "a.cu"
            .extern .shared .align 16 .b8 dynamic[];
            .shared .align 8 .b8 fixed[64];
            .global .align 4 .b8 table[8] = {1, 2, 3, 4, 0x10, 017};
            .global .u64 pointer = generic(table)+4;
            .const .f32 numbers[2][2] = {{0f3F800000, 1.5}, {2.5}};
            .visible .entry k(.param .u64 k_param_0, .param .align 8 .b8 k_param_1[16])
            .maxntid 128, 1, 1
            {
                .reg .pred %p<4>;
                .reg .b32 %r<8>;
                .reg .b64 %rd<6>;
                .reg .f32 %f<4>;
                .loc 1 2 3
                ld.param.u64 %rd1, [k_param_0+0];
                cvta.to.global.u64 %rd2, %rd1;
                mov.u32 %r1, %tid.x;
                mad.lo.s32 %r2, %r1, 4, -1;
                setp.lt.and.s32 %p1|%p2, %r2, 100, !%p3;
            $L__top:
                @%p1 bra $L__end;
                ld.global.v2.f32 {%f1, _}, [%rd2+8];
                fma.rn.ftz.f32 %f2, %f1, 0f40000000, %f1;
                st.shared.f32 [fixed+4], %f2;
                bar.sync 0, 128;
                shfl.sync.bfly.b32 %r3|%p3, %r2, 16, 31, -1;
                atom.global.add.u32 %r4, [%rd2], %r3;
                @!%p2 bra.uni $L__top;
            $L__end:
                ret;
            }
            """,
        PtxTexts.Head + """
            .file 1 "a.cu"
            .shared .b32 s[4];
            .weak .func g(.param .b64 x) .noreturn { .reg .b64 %d; ld.param.u64 %d, [x]; trap; }
            .func (.param .b32 r) f(.param .b32 x, .param .align 4 .b8 y[8])
            {
                .reg .b32 %a<3>;
                ld.param.b32 %a1, [x];
                ld.param.b32 %a2, [y+4];
                add.s32 %a1, %a1, %a2;
                st.param.b32 [r+0], %a1;
                ret;
            }
            .entry k()
            {
                .local .align 8 .b8 depot[32];
                .reg .b32 %r<5>;
                .reg .b64 %rd<5>;
                .reg .f64 %fd<3>;
                .loc 1 2 0, function_name $L__info, inlined_at 1 9 4
                { // callseq 0
                .param .b32 param0;
                st.param.b32 [param0+0], %r1;
                .param .align 4 .b8 param1[8];
                st.param.v2.b32 [param1+0], {%r1, 7};
                .param .b32 retval0;
                call.uni (retval0), f, (param0, param1);
                ld.param.b32 %r2, [retval0+0];
                }
                call g, (s);
                mov.b64 {%r3, %r4}, %fd1;
                mov.b64 %fd2, {%r4, %r3};
                mov.u64 %rd1, depot;
                cvta.local.u64 %rd2, %rd1;
                st.u64 [%rd2], 0xFF;
                cvt.rn.f64.s32 %fd1, %r2;
                list: .branchtargets a, b;
                brx.idx %r3, list;
                a: prmt.b32 %r1, %r2, %r3, 0x5410;
                b: lop3.b32 %r1, %r2, %r3, %r4, 0xE8;
                exit;
            }
            """,
    ];

    [Fact]
    public void DamagedTextsAreDecodedOrRefused() => Run(s_written, Fuzz.Iterations / 2);

    [SkippableFact]
    public void DamagedTextsOfNvrtcAreDecodedOrRefused()
    {
        TestNvrtc.Require();
        // The shorter ones: the time goes by their length.
        string[] sources = [PtxTexts.VectorAdd, PtxTexts.Warps, PtxTexts.Tensor];
        Run([.. sources.Select(source => Nvrtc.Compile(new KernelSource("a.cu", source), new KernelTarget("compute_80"), "--generate-line-info").Ptx)],
            Fuzz.Iterations / 2);
    }

    private void Run(string[] whole, int iterations)
    {
        int accepted = 0, refused = 0, current = 0;
        string failure = "";
        foreach (string text in whole)
            Check(ModuleDecoder.Decode("whole", text), text);
        var tokens = whole.Select(text => Tokens().Matches(text).Select(m => (m.Index, m.Length)).ToArray()).ToArray();
        // On a thread of its own, so that a text that is read without end fails with its number.
        var worker = new Thread(() =>
        {
            for (; current < iterations && failure.Length == 0; current++)
            {
                var random = new Random(current);
                int which = random.Next(whole.Length);
                string text = whole[which];
                for (int i = Math.Max(1, random.Next(-2, 4)); i > 0; i--)
                    text = Damaged(random, text, i == 1 ? tokens[which] : []);
                try
                {
                    Check(ModuleDecoder.Decode("x", text), text);
                    accepted++;
                }
                catch (PtxException e)
                {
                    refused++;
                    if (!e.Message.StartsWith($"PTX line {e.Line}: ", StringComparison.Ordinal) || e.Message.Any(char.IsControl) || e.Message.Length > 600)
                        failure = $"is refused in other than one short line: {e.Message}";
                    if (e.Line < 1 || e.Line > text.AsSpan().Count('\n') + 1)
                        failure = $"is refused in a line it does not have: {e.Message}";
                }
                catch (Exception e)
                {
                    failure = $"fails: {e}\n{text}";
                }
                if (failure.Length > 0)
                    break;
            }
        });
        worker.Start();
        if (!worker.Join(s_limit))
            Assert.Fail($"Text {current} is read without end.");
        Assert.True(failure.Length == 0, $"Text {current} {failure}");
        output.WriteLine($"{accepted} texts were decoded and {refused} refused.");
        Assert.Equal(iterations, accepted + refused);
        Assert.InRange(accepted, iterations / 50, iterations * 9 / 10);
    }

    [GeneratedRegex(@"[\w$%.]+|\S")]
    private static partial Regex Tokens();

    private static readonly string[] s_words =
    [
        "0", "-1", "1", "4294967296", "-9223372036854775808", "0f7FC00000", "0d7FF0000000000000", "%r1", "%rd1", "%f1", "%p1", "!%p1", "_", "[", "]", "{", "}",
        "(", ")", ";", ",", ":", "@", ".b8", ".f64", ".v4", ".global", ".shared", ".param", ".align", ".reg", "bra", "ret", "call", "%tid.x", "\"", "/*", "//", "\n",
    ];

    /// <summary>Bits flipped, or tokens deleted, repeated, exchanged or replaced, or the end cut off.</summary>
    private static string Damaged(Random random, string text, (int Index, int Length)[] tokens)
    {
        if (text.Length < 2)
            return text + random.Pick(s_words);
        if (tokens.Length == 0 || random.Next(5) == 0)
        {
            if (random.Next(12) == 0)
                return text[..random.Next(text.Length)];
            var changed = new StringBuilder(text);
            int at = random.Next(text.Length);
            changed[at] = random.Next(4) == 0 ? (char)random.Next(65536) : (char)(changed[at] ^ 1 << random.Next(7));
            return changed.ToString();
        }
        var (index, length) = tokens[random.Next(tokens.Length)];
        var (otherIndex, otherLength) = tokens[random.Next(tokens.Length)];
        if (index + length > text.Length || otherIndex + otherLength > text.Length)
            return text;
        string token = text.Substring(index, length), other = text.Substring(otherIndex, otherLength);
        return random.Next(5) switch
        {
            0 => text.Remove(index, length),
            1 => text.Insert(index, token + " "),
            2 => text.Remove(index, length).Insert(index, other),
            3 => text.Remove(index, length).Insert(index, random.Pick(s_words)),
            _ => text.Insert(index, other + " "),
        };
    }

    /// <summary>Everything that the executor takes for granted.</summary>
    private static void Check(DecodedModule module, string text)
    {
        int lines = text.AsSpan().Count('\n') + 1;
        foreach (var kernel in module.Kernels)
        {
            for (int pc = 0; pc < kernel.Code.Length; pc++)
            {
                ref readonly var i = ref kernel.Code[pc];
                bool copies = i.Opcode == Opcode.CpAsync;
                Span<int> slots = [i.Guard, i.D, i.A, i.B, i.C];
                foreach (int slot in slots)
                    Assert.True(slot == -1 || (slot >= 0 && slot % 4 == 0 && slot < kernel.RegisterBytes), $"a slot of {kernel.Describe(pc)}");
                Assert.True(copies || i.Target == -1 || (uint)i.Target < (uint)kernel.Code.Length, $"the target of {kernel.Describe(pc)}");
                Assert.True(i.Reconverge >= -1 && i.Reconverge < kernel.Code.Length, $"the meeting place of {kernel.Describe(pc)}");
                Assert.True(i.Opcode is not (Opcode.Bra or Opcode.Call) || i.Target >= 0, $"the target of {kernel.Describe(pc)}");
                Assert.True(i.Line >= -1 && i.Line < kernel.Lines.Length && i.List + i.ListCount <= kernel.Operands.Length, kernel.Describe(pc));
                Assert.InRange(kernel.PtxLines[pc], 1, lines);
            }
            Assert.True(kernel.Code[^1] is { Guard: -1, Opcode: Opcode.Exit or Opcode.Ret });
        }
    }
}
