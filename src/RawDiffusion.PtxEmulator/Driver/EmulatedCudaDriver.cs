using System.Collections.Concurrent;
using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Counters;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>
/// A driver with one device that executes PTX on the CPU. In checked mode it finds what a GPU leaves undefined: the error, an
/// <see cref="EmulatedFaultException"/>, carries the report.
/// </summary>
/// <remarks>Devices, contexts, modules. Streams, events and memory are in the second part, graphs in the third.</remarks>
public sealed partial class EmulatedCudaDriver : CudaDriver, IDisposable
{
    private readonly Lock _lock = new();
    private readonly DeviceModel _device;
    private readonly ThreadLocal<EmulatedContext?> _current = new();
    private readonly ConcurrentDictionary<DecodedKernel, KernelCounters> _counters = new();
    private EmulatedContext? _primary;
    private nint _primaryHandle;

    /// <exception cref="ArgumentException">There is no model of the compute capability.</exception>
    public EmulatedCudaDriver(EmulatorOptions? options = null)
    {
        Options = options ?? EmulatorOptions.Default;
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Options.MemoryBytes, nameof(options));
        _device = DeviceModel.Of(Options.ComputeCapability);
    }

    public EmulatorOptions Options { get; }

    /// <summary>In counted mode: what the kernels launched so far did. Complete when the device was synchronized.</summary>
    public IReadOnlyCollection<KernelCounters> Counters => [.. _counters.Values];

    /// <summary>What was still allocated when the context was last destroyed: each entry says what, how large and where.</summary>
    public IReadOnlyList<string> Leaks { get; private set; } = [];

    /// <summary>What is allocated now.</summary>
    public IReadOnlyList<DeviceAllocation> Allocations
    {
        get
        {
            lock (_lock)
                return _primary?.Memory.Live ?? [];
        }
    }

    // Devices ---------------------------------------------------------------------------------------------------------

    public override string Name => "emulated";

    public override int Version => 12040;

    public override int DeviceCount => 1;

    public override string GetDeviceName(int device) => Model(device).Name;

    public override long GetTotalMemory(int device) => Model(device) is not null ? Options.MemoryBytes : 0;

    public override int GetAttribute(DeviceAttribute attribute, int device) => Model(device)[attribute];

    public override KernelTarget GetTarget(int device) => new($"compute_{Model(device).ComputeCapability}");

    // Context ---------------------------------------------------------------------------------------------------------

    public override CuContext RetainPrimaryContext(int device)
    {
        Model(device);
        lock (_lock)
        {
            if (_primary is null)
                (_primary, _primaryHandle) = (new EmulatedContext(_device, Options), _primaryHandle + 1);
            _primary.Retained++;
            return new CuContext(_primaryHandle);
        }
    }

    public override void ReleasePrimaryContext(int device)
    {
        Model(device);
        EmulatedContext context;
        lock (_lock)
        {
            context = _primary ?? throw new CudaException("cuDevicePrimaryCtxRelease", CudaResult.InvalidContext, "it was not retained");
            if (--context.Retained > 0)
                return;
            _primary = null;
        }
        context.Queue.Dispose();
        Leaks = [.. context.Memory.Live.Where(allocation => allocation.Kind == AllocationKind.Buffer).SelectMany(DescribeLeak)];
        context.Dispose();
    }

    public override void SetCurrent(CuContext context)
    {
        lock (_lock)
        {
            if (context != default && (_primary is null || context.Handle != _primaryHandle))
                throw new CudaException("cuCtxSetCurrent", CudaResult.InvalidContext, "the context does not exist, or not any more");
            _current.Value = context == default ? null : _primary;
        }
    }

    public override void SynchronizeContext()
    {
        const string Call = "cuCtxSynchronize";
        var context = Waiting(Call);
        context.Queue.WaitForAll();
        context.Queue.Check(Call);
    }

    // Modules ---------------------------------------------------------------------------------------------------------

    public override CuModule LoadModule(ReadOnlySpan<byte> image, string name)
    {
        var context = Waiting("cuModuleLoadDataEx");
        return new CuModule(context.Add(new EmulatedModule(context.Memory, image, name, _device.ComputeCapability)));
    }

    public override void UnloadModule(CuModule module)
    {
        const string Call = "cuModuleUnload";
        var context = Waiting(Call);
        var loaded = context.Remove<EmulatedModule>(module.Handle, Call);
        context.Queue.WaitForAll();
        context.RemoveFunctionsOf(module);
        loaded.Free();
    }

    public override CuFunction GetFunction(CuModule module, string name)
    {
        const string Call = "cuModuleGetFunction";
        var context = Current(Call);
        if (!context.Get<EmulatedModule>(module.Handle, Call).Kernels.TryGetValue(name, out var kernel))
            throw new CudaException(Call, CudaResult.NotFound, $"the module has no kernel {name}", name);
        try
        {
            GridExecutor.Prepare(kernel, LaunchOptionsFor(null));
        }
        catch (NotSupportedException e)
        {
            throw new CudaException(Call, CudaResult.NotSupported, e.Message, name);
        }
        return new CuFunction(context.Add(new EmulatedFunction(module, kernel, _device)));
    }

    public override (DevicePointer Address, long Bytes) GetGlobal(CuModule module, string name)
    {
        const string Call = "cuModuleGetGlobal";
        var variable = Current(Call).Get<EmulatedModule>(module.Handle, Call).FindVariable(name)
            ?? throw new CudaException(Call, CudaResult.NotFound, $"the module has no variable {name}");
        return (new DevicePointer(variable.Address), variable.Bytes);
    }

    public override int GetFunctionAttribute(CuFunction function, FunctionAttribute attribute) =>
        Function(function, "cuFuncGetAttribute").Get(attribute);

    public override void SetFunctionAttribute(CuFunction function, FunctionAttribute attribute, int value) =>
        Function(function, "cuFuncSetAttribute").Set(attribute, value);

    public override int GetMaxActiveBlocks(CuFunction function, int threadsPerBlock, int sharedBytes) =>
        Function(function, "cuOccupancyMaxActiveBlocksPerMultiprocessor").ActiveBlocks(threadsPerBlock, sharedBytes);

    /// <remarks>Makes a few objects: the emulator's cost of a launch is far above that of garbage.</remarks>
    public override void Launch(CuFunction function, Dim3 grid, Dim3 block, int sharedBytes, CuStream stream, params ReadOnlySpan<KernelArg> args)
    {
        const string Call = "cuLaunchKernel";
        var context = Current(Call);
        var kernel = context.Get<EmulatedFunction>(function.Handle, Call);
        kernel.CheckDimensions(grid, block, sharedBytes);
        byte[] parameters = kernel.Pack(args, grid, block, sharedBytes);
        var counters = Options.Mode == ExecutionMode.Counted ? _counters.GetOrAdd(kernel.Kernel, static kernel => new KernelCounters(kernel)) : null;
        Give(context, new KernelWork(new KernelLaunch(kernel.Linked, grid, block, sharedBytes, parameters, context.Memory, LaunchOptionsFor(counters))), stream, Call);
    }

    /// <summary>Destroys the context if its user has not.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _primary?.Dispose();
            _primary = null;
        }
    }

    private LaunchOptions LaunchOptionsFor(KernelCounters? counters) => new()
    {
        Mode = Options.Mode,
        ScheduleSeed = Options.ScheduleSeed,
        ApproximationSeed = Options.ApproximationSeed,
        InstructionBudget = Options.InstructionBudget,
        Workers = Options.Workers,
        TensorCores = _device.ComputeCapability >= 90 ? TensorCoreGeneration.Hopper : TensorCoreGeneration.Ampere,
        Output = Options.Output is { } output ? output.Write : null,
        Counters = counters,
    };

    private DeviceModel Model(int device) => device == 0 ? _device
        : throw new CudaException("cuDeviceGet", CudaResult.InvalidDevice, $"device {device}: the emulator has device 0");

    private EmulatedFunction Function(CuFunction function, string call) => Current(call).Get<EmulatedFunction>(function.Handle, call);

    /// <summary>The calling thread's context, in which nothing went wrong so far.</summary>
    private EmulatedContext Current(string call)
    {
        if (_current.Value is not { } context || context != _primary)
            throw new CudaException(call, CudaResult.InvalidContext, "no context is current on this thread");
        context.Queue.Check(call);
        return context;
    }

    private static IEnumerable<string> DescribeLeak(DeviceAllocation allocation) => allocation.Blocks is { } blocks
        ? blocks.Where(block => block.Taken).Select(block => $"{block.Owner ?? "a block of the pool"}: {block.Bytes} bytes at 0x{block.Start:x}")
        : [$"{allocation.Name}: {allocation.Bytes} bytes at 0x{allocation.Address:x}"];
}
