using System.Buffers.Binary;
using System.Runtime.InteropServices;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.Tests;

/// <summary>A module and device memory to run its kernels in, without a driver.</summary>
internal sealed unsafe class EmulatedModule : IDisposable
{
    private readonly GlobalMemory _memory = new(1L << 32, shadowed: true);
    private readonly DecodedModule _module;
    private readonly Dictionary<string, LinkedKernel> _kernels;

    private EmulatedModule(DecodedModule module)
    {
        _module = module;
        DeviceAllocation[] variables = [.. module.Variables.Select(variable => Allocate(variable))];
        ulong[] addresses = [.. variables.Select(allocation => allocation.Address)];
        for (int v = 0; v < variables.Length; v++)
        {
            foreach (InitialPointer pointer in module.Variables[v].Pointers)
                *(ulong*)(variables[v].Memory + pointer.Offset) = addresses[pointer.Variable] + (ulong)pointer.Addend;
        }
        _kernels = module.Kernels.ToDictionary(kernel => kernel.Name, kernel => new LinkedKernel(kernel, addresses));
    }

    /// <summary>What kernels printed.</summary>
    public List<string> Output { get; } = [];

    public LaunchOptions Options { get; set; } = new();

    /// <summary>Compiles CUDA C++; skips the test where there is no NVRTC.</summary>
    public static EmulatedModule Cuda(string source, string architecture = "compute_80", params string[] options) =>
        Cuda(new KernelSource("test.cu", source), architecture, options);

    /// <summary>The same for a source with headers.</summary>
    public static EmulatedModule Cuda(KernelSource source, string architecture = "compute_80", params string[] options)
    {
        TestNvrtc.Require();
        return Ptx(Nvrtc.Compile(source, new KernelTarget(architecture), ["--generate-line-info", .. options]).Ptx);
    }

    public static EmulatedModule Ptx(string text) => new(ModuleDecoder.Decode("test.cu", text));

    public DecodedKernel this[string name] => _kernels[name].Kernel;

    public ulong Upload<T>(params T[] data)
        where T : unmanaged
    {
        ulong address = Allocate(data.LongLength * sizeof(T));
        data.CopyTo(new Span<T>(_memory.Translate(address, data.LongLength * sizeof(T)), data.Length));
        _memory.Define(address, data.LongLength * sizeof(T));
        return address;
    }

    /// <summary>Memory with undefined contents.</summary>
    public ulong Allocate(long bytes, string name = "buffer") => _memory.TryAllocate(bytes, name)!.Address;

    public void Free(ulong address) => Assert.True(_memory.Free(address));

    public T[] Download<T>(ulong address, int count)
        where T : unmanaged => new Span<T>(_memory.Translate(address, (long)count * sizeof(T)), count).ToArray();

    /// <summary>The arguments are values of 4 or 8 bytes; addresses are ulong.</summary>
    public void Run(string name, Dim3 grid, Dim3 block, int shared = 0, params object[] arguments)
    {
        LinkedKernel kernel = _kernels[name];
        byte[] parameters = new byte[kernel.Kernel.ParameterBytes];
        Assert.Equal(kernel.Kernel.Parameters.Length, arguments.Length);
        for (int a = 0; a < arguments.Length; a++)
        {
            Span<byte> at = parameters.AsSpan(kernel.Kernel.Parameters[a].Offset);
            switch (arguments[a])
            {
                case ulong value: BinaryPrimitives.WriteUInt64LittleEndian(at, value); break;
                case long value: BinaryPrimitives.WriteInt64LittleEndian(at, value); break;
                case int value: BinaryPrimitives.WriteInt32LittleEndian(at, value); break;
                case uint value: BinaryPrimitives.WriteUInt32LittleEndian(at, value); break;
                case float value: BinaryPrimitives.WriteSingleLittleEndian(at, value); break;
                case double value: BinaryPrimitives.WriteDoubleLittleEndian(at, value); break;
                case byte[] value: value.CopyTo(at); break;
                default: throw new ArgumentException($"no argument can be a {arguments[a].GetType()}");
            }
        }
        GridExecutor.Run(new KernelLaunch(kernel, grid, block, shared, parameters, _memory, Options with { Output = Output.Add }));
    }

    public void Dispose() => _memory.Dispose();

    private DeviceAllocation Allocate(ModuleVariable variable)
    {
        var kind = variable.Space == StateSpace.Constant ? AllocationKind.Constant : AllocationKind.Variable;
        DeviceAllocation allocation = _memory.TryAllocate(Math.Max(1, variable.Bytes), variable.Name, kind)!;
        NativeMemory.Clear(allocation.Memory, (nuint)variable.Bytes);
        variable.Initial.CopyTo(new Span<byte>(allocation.Memory, (int)variable.Bytes));
        _memory.Define(allocation.Address, variable.Bytes);
        return allocation;
    }
}
