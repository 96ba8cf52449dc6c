using System.Runtime.InteropServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>
/// What <see cref="CudaDriver"/> promises, asked of a driver that executes kernels. Each driver has a class that derives from this one;
/// both must pass the same tests, or what stands above them could tell them apart.
/// </summary>
public abstract class CudaDriverContract : IDisposable
{
    private const string Kernels = """
        struct Pair { int a; float b; long long c; };
        __constant__ int table[4];
        __device__ int counter = 7;

        extern "C" __global__ void fill(int* x, int value, int n)
        {
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i < n)
                x[i] = value + i;
        }

        extern "C" __global__ void add(int* x, int value, int n)
        {
            int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i < n)
                x[i] += value;
        }

        extern "C" __global__ void kinds(double* y, Pair pair, unsigned char byte, short s, float f, double d, long long l, bool yes)
        {
            double values[] = { (double)pair.a, pair.b, (double)pair.c, (double)byte, (double)s, f, d, (double)l, yes ? 1.0 : 0.0 };
            for (int i = 0; i < 9; i++)
                y[i] = values[i];
        }

        extern "C" __global__ void globals(int* y)
        {
            y[threadIdx.x] = table[threadIdx.x] * counter;
        }

        extern "C" __global__ void shared_reverse(int* x, int n)
        {
            extern __shared__ int buffer[];
            for (int i = threadIdx.x; i < n; i += blockDim.x)
                buffer[i] = x[i];
            __syncthreads();
            for (int i = threadIdx.x; i < n; i += blockDim.x)
                x[i] = buffer[n - 1 - i];
        }

        extern "C" __global__ void where(int* y)
        {
            int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
            int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
            y[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
        }
        """;

    private static readonly KernelCompiler s_compiler = new(cacheFolder: null);

    private CudaContext? _context;
    private CudaModule? _module;

    /// <summary>The driver; skips the test where there is none.</summary>
    protected abstract CudaDriver Open();

    private CudaContext Context => _context!;

    private CudaDriver Driver => Context.Driver;

    private CuStream Stream => Context.Stream.Handle;

    public void Dispose()
    {
        _module?.Dispose();
        _context?.Dispose();
        GC.SuppressFinalize(this);
    }

    [SkippableFact]
    public void ADeviceSaysWhatItIs()
    {
        Prepare();
        Assert.True(Driver.DeviceCount >= 1 && Driver.Version >= 11080);
        Assert.NotEmpty(Driver.GetDeviceName(0));
        Assert.True(Driver.GetTotalMemory(0) > 0);
        Assert.Equal(32, Driver.GetAttribute(DeviceAttribute.WarpSize, 0));
        Assert.Equal(1024, Driver.GetAttribute(DeviceAttribute.MaxThreadsPerBlock, 0));
        Assert.True(Context.MaxSharedBytes >= Driver.GetAttribute(DeviceAttribute.MaxSharedMemoryPerBlock, 0));
        var (free, total) = Driver.GetMemoryInfo();
        Assert.InRange(free, 1, total);
        AssertFails(CudaResult.InvalidDevice, () => Driver.GetDeviceName(Driver.DeviceCount));
    }

    [SkippableFact]
    public void WithoutAContextThereIsNothingToWorkOn()
    {
        Prepare();
        CudaException? error = null;
        var thread = new Thread(() => error = Assert.Throws<CudaException>(() => Driver.Allocate(16)));
        thread.Start();
        thread.Join();
        Assert.Equal(CudaResult.InvalidContext, error!.Result);
    }

    [SkippableFact]
    public void ArgumentsOfEveryKindArrive()
    {
        Prepare();
        using var y = Context.Allocate(9 * 8);
        var pair = new Pair(-1, 2.5f, 1L << 40);
        unsafe
        {
            Driver.Launch(Kernel("kinds").Function, 1, 1, 0, Stream,
                y.Pointer, KernelArg.Struct(&pair), (byte)200, (short)-3, 0.5f, 1e-300, -(1L << 41), true);
        }
        double[] values = new double[9];
        y.CopyTo<double>(values);
        Assert.Equal([-1, 2.5, 1L << 40, 200, -3, 0.5, 1e-300, -(1L << 41), 1], values);
    }

    [SkippableFact]
    public void EveryThreadOfEveryBlockRunsOnce()
    {
        Prepare();
        using var y = Context.Allocate(4 * 24 * 30);
        Kernel("where").Launch((2, 3, 4), (5, 2, 3), 0, y.Pointer);
        Assert.Equal(Enumerable.Range(0, 24 * 30).Select(i => i / 30 * 1000 + i % 30), Read(y, 24 * 30));
    }

    [SkippableFact]
    public void GlobalsAreInitialisedAndCanBeWritten()
    {
        Prepare();
        var (table, bytes) = _module!.GetGlobal("table");
        Assert.Equal(16, bytes);
        Driver.CopyToDevice(table, MemoryMarshal.AsBytes<int>([1, 2, 3, 4]), Stream);
        using var y = Context.Allocate(16);
        Kernel("globals").Launch(1, 4, 0, y.Pointer);
        Assert.Equal([7, 14, 21, 28], Read(y, 4));
        AssertFails(CudaResult.NotFound, () => _module.GetGlobal("no_such_global"), "no_such_global");
    }

    [SkippableFact]
    public void WhatIsNoModuleOrKernelIsRefused()
    {
        Prepare();
        AssertFails(CudaResult.NotFound, () => Kernel("no_such_kernel"), "no_such_kernel");
        var error = Assert.Throws<CudaException>(() => Driver.LoadModule(".version 8.0\n.target sm_52\n.address_size 64\nthis is no PTX\n"u8, "wrong.cu"));
        Assert.Contains(error.Result, new[] { CudaResult.InvalidPtx, CudaResult.InvalidImage });
        Assert.Contains("wrong.cu", error.Message);
        Assert.False(Context.IsLost);
    }

    [SkippableFact]
    public void MemoryIsCopiedAndFilledInTheOrderOfTheStream()
    {
        Prepare();
        using var a = Context.Allocate(40);
        using var b = Context.Allocate(40);
        a.CopyFrom<int>([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        b.Clear();
        Driver.CopyDeviceAsync(b.Pointer + 4, a.Pointer, 12, Stream);
        Driver.Fill32Async(b.Pointer + 20, 0xffffffff, 2, Stream);
        Driver.Fill8Async(b.Pointer + 32, 1, 3, Stream);
        Driver.Fill16Async(b.Pointer + 36, 2, 1, Stream);
        Driver.CopyDeviceAsync(b.Pointer, a.Pointer, 0, Stream);
        Assert.Equal([0, 1, 2, 3, 0, -1, -1, 0, 0x10101, 2], Read(b, 10));
        Assert.Equal(0ul, a.Pointer.Address % 256);
    }

    [SkippableFact]
    public void PinnedMemoryIsCopiedWithoutWaiting()
    {
        Prepare();
        using var host = new PinnedBuffer(Context, 4096);
        using var device = Context.Allocate(4096);
        for (int i = 0; i < 1024; i++)
            host.As<int>()[i] = i;
        host.CopyToAsync(device.Pointer, 4096);
        Kernel("add").Launch(4, 256, 0, device.Pointer, 5, 1024);
        Context.Stream.Synchronize();
        host.As<int>().Clear();
        host.CopyFromAsync(device.Pointer, 4096);
        Context.Stream.Synchronize();
        Assert.Equal(Enumerable.Range(5, 1024), host.As<int>().ToArray());
        Assert.Equal(0, host.Pointer % 256);

        using var staging = new PinnedStaging(Context, pieces: 2, pieceBytes: 1000);
        staging.Upload<int>([.. Enumerable.Range(7, 1024)], device.Pointer);
        Assert.Equal(Enumerable.Range(7, 1024), Read(device, 1024));
    }

    [SkippableFact]
    public void StreamsWaitForEventsOfOthers()
    {
        Prepare();
        using var other = Context.CreateStream();
        using var done = Context.CreateEvent(timing: false);
        using var x = Context.Allocate(4 << 16);
        using var copy = Context.Allocate(4 << 16);
        for (int round = 0; round < 10; round++)
        {
            Kernel("fill").Launch(256, 256, 0, x.Pointer, round, 1 << 16);
            done.Record();
            other.WaitFor(done);
            Driver.CopyDeviceAsync(copy.Pointer, x.Pointer, 4 << 16, other.Handle);
            done.Record(other);
            Context.Stream.WaitFor(done);
            Driver.Fill8Async(x.Pointer, 0, 4 << 16, Stream);
            Assert.Equal(Enumerable.Range(round, 1 << 16), Read(copy, 1 << 16));
        }
        Assert.True(Context.Stream.IsDone);
    }

    [SkippableFact]
    public void EventsMeasureTime()
    {
        Prepare();
        using var start = Context.CreateEvent();
        using var end = Context.CreateEvent();
        using var x = Context.Allocate(4 << 16);
        // Never recorded: done, but without a time.
        Assert.True(start.IsDone);
        AssertFails(CudaResult.InvalidHandle, () => Driver.ElapsedMilliseconds(start.Handle, end.Handle));
        start.Record();
        Kernel("fill").Launch(256, 256, 0, x.Pointer, 0, 1 << 16);
        end.Record();
        Assert.True(end.MillisecondsSince(start) > 0);
        Assert.True(end.IsDone);
    }

    [SkippableFact]
    public void AWrongLaunchIsRefusedAndHarmsNothing()
    {
        Prepare();
        using var x = Context.Allocate(400);
        var fill = Kernel("fill");
        AssertFails(CudaResult.InvalidValue, () => fill.Launch(1, 1025, 0, x.Pointer, 0, 100), "fill", "(1025,1,1)");
        AssertFails(CudaResult.InvalidValue, () => fill.Launch(0, 32, 0, x.Pointer, 0, 100), "(0,1,1)");
        AssertFails(CudaResult.InvalidValue, () => fill.Launch((1, 65536), 32, 0, x.Pointer, 0, 100), "(1,65536,1)");
        AssertFails(CudaResult.InvalidHandle, () => Driver.Launch(fill.Function, 1, 32, 0, default, x.Pointer, 0, 100));
        fill.Launch(4, 32, 0, x.Pointer, 3, 100);
        Assert.Equal(Enumerable.Range(3, 100), Read(x, 100));
        Assert.False(Context.IsLost);
    }

    [SkippableFact]
    public void SharedMemoryBeyond48KiBMustBeAskedFor()
    {
        Prepare();
        int bytes = Math.Min(Context.MaxSharedBytes, 64 * 1024);
        Skip.If(bytes <= 48 * 1024, "the device has no more than 48 KiB");
        using var x = Context.Allocate(bytes);
        Kernel("fill").Launch(bytes / 4 / 256, 256, 0, x.Pointer, 0, bytes / 4);
        var reverse = Kernel("shared_reverse");
        AssertFails(CudaResult.InvalidValue, () => Driver.Launch(reverse.Function, 1, 128, bytes, Stream, x.Pointer, bytes / 4), "shared_reverse");
        reverse.Launch(1, 128, bytes, x.Pointer, bytes / 4);
        Assert.Equal(Enumerable.Range(0, bytes / 4).Reverse(), Read(x, bytes / 4));
        Assert.True(Driver.GetFunctionAttribute(reverse.Function, FunctionAttribute.MaxDynamicSharedSizeBytes) >= bytes);
        AssertFails(CudaResult.InvalidValue, () => Driver.SetFunctionAttribute(reverse.Function, FunctionAttribute.MaxDynamicSharedSizeBytes, 1 << 30));
    }

    [SkippableFact]
    public void AKernelSaysWhatItNeeds()
    {
        Prepare();
        var fill = Kernel("fill");
        Assert.Equal(1024, fill.MaxThreadsPerBlock);
        Assert.True(fill.Registers > 0);
        Assert.Equal(0, fill.LocalBytes);
        Assert.InRange(fill.MaxActiveBlocks(256, 0), 1, 32);
        Assert.Equal(0, fill.MaxActiveBlocks(256, Context.MaxSharedBytes + 1024));
    }

    [SkippableFact]
    public void TooMuchMemoryIsAnErrorThatHarmsNothing()
    {
        Prepare();
        AssertFails(CudaResult.OutOfMemory, () => Driver.Allocate(1L << 46));
        Assert.Throws<DeviceOutOfMemoryException>(() => Context.Allocate(1L << 46));
        var pointer = Driver.Allocate(1);
        Driver.Free(pointer);
        Driver.Free(DevicePointer.Null);
        AssertFails(CudaResult.InvalidValue, () => Driver.Free(new DevicePointer(0x10)));
    }

    [SkippableFact]
    public void AGraphRunsWhatWasRecordedOnWhatMemoryHoldsThen()
    {
        Prepare();
        using var x = Context.Allocate(400);
        Action<int> step = value =>
        {
            using var scratch = Context.Allocate(400, "scratch");
            scratch.CopyFrom(x, 400);
            Kernel("add").Launch(1, 128, 0, scratch.Pointer, value, 100);
            x.CopyFrom(scratch, 400);
        };
        x.Clear();
        step(0);
        using var graph = CudaGraph.Capture(Context, () => step(1));
        Assert.Equal(3, graph.NodeCount);
        Assert.Equal(new int[100], Read(x, 100));
        for (int i = 0; i < 5; i++)
            graph.Launch();
        Assert.Equal(Enumerable.Repeat(5, 100), Read(x, 100));
        Driver.Fill32Async(x.Pointer, 100, 100, Stream);
        graph.Launch();
        Assert.Equal(Enumerable.Repeat(101, 100), Read(x, 100));

        Assert.True(graph.Update(() => step(10)));
        graph.Launch();
        Assert.Equal(Enumerable.Repeat(111, 100), Read(x, 100));
        Assert.False(graph.Update(x.Clear));
        graph.Launch();
        Assert.Equal(new int[100], Read(x, 100));
    }

    [SkippableFact]
    public void StreamsThatJoinACaptureArePartOfTheGraph()
    {
        Prepare();
        using var other = Context.CreateStream();
        using var fork = Context.CreateEvent(timing: false);
        using var join = Context.CreateEvent(timing: false);
        using var x = Context.Allocate(400);
        using var y = Context.Allocate(400);
        Action body = () =>
        {
            Kernel("fill").Launch(1, 128, 0, x.Pointer, 0, 100);
            fork.Record();
            other.WaitFor(fork);
            Driver.CopyDeviceAsync(y.Pointer, x.Pointer, 400, other.Handle);
            join.Record(other);
            Context.Stream.WaitFor(join);
            Kernel("add").Launch(1, 128, 0, y.Pointer, 1, 100);
        };
        x.Clear();
        y.Clear();
        using (var graph = CudaGraph.Capture(Context, body))
        {
            Assert.Equal(3, graph.NodeCount);
            graph.Launch();
        }
        Assert.Equal(Enumerable.Range(1, 100), Read(y, 100));

        AssertFails(CudaResult.StreamCaptureUnjoined, () => CudaGraph.Capture(Context, () =>
        {
            fork.Record();
            other.WaitFor(fork);
            Driver.Fill8Async(y.Pointer, 0, 4, other.Handle);
        }));
    }

    [SkippableFact]
    public void WhatACaptureCannotHoldInvalidatesIt()
    {
        Prepare();
        using var x = Context.Allocate(16);
        using var recorded = Context.CreateEvent(timing: false);
        using var unrelated = Context.CreateEvent(timing: false);
        using var host = new PinnedBuffer(Context, 16);
        using var other = Context.CreateStream();
        unrelated.Record();
        (CudaResult Error, Action Call)[] forbidden =
        [
            (CudaResult.StreamCaptureUnsupported, () => Driver.SynchronizeStream(Stream)),
            (CudaResult.StreamCaptureUnsupported, () => Driver.QueryStream(Stream)),
            (CudaResult.StreamCaptureUnsupported, () => Driver.SynchronizeContext()),
            (CudaResult.StreamCaptureUnsupported, () => Driver.Allocate(16)),
            (CudaResult.StreamCaptureUnsupported, () => Driver.QueryEvent(unrelated.Handle)),
            (CudaResult.StreamCaptureUnsupported, () => Driver.SynchronizeEvent(unrelated.Handle)),
            (CudaResult.StreamCaptureUnsupported, () => Driver.CopyToHost(new byte[16], x.Pointer, Stream)),
            (CudaResult.CapturedEvent, () =>
            {
                recorded.Record();
                recorded.Synchronize();
            }),
        ];
        foreach (var (result, call) in forbidden)
        {
            Driver.BeginCapture(Stream);
            Assert.True(Driver.IsCapturing(Stream));
            AssertFails(result, call);
            AssertFails(CudaResult.StreamCaptureInvalidated, () => Driver.EndCapture(Stream));
            Assert.False(Driver.IsCapturing(Stream));
            Driver.SynchronizeStream(Stream);
        }

        Driver.BeginCapture(Stream);
        AssertFails(CudaResult.IllegalState, () => Driver.BeginCapture(Stream));
        // Another stream is free, and questions may be asked.
        Driver.Fill8Async(x.Pointer, 0, 16, other.Handle);
        Assert.Equal("add", Kernel("add").Name);
        Assert.True(Driver.GetMemoryInfo().Total > 0);
        Assert.False(Context.IsLost);
        Driver.DestroyGraph(Driver.EndCapture(Stream));
        AssertFails(CudaResult.IllegalState, () => Driver.EndCapture(Stream));
    }

    private void Prepare()
    {
        TestNvrtc.Require();
        _context = new CudaContext(Open());
        _module = _context.LoadModule(s_compiler.Compile(new KernelSource("contract.cu", Kernels), _context.Target));
    }

    private CudaKernel Kernel(string name) => _module!.GetKernel(name);

    private static int[] Read(DeviceBuffer buffer, int count)
    {
        int[] values = new int[count];
        buffer.CopyTo<int>(values);
        return values;
    }

    private static void AssertFails(CudaResult result, Action call, params ReadOnlySpan<string> words)
    {
        var error = Assert.Throws<CudaException>(call);
        Assert.True(error.Result == result, $"expected {result}: {error.Message}");
        Assert.False(error.Sticky);
        foreach (string word in words)
            Assert.Contains(word, error.Message);
    }

    private readonly record struct Pair(int A, float B, long C);
}

/// <summary>The contract, asked of a real GPU where there is one.</summary>
public sealed class NativeDriverContractTests : CudaDriverContract
{
    protected override CudaDriver Open()
    {
        var driver = NativeCudaDriver.TryCreate(out string? problem);
        Skip.If(driver is null, problem);
        return driver;
    }
}
