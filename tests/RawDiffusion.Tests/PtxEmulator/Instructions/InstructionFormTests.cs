using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.PtxEmulator.Parsing;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

/// <summary>
/// Tries instructions with every combination of modifiers: each is refused by the decoder, with line and text, or executed in every mode.
/// Nothing is accepted first and refused later.
/// </summary>
public class InstructionFormTests(ITestOutputHelper output)
{
    private const string Whole = "u16,s16,u32,s32,u64,s64", Float = "f16,bf16,f16x2,bf16x2,f32,f64", Rounding = "{,.rn,.rz,.rm,.rp}",
        Memory = "b8,b16,b32,b64,u8,u16,u32,u64,s8,s16,s32,s64,f32,f64,f16,b128";

    /// <summary>
    /// Alternatives stand in braces; 0 and 1 are registers of the size of the first and second type; h, w, l and p registers of 16, 32 and 64
    /// bits and predicates; W a register of 64 bits for 32 and of 32 bits for 16 (wide results).
    /// </summary>
    private static readonly string[] s_forms =
    [
        $"{{add,sub}}{Rounding}{{,.ftz}}{{,.sat}}{{,.cc}}.{{{Whole},{Float}}} 0, 0, 0",
        "{addc,subc}{,.cc}.{u32,s32,u64,s64} 0, 0, 0",
        $"mul{Rounding}{{,.lo,.hi}}{{,.ftz}}{{,.sat}}.{{{Whole},{Float}}} 0, 0, 0",
        $"{{mad,madc}}{Rounding}{{,.lo,.hi}}{{,.sat}}{{,.cc}}.{{{Whole},f32,f64}} 0, 0, 0, 0",
        $"mul.wide.{{{Whole}}} W, 0, 0",
        $"mad.wide.{{{Whole}}} W, 0, 0, W",
        "mul24.{lo,hi}.{u32,s32} 0, 0, 0",
        "mad24.{lo,hi}{,.sat}.{u32,s32} 0, 0, 0, 0",
        $"sad.{{{Whole}}} 0, 0, 0, 0",
        $"{{div,rem}}.{{{Whole}}} 0, 0, 0",
        "div{.approx,.full,.rn,.rz,.rm,.rp}{,.ftz}.{f32,f64} 0, 0, 0",
        $"{{abs,neg}}{{,.ftz}}.{{{Whole},{Float}}} 0, 0",
        $"{{min,max}}{{,.ftz}}{{,.NaN}}{{,.xorsign.abs}}{{,.relu}}.{{{Whole},{Float}}} 0, 0, 0",
        "{popc,clz}.{b32,b64} w, 0",
        "brev.{b32,b64} 0, 0",
        "bfind{,.shiftamt}.{u32,s32,u64,s64} w, 0",
        "bfe.{u32,s32,u64,s64} 0, 0, w, w",
        "bfi.{b32,b64} 0, 0, 0, w, w",
        "dp4a.{u32,s32}.{u32,s32} w, w, w, w",
        "dp2a.{lo,hi}.{u32,s32}.{u32,s32} w, w, w, w",
        $"fma{Rounding}{{,.ftz}}{{,.sat}}{{,.relu}}.{{{Float}}} 0, 0, 0, 0",
        "{rcp,sqrt}{.approx,.rn,.rz,.rm,.rp}{,.ftz}.{f32,f64} 0, 0",
        $"{{rsqrt,sin,cos,lg2,ex2,tanh}}.approx{{,.ftz}}.{{{Float}}} 0, 0",
        "copysign.{f32,f64} 0, 0, 0",
        "testp.{finite,infinite,number,notanumber,normal,subnormal}.{f32,f64} p, 0",
        $"setp.{{eq,ne,lt,le,gt,ge,lo,ls,hi,hs,equ,neu,ltu,leu,gtu,geu,num,nan}}{{,.ftz}}.{{b16,b32,b64,{Whole},"
            + $"{Float}}} p, 0, 0",
        $"setp.lt{{.and,.or,.xor}}.{{{Whole},f16,bf16,f32,f64}} {{p,p|p}}, 0, 0, {{p,!p}}",
        $"set.{{lt,gtu}}{{,.and}}{{,.ftz}}.{{u32,s32,f32}}.{{b32,{Whole},f16,bf16,f32,f64}} 0, 1, 1{{,&p}}",
        $"selp.{{b16,b32,b64,{Whole},f32,f64}} 0, 0, 0, {{p,!p}}",
        $"slct{{,.ftz}}.{{b16,b32,b64,{Whole},f32,f64}}.{{s32,f32}} 0, 0, 0, w",
        "{and,or,xor}.{pred,b16,b32,b64} 0, 0, 0",
        "{not,cnot}.{pred,b16,b32,b64} 0, 0",
        $"{{shl,shr}}.{{b16,b32,b64,{Whole}}} 0, 0, w",
        "shf.{l,r}.{clamp,wrap}.b32 w, w, w, w",
        "prmt.b32{,.f4e,.b4e,.rc8,.ecl,.ecr,.rc16} w, w, w, w",
        "lop3.b32 w, w, w, w, 232",
        $"mov.{{pred,b16,b32,b64,{Whole},{Float}}} 0, 0",
        "mov.b64 l, {w&w}",
        "mov.b64 {w&w}, l",
        "mov.b32 w, {h&h}",
        "mov.b64 l, {h&h&h&h}",
        "mov.b32 {_&h}, w",
        "mov.u32 w, %{tid.x,ntid.y,ctaid.z,nctaid.x,laneid,warpid,nwarpid,smid,nsmid,gridid,lanemask_lt,clock,"
            + "clock_hi,globaltimer_lo,globaltimer_hi,dynamic_smem_size,total_smem_size}",
        "mov.u64 l, %{clock64,globaltimer,gridid}",
        "mov.u16 h, %tid.x",
        $"cvt{{,.rn,.rz,.rm,.rp,.rni,.rzi,.rmi,.rpi}}{{,.ftz}}{{,.sat}}.{{u8,s8,{Whole},f16,bf16,f32,f64}}.{{u8,s8,"
            + $"{Whole},f16,bf16,f32,f64}} 0, 1",
        "cvt.{rn,rz}{,.relu}{,.sat}.{f16x2,bf16x2}.f32 w, w, w",
        "cvt.{rn,rz}{,.relu}.{f16,bf16}.f32 h, w",
        "cvt.{rna,rn,rz}.tf32.f32 w, w",
        "cvt.u64.{u8,s16,u32} l, l",
        "cvt.s64.s8 l, h",
        "cvta{,.to}.{global,shared,local,const,param}.u64 l, l",
        "isspacep.{global,shared,local,const,param} p, l",
        "prefetch{,.global,.local}.{L1,L2} [l+4]",
        $"ld{{,.volatile,.relaxed.gpu,.acquire.sys,.weak}}{{,.global,.shared,.local,.const,.param}}{{,"
            + $".v2}}.{{{Memory}}} {{0,{{0&0}}}}, [l+8]",
        "ld.global{,.nc}{,.ca,.L1::no_allocate}.v4.{u8,s16,b32,f32} {0&0&0&0}, [l]",
        "ld{,.global,.shared,.local}.{u8,s8,s16,u32,s32} l, [l]",
        "ld{,.global,.shared}.{u8,s8,s16} w, [l]",
        $"st{{,.volatile,.relaxed.gpu,.release.sys}}{{,.global,.shared,.local}}{{,.v2}}.{{{Memory}}} [l+8], {{0,{{0&0}}}}",
        "st.global.v4.{u8,b16,b32,f32} [l], {0&0&0&0}",
        "st{,.global}.{u8,u16,u32} [l], l",
        $"atom{{,.global,.shared}}.{{add,min,max,and,or,xor,exch,inc,dec}}.{{b16,b32,b64,{Whole},{Float}}} {{0,_}}, [l], 0",
        "atom{,.global,.shared}.cas.{b16,b32,b64,u32,u64} 0, [l], 0, 0",
        $"red{{,.global,.shared}}{{,.relaxed.gpu}}.{{add,min,max,and,or,xor,inc,dec}}.{{b32,b64,{Whole},{Float}}} [l], 0",
        "atom.global.add.noftz.{f16,bf16,f16x2,bf16x2} 0, [l], 0",
        "cp.async.{ca,cg}.shared{,::cta}.global [l], [l], {4,8,16}{,&w}",
        "cp.async.{commit_group,wait_all}",
        "cp.async.wait_group 2",
        "cp.async.mbarrier.arrive{,.noinc}{,.shared}.b64 [l]",
        "{membar.cta,membar.gl,membar.sys,fence.sc.gpu,fence.acq_rel.cta,fence.proxy.async}",
        "shfl.sync.{up,down,bfly,idx}.b32 {w,w|p,_|p}, w, w, w, w",
        "vote.sync.{all,any,uni}.pred p, {p,!p}, w",
        "vote.sync.ballot.b32 w, p, w",
        "match.any.sync.{b32,b64} w, 0, w",
        "match.all.sync.{b32,b64} {w,w|p}, 0, w",
        "activemask.b32 w",
        "redux.sync.{add,min,max,and,or,xor}.{b32,u32,s32} w, w, w",
        "bar.warp.sync w",
        "elect.sync {w|p,_|p}, w",
        "{bar,barrier}{,.cta}.sync{,.aligned} {0,w}{,&64}",
        "bar.arrive 1, 64",
        "bar.red.popc.u32 w, 0{,&64}, {p,!p}",
        "bar.red.{and,or}.pred p, 1, p",
        "mbarrier.init.shared.b64 [l], w",
        "mbarrier.inval.shared.b64 [l]",
        "mbarrier.arrive{,.release.cta}{,.shared,.shared::cta}.b64 {l,_}, [l]{,&w}",
        "mbarrier.arrive.noComplete.shared.b64 l, [l], w",
        "mbarrier.arrive.expect_tx.shared.b64 l, [l], w",
        "mbarrier.arrive_drop.shared.b64 l, [l]",
        "mbarrier.{expect_tx,complete_tx}.shared.b64 [l], w",
        "mbarrier.{test_wait,try_wait}.shared.b64 p, [l], l",
        "mbarrier.{test_wait,try_wait}.parity.shared.b64 p, [l], w",
        "mbarrier.pending_count.b64 w, l",
        "{bra,bra.uni} label",
        "brx.idx w, list",
        "{ret,exit,trap,brkpt}",
        "nanosleep.u32 w",
        "mma.sync.aligned.m16n8k{8,16}.row.col.f32.{f16,bf16}.{f16,bf16}.f32 {w&w&w&w}, {{w&w},{w&w&w&w}}, {{w},"
            + "{w&w}}, {w&w&w&w}",
        "mma.sync.aligned.m16n8k{8,16}.row.col.f16.f16.f16.f16 {w&w}, {{w&w},{w&w&w&w}}, {{w},{w&w}}, {w&w}",
        "mma.sync.aligned.m16n8k{4,8}.row.col.f32.tf32.tf32.f32 {w&w&w&w}, {{w&w},{w&w&w&w}}, {{w},{w&w}}, {w&w&w&w}",
        "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {l&l}, {l}, {l}, {l&l}",
        "ldmatrix.sync.aligned.m8n8.{x1,x2,x4}{,.trans}.shared.b16 {{w},{w&w},{w&w&w&w}}, [l]",
        "stmatrix.sync.aligned.m8n8.{x1,x2,x4}{,.trans}.shared.b16 [l], {{w},{w&w},{w&w&w&w}}",
    ];

    [Fact]
    public void WhatTheDecoderAcceptsIsExecuted()
    {
        int accepted = 0, refused = 0;
        var missing = new List<string>();
        foreach (string form in s_forms)
        {
            int before = accepted;
            foreach (string instruction in Expand(form).Select(Registers))
            {
                foreach (string guard in new[] { "", "@p ", "@!p " })
                {
                    DecodedKernel kernel;
                    string text = guard + instruction;
                    try
                    {
                        kernel = ModuleDecoder.Decode("test", ".version 8.4\n.target sm_90\n.address_size 64\n.entry k() {\n.reg .b16 h; .reg .b32 w; .reg .b64 l; .reg .pred p;\n"
                            + $"list: .branchtargets label, label;\nlabel:\n{text};\n}}").Kernels[0];
                    }
                    catch (PtxException e)
                    {
                        Assert.StartsWith("PTX line 8: ", e.Message);
                        refused++;
                        break;
                    }
                    accepted++;
                    try
                    {
                        for (int pc = 0; pc < kernel.Code.Length; pc++)
                        {
                            foreach (bool perturbed in new[] { false, true })
                            {
                                nint handler = Handlers.For(kernel, pc, perturbed);
                                Handlers.InMode(kernel, pc, handler, ExecutionMode.Checked);
                                Handlers.InMode(kernel, pc, handler, ExecutionMode.Counted);
                            }
                        }
                    }
                    catch (NotSupportedException e)
                    {
                        missing.Add($"{text}: {e.Message}");
                        break;
                    }
                }
            }
            Assert.True(accepted > before, $"all of {form} are refused");
        }
        output.WriteLine($"{accepted} forms are executed and {refused} refused.");
        Assert.True(missing.Count == 0, $"{missing.Count} are accepted and not executed:\n{string.Join("\n", missing.Take(60))}");
        Assert.True(accepted > 5000);
    }

    /// <summary>Alternatives in braces with commas; braces without commas are vectors, whose commas are written &amp;.</summary>
    private static IEnumerable<string> Expand(string form)
    {
        for (int start = form.IndexOf('{'); start >= 0; start = form.IndexOf('{', start + 1))
        {
            int depth = 0, end = start;
            var parts = new List<string>();
            int from = start + 1;
            for (; end < form.Length; end++)
            {
                if (form[end] == '{')
                    depth++;
                else if (form[end] == '}' && --depth == 0)
                    break;
                else if (form[end] == ',' && depth == 1)
                {
                    parts.Add(form[from..end]);
                    from = end + 1;
                }
            }
            if (parts.Count == 0)
                continue;
            parts.Add(form[from..end]);
            return parts.SelectMany(part => Expand(form[..start] + part + form[(end + 1)..]));
        }
        return [form];
    }

    private static string Registers(string instruction)
    {
        int space = instruction.IndexOf(' ');
        if (space < 0)
            return instruction;
        string[] types = [.. instruction[..space].Split('.').Where(part => TypeNames.Parse(part) != PtxType.None)];
        string operands = instruction[space..].Replace('&', ',');
        string Register(string type) => type == "pred" ? "p" : TypeNames.Parse(type).Bytes() switch { 1 or 2 => "h", 4 => "w", _ => "l" };
        if (types.Length > 0)
        {
            operands = operands.Replace(" 0", " " + Register(types[0])).Replace("{0", "{" + Register(types[0])).Replace(",0", "," + Register(types[0]));
            operands = operands.Replace("W", Register(types[0]) == "h" ? "w" : "l");
        }
        if (types.Length > 1)
            operands = operands.Replace(" 1", " " + Register(types[1]));
        return instruction[..space] + operands;
    }
}
