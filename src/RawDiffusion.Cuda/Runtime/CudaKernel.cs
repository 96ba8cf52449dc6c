namespace RawDiffusion.Cuda;

/// <summary>A kernel that can be launched.</summary>
public sealed class CudaKernel
{
    private const int WithoutAsking = 48 * 1024;

    private readonly CudaContext _context;
    private readonly int _staticShared;
    private int _dynamicShared;

    internal CudaKernel(CudaContext context, CuFunction function, string name)
    {
        _context = context;
        Function = function;
        Name = name;
        Registers = Attribute(FunctionAttribute.Registers);
        LocalBytes = Attribute(FunctionAttribute.LocalSizeBytes);
        MaxThreadsPerBlock = Attribute(FunctionAttribute.MaxThreadsPerBlock);
        _staticShared = Attribute(FunctionAttribute.SharedSizeBytes);
        _dynamicShared = WithoutAsking - _staticShared;
    }

    public CuFunction Function { get; }

    public string Name { get; }

    /// <summary>Registers per thread.</summary>
    public int Registers { get; }

    /// <summary>Bytes of local memory per thread: spills and indexed arrays.</summary>
    public int LocalBytes { get; }

    public int MaxThreadsPerBlock { get; }

    /// <summary>Queues the kernel on the main stream. Neither boxes nor allocates.</summary>
    /// <param name="sharedBytes">Dynamic shared memory per block; more than 48 KiB is asked for here where the device has it.</param>
    /// <param name="args">The kernel's parameters in order, with their exact types: an <c>int</c> for an <c>int</c>, <c>1f</c> for a <c>float</c>.</param>
    /// <exception cref="CudaException">The launch was refused; the message names the kernel and the dimensions.</exception>
    public void Launch(Dim3 grid, Dim3 block, int sharedBytes, params ReadOnlySpan<KernelArg> args) =>
        Launch(_context.Stream, grid, block, sharedBytes, args);

    /// <summary>Queues the kernel on a stream.</summary>
    public void Launch(CudaStream stream, Dim3 grid, Dim3 block, int sharedBytes, params ReadOnlySpan<KernelArg> args)
    {
        _context.Bind();
        if (sharedBytes > _dynamicShared)
            RaiseShared(grid, block, sharedBytes);
        _context.Driver.Launch(Function, grid, block, sharedBytes, stream.Handle, args);
    }

    /// <summary>Queues a kernel whose first parameter is a structure passed by value: a geometry, say, declared alike in C# and CUDA C++.</summary>
    public unsafe void LaunchWith<T>(in T first, Dim3 grid, Dim3 block, int sharedBytes, params ReadOnlySpan<KernelArg> rest) where T : unmanaged
    {
        Span<KernelArg> args = stackalloc KernelArg[rest.Length + 1];
        rest.CopyTo(args[1..]);
        fixed (T* value = &first)
        {
            args[0] = KernelArg.Struct(value);
            Launch(_context.Stream, grid, block, sharedBytes, args);
        }
    }

    /// <summary>How many blocks of this size run on one multiprocessor at a time.</summary>
    public int MaxActiveBlocks(int threadsPerBlock, int sharedBytes)
    {
        _context.Bind();
        return _context.Driver.GetMaxActiveBlocks(Function, threadsPerBlock, sharedBytes);
    }

    private int Attribute(FunctionAttribute attribute) => _context.Driver.GetFunctionAttribute(Function, attribute);

    private void RaiseShared(Dim3 grid, Dim3 block, int sharedBytes)
    {
        if (sharedBytes > _context.MaxSharedBytes - _staticShared)
        {
            throw new CudaException("cuLaunchKernel", CudaResult.InvalidValue,
                $"{_context.Name} has at most {_context.MaxSharedBytes} bytes of shared memory for a block, and the kernel declares {_staticShared} itself",
                Name, new LaunchDimensions(grid, block, sharedBytes));
        }
        _context.Driver.SetFunctionAttribute(Function, FunctionAttribute.MaxDynamicSharedSizeBytes, sharedBytes);
        _dynamicShared = sharedBytes;
    }
}
