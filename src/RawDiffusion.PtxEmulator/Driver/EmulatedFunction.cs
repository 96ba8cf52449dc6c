using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Decoding;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>A kernel of a module, and what a launch of it must observe.</summary>
internal sealed class EmulatedFunction(CuModule module, LinkedKernel linked, DeviceModel device)
{
    private int _maxDynamicShared = DeviceModel.SharedPerBlock - linked.Kernel.StaticSharedBytes;
    private int _carveout = -1;

    public CuModule Module => module;

    public LinkedKernel Linked => linked;

    public DecodedKernel Kernel => linked.Kernel;

    public string Name => Kernel.Name;

    public int Registers { get; } = RegisterEstimate.Of(linked.Kernel);

    /// <summary>
    /// The registers are an estimate, so they limit no launch; .maxntid does.
    /// </summary>
    private int MaxThreads => (int)Math.Min(DeviceModel.MaxThreadsPerBlock, Kernel.MaxBlock?.Count ?? DeviceModel.MaxThreadsPerBlock);

    public int Get(FunctionAttribute attribute) => attribute switch
    {
        FunctionAttribute.MaxThreadsPerBlock => MaxThreads,
        FunctionAttribute.SharedSizeBytes => Kernel.StaticSharedBytes,
        FunctionAttribute.ConstSizeBytes => 0,
        FunctionAttribute.LocalSizeBytes => Kernel.LocalBytes,
        FunctionAttribute.Registers => Registers,
        FunctionAttribute.PtxVersion or FunctionAttribute.BinaryVersion => device.ComputeCapability,
        FunctionAttribute.MaxDynamicSharedSizeBytes => _maxDynamicShared,
        FunctionAttribute.PreferredSharedMemoryCarveout => _carveout,
        _ => throw new CudaException("cuFuncGetAttribute", CudaResult.InvalidValue, $"attribute {attribute}", Name),
    };

    public void Set(FunctionAttribute attribute, int value)
    {
        switch (attribute)
        {
            case FunctionAttribute.MaxDynamicSharedSizeBytes when value >= 0 && value <= device.SharedPerBlockOptin - Kernel.StaticSharedBytes:
                _maxDynamicShared = value;
                break;
            case FunctionAttribute.PreferredSharedMemoryCarveout when value is >= -1 and <= 100:
                _carveout = value;
                break;
            case FunctionAttribute.MaxDynamicSharedSizeBytes:
                throw new CudaException("cuFuncSetAttribute", CudaResult.InvalidValue,
                    $"{value} bytes of dynamic shared memory: the device has {device.SharedPerBlockOptin} for a block, and the kernel declares {Kernel.StaticSharedBytes} itself", Name);
            default:
                throw new CudaException("cuFuncSetAttribute", CudaResult.InvalidValue, $"{attribute} = {value}", Name);
        }
    }

    /// <exception cref="CudaException">The dimensions are not what the device and the kernel allow.</exception>
    public void CheckDimensions(Dim3 grid, Dim3 block, int shared)
    {
        string? problem = null;
        var result = CudaResult.InvalidValue;
        if (!Fits(grid, DeviceModel.MaxGrid))
            problem = $"a grid has 1 to {DeviceModel.MaxGrid} blocks";
        else if (!Fits(block, DeviceModel.MaxBlock) || block.Count > DeviceModel.MaxThreadsPerBlock)
            problem = $"a block has 1 to {DeviceModel.MaxBlock} threads, {DeviceModel.MaxThreadsPerBlock} at most";
        else if (shared < 0 || shared > _maxDynamicShared)
            problem = $"the kernel may have {_maxDynamicShared} bytes of dynamic shared memory, unless MaxDynamicSharedSizeBytes is set";
        else if (Kernel is { RequiresExactBlock: true, MaxBlock: { } exact } && block != exact)
            problem = $"the kernel requires a block of {exact}";
        else if (Kernel.MaxBlock is { } most && block.Count > most.Count)
            (problem, result) = ($"the kernel was compiled for at most {most.Count} threads in a block", CudaResult.LaunchOutOfResources);
        if (problem is not null)
            throw new CudaException("cuLaunchKernel", result, problem, Name, new LaunchDimensions(grid, block, shared));
    }

    /// <summary>The block of parameters.</summary>
    /// <exception cref="CudaException">Number, sizes or kinds of the arguments are not those of the parameters.</exception>
    public byte[] Pack(ReadOnlySpan<KernelArg> args, Dim3 grid, Dim3 block, int shared)
    {
        var parameters = Kernel.Parameters;
        string? problem = args.Length == parameters.Length ? null : $"{args.Length} arguments for {parameters.Length} parameters";
        byte[] packed = new byte[Kernel.ParameterBytes];
        for (int i = 0; i < args.Length && problem is null; i++)
        {
            var parameter = parameters[i];
            problem = args[i].Size != parameter.Bytes ? $"argument {i} has {args[i].Size} bytes, the parameter {parameter.Bytes}"
                : !IsOfKind(args[i], parameter) ? $"argument {i} is {Describe(args[i].Kind)}, the parameter is .{parameter.Type.ToString().ToLowerInvariant()}"
                : null;
            if (problem is null)
                args[i].Bytes.CopyTo(packed.AsSpan(parameter.Offset));
        }
        return problem is null ? packed
            : throw new CudaException("cuLaunchKernel", CudaResult.InvalidValue, problem, Name, new LaunchDimensions(grid, block, shared));
    }

    public int ActiveBlocks(int threads, int dynamicShared) =>
        dynamicShared < 0 || threads > MaxThreads ? 0 : device.ActiveBlocks(threads, Registers, Kernel.StaticSharedBytes + dynamicShared);

    private static bool Fits(Dim3 size, Dim3 most) =>
        size.X >= 1 && size.Y >= 1 && size.Z >= 1 && size.X <= most.X && size.Y <= most.Y && size.Z <= most.Z;

    /// <summary>
    /// An integer is not a float. A structure and what is declared as untyped bytes fit everything of their size, and so do 16 bits, since
    /// C++ has several classes for them.
    /// </summary>
    private static bool IsOfKind(KernelArg arg, KernelParameter parameter)
    {
        int element = parameter.Type.Bytes();
        if (arg.Kind == KernelArgKind.Struct || parameter.Bytes != element || element == 2)
            return true;
        return parameter.Type switch
        {
            PtxType.F32 or PtxType.F64 => arg.Kind == KernelArgKind.Float,
            PtxType.B8 or PtxType.B32 or PtxType.B64 => true,
            _ => arg.Kind != KernelArgKind.Float,
        };
    }

    private static string Describe(KernelArgKind kind) => kind switch
    {
        KernelArgKind.Integer => "an integer",
        KernelArgKind.Float => "a floating-point number",
        KernelArgKind.Pointer => "a pointer",
        _ => "a structure",
    };
}
