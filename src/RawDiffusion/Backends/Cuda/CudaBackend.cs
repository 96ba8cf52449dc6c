using System.Buffers;
using System.Runtime.InteropServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

/// <summary>
/// A GPU in float32, or whatever else stands behind a <see cref="CudaDriver"/>: each method queues the kernels of the file of
/// <c>kernels/</c> that has its family's name. Nothing waits for the device but downloads and <see cref="Synchronize"/>.
/// </summary>
/// <remarks>
/// Operations read nothing on the host and allocate from the pool only, so a step that has run once can be captured into a graph
/// (<see cref="Record"/>). Scratch memory is taken before the pointers of the arguments are: taking memory collects what garbage has
/// left behind. For the same reason the caller keeps the storages alive until the method returns, where other threads use the device.
/// </remarks>
public sealed partial class CudaBackend : Backend, IDisposable
{
    /// <summary>Threads of a block where each thread has an element of its own and nothing is shared.</summary>
    private const int BlockSize = 256;

    private readonly KernelLibrary _kernels;
    private readonly PinnedStaging _staging;
    private readonly Lock _stagingLock = new();

    /// <exception cref="CudaException">No such device, or it cannot be used.</exception>
    public CudaBackend(CudaDriver driver, int device = 0) : this(driver, device, new KernelCompiler(), null)
    {
    }

    /// <summary>With other kernels than those of <c>kernels/</c>: damaged ones, which tests must notice.</summary>
    internal CudaBackend(CudaDriver driver, int device, KernelCompiler compiler, Func<string, KernelSource>? sources)
    {
        Context = new CudaContext(driver, device);
        Name = device == 0 ? driver.Name : $"{driver.Name}:{device}";
        Precisions = Capability >= 80 ? [Precision.Float32, Precision.Tf32, Precision.BFloat16] : [Precision.Float32, Precision.BFloat16];
        _kernels = new KernelLibrary(Context, compiler, sources);
        _staging = new PinnedStaging(Context);
    }

    public override string Name { get; }

    public override DType FloatType => DType.Float32;

    /// <summary>The device with its stream and its memory: for graphs, events and questions about the product.</summary>
    public CudaContext Context { get; }

    /// <summary>Whether a fault has ended the device: nothing that it answers from then on means anything.</summary>
    public bool IsLost => Context.IsLost;

    public override Storage Allocate(DType dtype, int length)
    {
        if (dtype == DType.Float64)
            throw new ArgumentException($"The {Name} device computes in float32; use the reference device for float64.");
        string owner = dtype switch { DType.Int32 => "int32 tensor", DType.BFloat16 => "bfloat16 tensor", _ => "float32 tensor" };
        return new CudaStorage(this, Context.Allocate((long)length * dtype.Size(), owner), dtype, length);
    }

    public override void Release(Storage storage)
    {
        storage.Generation++;
        ((CudaStorage)storage).Release();
    }

    public override MemoryStatistics Statistics
    {
        get
        {
            var memory = Context.Memory;
            return new MemoryStatistics(memory.HeldBytes, memory.FreeBytes, memory.Allocations);
        }
    }

    public override void Upload(ReadOnlySpan<float> source, Storage destination)
    {
        if (destination.DType == DType.BFloat16)
            UploadElements<ushort>(Array.ConvertAll(source.ToArray(), BFloat16.Round), destination);
        else
            UploadElements(source, destination);
    }

    public override void Upload(ReadOnlySpan<double> source, Storage destination)
    {
        float[] rented = ArrayPool<float>.Shared.Rent(Math.Max(1, source.Length));
        var rounded = rented.AsSpan(0, source.Length);
        for (int i = 0; i < rounded.Length; i++)
            rounded[i] = (float)source[i];
        Upload(rounded, destination);
        ArrayPool<float>.Shared.Return(rented);
    }

    public override void Upload(ReadOnlySpan<int> source, Storage destination) => UploadElements(source, destination);

    public override void Download(Storage source, Span<float> destination)
    {
        if (source.DType != DType.BFloat16)
        {
            ((CudaStorage)source).CopyTo(destination[..source.Length]);
            return;
        }
        var bits = new ushort[source.Length];
        ((CudaStorage)source).CopyTo<ushort>(bits);
        for (int i = 0; i < bits.Length; i++)
            destination[i] = BFloat16.Value(bits[i]);
    }

    public override void Download(Storage source, Span<double> destination)
    {
        float[] rented = ArrayPool<float>.Shared.Rent(Math.Max(1, source.Length));
        var values = rented.AsSpan(0, source.Length);
        Download(source, values);
        for (int i = 0; i < values.Length; i++)
            destination[i] = values[i];
        ArrayPool<float>.Shared.Return(rented);
    }

    public override void Download(Storage source, Span<int> destination) => ((CudaStorage)source).CopyTo(destination[..source.Length]);

    public override void Copy(Storage x, Storage y)
    {
        Context.Bind();
        Context.Driver.CopyDeviceAsync(P(y), P(x), ((CudaStorage)x).Bytes, Context.Stream.Handle);
    }

    public override void Fill(Storage y, double value)
    {
        if (y.DType == DType.BFloat16)
        {
            Context.Bind();
            Context.Driver.Fill16Async(P(y), BFloat16.Round((float)value), y.Length, Context.Stream.Handle);
            return;
        }
        FillBits(y, y.DType == DType.Int32 ? (uint)(int)value : BitConverter.SingleToUInt32Bits((float)value));
    }

    public override void Synchronize() => Context.Synchronize();

    /// <summary>Waits for the device and gives its memory back; storages of this backend are useless afterwards.</summary>
    public void Dispose()
    {
        _staging.Dispose();
        _kernels.Dispose();
        Context.Dispose();
    }

    /// <summary>The first element of a storage, for a kernel.</summary>
    private static DevicePointer P(Storage storage) => ((CudaStorage)storage).Pointer;

    /// <summary>Null for a kernel where there is no storage.</summary>
    private static DevicePointer PointerOrNull(Storage? storage) => storage is null ? DevicePointer.Null : P(storage);

    private static int CeilDiv(int x, int y) => (int)(((long)x + y - 1) / y);

    /// <summary>Device memory for the kernels of one operation; dispose of it when the last of them is queued.</summary>
    private DeviceBuffer Scratch(long elements) => Context.Allocate(elements * sizeof(float), "scratch");

    /// <summary>Queues a kernel with one thread for each of <paramref name="count"/> elements; nothing where there are none.</summary>
    private static void LaunchElements(CudaKernel kernel, int count, params ReadOnlySpan<KernelArg> args)
    {
        if (count > 0)
            kernel.Launch(CeilDiv(count, BlockSize), BlockSize, 0, args);
    }

    /// <summary>The same for a kernel whose first parameter is a structure.</summary>
    private static void LaunchElementsWith<T>(CudaKernel kernel, in T first, int count, params ReadOnlySpan<KernelArg> rest) where T : unmanaged
    {
        if (count > 0)
            kernel.LaunchWith(first, CeilDiv(count, BlockSize), BlockSize, 0, rest);
    }

    private void FillBits(Storage y, uint bits)
    {
        Context.Bind();
        Context.Driver.Fill32Async(P(y), bits, y.Length, Context.Stream.Handle);
    }

    private void UploadElements<T>(ReadOnlySpan<T> source, Storage destination) where T : unmanaged
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(source.Length, destination.Length, nameof(source));
        lock (_stagingLock)
            _staging.Upload(source, P(destination));
    }
}
