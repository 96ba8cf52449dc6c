using System.Runtime.InteropServices;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.Tests;

/// <summary>
/// Runs an instruction for many operands: thread i reads element i of each input into register a, b, c or d, executes, and writes register
/// r to element i of the output. Values are bits in the low end of 64.
/// </summary>
internal static unsafe class InstructionRunner
{
    private const int BlockSize = 128;

    private static readonly string[] s_names = ["a", "b", "c", "d"];

    /// <param name="instruction">What r is computed with: one instruction or several.</param>
    /// <param name="result">The type of register r: b16, b32, b64 or pred (0 or 1 is written).</param>
    /// <param name="inputs">Types of the registers a, b, c, d and their values; of one length.</param>
    public static ulong[] Run(string instruction, string result, params ReadOnlySpan<(string Type, ulong[] Values)> inputs) =>
        Run(instruction, result, LaunchOptions.Default, inputs);

    public static ulong[] Run(string instruction, string result, LaunchOptions options, params ReadOnlySpan<(string Type, ulong[] Values)> inputs)
    {
        int count = inputs[0].Values.Length, padded = (count + BlockSize - 1) / BlockSize * BlockSize;
        string stored = result == "pred" ? "b32" : result;
        var text = new System.Text.StringBuilder(".version 8.4\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 p0, .param .u64 p1, "
            + ".param .u64 p2, .param .u64 p3, .param .u64 p4)\n{\n.reg .b32 i, n, t; .reg .b64 p, o;\n.reg .pred q, q2, q3; .reg .b32 t1, t2, t3; .reg .b64 l1, l2;\n");
        text.Append($".reg .{result} r;\nmov.u32 i, %ctaid.x; mov.u32 n, %ntid.x; mov.u32 t, %tid.x; mad.lo.u32 i, i, n, t;\n");
        using var memory = new TestMemory();
        byte[] parameters = new byte[40];
        for (int k = 0; k < inputs.Length; k++)
        {
            var (type, values) = inputs[k];
            Assert.Equal(count, values.Length);
            bool predicate = type == "pred";
            string loaded = predicate ? "b32" : type;
            ulong address = memory.Add(padded * Bytes(loaded));
            Store(memory.Native(address), loaded, values, padded);
            MemoryMarshal.Write(parameters.AsSpan(8 * k), address);
            text.Append($".reg .{type} {s_names[k]};\nmul.wide.u32 o, i, {Bytes(loaded)}; ld.param.u64 p, [p{k}]; add.u64 p, p, o;\n");
            text.Append(predicate ? $"ld.global.b32 t, [p]; setp.ne.u32 {s_names[k]}, t, 0;\n" : $"ld.global.{loaded} {s_names[k]}, [p];\n");
        }
        ulong output = memory.Add(padded * Bytes(stored));
        MemoryMarshal.Write(parameters.AsSpan(32), output);
        text.Append(instruction).Append($"\nmul.wide.u32 o, i, {Bytes(stored)}; ld.param.u64 p, [p4]; add.u64 p, p, o;\n");
        text.Append(result == "pred" ? "selp.b32 t, 1, 0, r; st.global.b32 [p], t;\nret;\n}\n" : $"st.global.{stored} [p], r;\nret;\n}}\n");

        var kernel = ModuleDecoder.Decode("test", text.ToString()).Kernels.Single();
        GridExecutor.Run(new KernelLaunch(new LinkedKernel(kernel, []), new Dim3(padded / BlockSize, 1, 1), new Dim3(BlockSize, 1, 1), 0, parameters, memory, options));
        return Load(memory.Native(output), stored, count);
    }

    /// <summary>Runs a whole kernel of one block with pointers to inputs and then to an output, all of 32-bit words; returns the output.</summary>
    public static uint[] RunKernel(string body, int threads, int outputWords, params ReadOnlySpan<uint[]> inputs) =>
        RunKernel(body, threads, outputWords, LaunchOptions.Default, inputs);

    public static uint[] RunKernel(string body, int threads, int outputWords, LaunchOptions options, params ReadOnlySpan<uint[]> inputs)
    {
        using var memory = new TestMemory();
        byte[] parameters = new byte[8 * (inputs.Length + 1)];
        for (int k = 0; k < inputs.Length; k++)
        {
            ulong address = memory.Add(4 * inputs[k].Length);
            inputs[k].CopyTo(new Span<uint>((void*)memory.Native(address), inputs[k].Length));
            MemoryMarshal.Write(parameters.AsSpan(8 * k), address);
        }
        ulong output = memory.Add(4 * outputWords);
        MemoryMarshal.Write(parameters.AsSpan(8 * inputs.Length), output);
        string list = string.Join(", ", Enumerable.Range(0, inputs.Length + 1).Select(k => $".param .u64 p{k}"));
        string text = $".version 8.4\n.target sm_90\n.address_size 64\n{body.Replace("ENTRY", $".visible .entry k({list})")}\n";
        var module = ModuleDecoder.Decode("test", text);
        ulong[] addresses = [.. module.Variables.Select(v => memory.Add((int)v.Bytes, v.Space == StateSpace.Constant))];
        for (int k = 0; k < addresses.Length; k++)
        {
            Marshal.Copy(module.Variables[k].Initial, 0, memory.Native(addresses[k]), module.Variables[k].Initial.Length);
            foreach (var pointer in module.Variables[k].Pointers)
                *(ulong*)(memory.Native(addresses[k]) + (nint)pointer.Offset) = addresses[pointer.Variable] + (ulong)pointer.Addend;
        }
        var kernel = module.Kernels.Single();
        GridExecutor.Run(new KernelLaunch(new LinkedKernel(kernel, addresses), new Dim3(1, 1, 1), new Dim3(threads, 1, 1), 0, parameters, memory, options));
        return new Span<uint>((void*)memory.Native(output), outputWords).ToArray();
    }

    private static int Bytes(string type) => type switch { "b8" => 1, "b16" => 2, "b32" => 4, "b64" => 8, _ => throw new ArgumentException(type) };

    private static void Store(nint at, string type, ulong[] values, int padded)
    {
        for (int i = 0; i < padded; i++)
        {
            ulong value = values[Math.Min(i, values.Length - 1)];
            switch (type)
            {
                case "b16": ((ushort*)at)[i] = (ushort)value; break;
                case "b32": ((uint*)at)[i] = (uint)value; break;
                default: ((ulong*)at)[i] = value; break;
            }
        }
    }

    private static ulong[] Load(nint at, string type, int count)
    {
        ulong[] values = new ulong[count];
        for (int i = 0; i < count; i++)
            values[i] = type switch { "b16" => ((ushort*)at)[i], "b32" => ((uint*)at)[i], _ => ((ulong*)at)[i] };
        return values;
    }

    /// <summary>Device memory without checks.</summary>
    private sealed class TestMemory : MemorySpace, IDisposable
    {
        private readonly List<MemoryRegion> _regions = [];
        private ulong _next = 0x1000_0000;

        public ulong Add(int bytes, bool isReadOnly = false)
        {
            ulong start = _next;
            _next += (ulong)bytes + 65536 & ~4095ul;
            nint native = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 256);
            new Span<byte>((void*)native, bytes).Clear();
            _regions.Add(new MemoryRegion(start, start + (ulong)bytes, native, isReadOnly, _regions.Count));
            return start;
        }

        public nint Native(ulong address) => _regions.Single(r => r.Start == address).Native;

        public override bool TryFind(ulong address, out MemoryRegion region)
        {
            foreach (var r in _regions)
            {
                if (address >= r.Start && address < r.End)
                {
                    region = r;
                    return true;
                }
            }
            region = default;
            return false;
        }

        public override string Describe(ulong address) => $"0x{address:x}";

        public override LaunchChecks? BeginChecks(KernelLaunch launch) => null;

        public void Dispose()
        {
            foreach (var region in _regions)
                NativeMemory.AlignedFree((void*)region.Native);
        }
    }
}
