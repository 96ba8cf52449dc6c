using System.Runtime.InteropServices;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.PtxEmulator.Memory;
using RawDiffusion.PtxEmulator.Parsing;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>PTX that was decoded, with memory for its variables.</summary>
internal sealed unsafe class EmulatedModule
{
    private readonly GlobalMemory _memory;
    private readonly DeviceAllocation[] _variables;

    /// <exception cref="CudaException">The image is not PTX for this device.</exception>
    public EmulatedModule(GlobalMemory memory, ReadOnlySpan<byte> image, string name, int capability)
    {
        if (image.StartsWith("\u007fELF"u8))
            throw Refuse(CudaResult.NoBinaryForGpu, name, "the image is machine code; the emulator executes PTX (compile for compute_" + capability + ")");
        _memory = memory;
        try
        {
            Decoded = DecodedModules.Get(name, image.TrimEnd((byte)0));
        }
        catch (PtxException e)
        {
            throw Refuse(CudaResult.InvalidPtx, name, e.Message);
        }
        if (int.TryParse(Decoded.Target.AsSpan(Decoded.Target.IndexOf('_') + 1).TrimEnd("af"), out int target) && target > capability)
            throw Refuse(CudaResult.NoBinaryForGpu, name, $"the PTX is for {Decoded.Target}, the device has compute capability {capability / 10}.{capability % 10}");
        _variables = Allocate(name);
        ulong[] addresses = [.. _variables.Select(variable => variable.Address)];
        Kernels = Decoded.Kernels.ToDictionary(kernel => kernel.Name, kernel => new LinkedKernel(kernel, addresses));
    }

    public DecodedModule Decoded { get; }

    public IReadOnlyDictionary<string, LinkedKernel> Kernels { get; }

    public DeviceAllocation? FindVariable(string name)
    {
        for (int i = 0; i < _variables.Length; i++)
        {
            if (Decoded.Variables[i].Name == name)
                return _variables[i];
        }
        return null;
    }

    public void Free()
    {
        foreach (var variable in _variables)
            _memory.Free(variable.Address);
    }

    private DeviceAllocation[] Allocate(string name)
    {
        var allocations = new List<DeviceAllocation>();
        foreach (var variable in Decoded.Variables)
        {
            var kind = variable.Space == StateSpace.Constant ? AllocationKind.Constant : AllocationKind.Variable;
            if (_memory.TryAllocate(Math.Max(1, variable.Bytes), variable.Name, kind) is not { } allocation)
            {
                allocations.ForEach(each => _memory.Free(each.Address));
                throw Refuse(CudaResult.OutOfMemory, name, $"{variable.Name} has {variable.Bytes} bytes");
            }
            allocations.Add(allocation);
            NativeMemory.Clear(allocation.Memory, (nuint)allocation.Bytes);
            variable.Initial.CopyTo(new Span<byte>(allocation.Memory, variable.Initial.Length));
            _memory.Define(allocation.Address, allocation.Bytes);
        }
        for (int i = 0; i < allocations.Count; i++)
        {
            foreach (var pointer in Decoded.Variables[i].Pointers)
                *(ulong*)(allocations[i].Memory + pointer.Offset) = allocations[pointer.Variable].Address + (ulong)pointer.Addend;
        }
        return [.. allocations];
    }

    private static CudaException Refuse(CudaResult result, string name, string why) => new("cuModuleLoadDataEx", result, $"{name}: {why}");
}
