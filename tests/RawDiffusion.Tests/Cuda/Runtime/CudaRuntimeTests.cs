using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>Context, streams, events, modules, kernels, staging: what they ask of a driver.</summary>
public sealed class CudaRuntimeTests : IDisposable
{
    private readonly FakeDriver _driver = new();
    private readonly CudaContext _context;

    public CudaRuntimeTests() => _context = new CudaContext(_driver);

    public void Dispose() => _context.Dispose();

    [Fact]
    public void TheContextIsBoundOncePerThread()
    {
        _context.Stream.Synchronize();
        _context.Stream.Synchronize();
        Assert.Single(_driver.Calls, "SetCurrent");
        var thread = new Thread(() => _context.Stream.Synchronize());
        thread.Start();
        thread.Join();
        Assert.Equal(2, _driver.Calls.Count(call => call == "SetCurrent"));

        // Another context on this thread, then the first again.
        using var other = new CudaContext(_driver);
        _context.Stream.Synchronize();
        other.Stream.Synchronize();
        Assert.Equal(5, _driver.Calls.Count(call => call == "SetCurrent"));
    }

    [Fact]
    public void LaunchingNeitherBoxesNorAllocates()
    {
        var kernel = Kernel("scale_f32");
        using var buffer = _context.Allocate(1024);
        _driver.Logging = false;
        var geometry = new Geometry(1, 2, 3L);
        Launch(10);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Launch(10_000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Launch(int times)
        {
            for (int i = 0; i < times; i++)
            {
                kernel.Launch(8, 256, 0, buffer.Pointer, 2f, i, 5L, true);
                kernel.Launch((8, 2), (16, 16), 4096, buffer.Pointer, 2.0, (uint)i);
                kernel.LaunchWith(geometry, 8, 256, 0, buffer.Pointer, i);
            }
        }
    }

    [Fact]
    public void ALaunchPassesDimensionsAndBytes()
    {
        var kernel = Kernel("f");
        _driver.Calls.Clear();
        kernel.Launch((3, 2), (32, 4, 2), 64, new DevicePointer(0x1234), 1f, 2, (byte)3);
        kernel.LaunchWith(new Geometry(1, 2, 3), 1, 32, 0, 7);
        Assert.Equal(
        [
            "Launch (3,2,1) (32,4,2) 64: 3412000000000000 0000803f 02000000 03",
            "Launch (1,1,1) (32,1,1) 0: 01000000020000000300000000000000 07000000",
        ], _driver.Calls);
    }

    [Fact]
    public void MoreThan48KiBOfSharedMemoryAreAskedForOnce()
    {
        var kernel = Kernel("f");
        _driver.Calls.Clear();
        // The kernel itself declares 1 KiB.
        kernel.Launch(1, 32, 47 * 1024);
        kernel.Launch(1, 32, 60 * 1024);
        kernel.Launch(1, 32, 60 * 1024);
        Assert.Equal(["Launch", "SetFunctionAttribute", "Launch", "Launch"], _driver.Calls.Select(call => call.Split(' ')[0]));
        Assert.Contains("SetFunctionAttribute MaxDynamicSharedSizeBytes 61440", _driver.Calls);
    }

    [Fact]
    public void MoreSharedMemoryThanTheDeviceHasIsAnErrorThatSaysSo()
    {
        var error = Assert.Throws<CudaException>(() => Kernel("groupnorm_f32").Launch((2, 3), 128, 100 * 1024));
        Assert.Equal("cuLaunchKernel of groupnorm_f32 with grid (2,3,1), block (128,1,1), 102400 bytes of dynamic shared memory: "
            + "CUDA_ERROR_INVALID_VALUE (1): Fake GPU has at most 102400 bytes of shared memory for a block, and the kernel declares 1024 itself", error.Message);
    }

    [Fact]
    public void KernelsAreLookedUpOnce()
    {
        using var module = _context.LoadModule(new CompiledKernels("x.cu", new KernelTarget("sm_80"), [1], ""));
        Assert.Same(module.GetKernel("f"), module.GetKernel("f"));
        Assert.Single(_driver.Calls, "GetFunction f");
        Assert.Contains("LoadModule x.cu", _driver.Calls);
        Assert.Equal(4, module.GetGlobal("g").Bytes);
    }

    [Fact]
    public void AModuleIsUnloadedOnlyWhenNothingOfItCanRun()
    {
        var module = _context.LoadModule(new CompiledKernels("x.cu", new KernelTarget("sm_80"), [1], ""));
        _driver.Calls.Clear();
        module.Dispose();
        module.Dispose();
        Assert.Equal(["SynchronizeContext", "UnloadModule"], _driver.Calls);
    }

    [Fact]
    public void TimeIsMeasuredBetweenEvents()
    {
        using var start = _context.CreateEvent();
        using var end = _context.CreateEvent();
        start.Record();
        end.Record();
        Assert.Equal(1.5f, end.MillisecondsSince(start));
        Assert.True(end.IsDone);
        Assert.True(_context.Stream.IsDone);
        using var stream = _context.CreateStream();
        stream.WaitFor(end);
        Assert.Equal("WaitEvent", _driver.Calls[^1]);
    }

    [Fact]
    public void AFaultMarksTheDeviceLostWhoeverMetIt()
    {
        Assert.False(_context.IsLost);
        _driver.Fail("SynchronizeStream", CudaResult.OutOfMemory);
        Assert.Throws<CudaException>(_context.Stream.Synchronize);
        Assert.False(_context.IsLost);
        _driver.Fail("SynchronizeStream", CudaResult.IllegalAddress);
        Assert.Throws<CudaException>(_context.Stream.Synchronize);
        Assert.True(_context.IsLost);
    }

    [Fact]
    public void WhatIsDisposedOfAfterAFaultDoesNotHideIt()
    {
        var error = Assert.Throws<CudaException>(() =>
        {
            using var context = new CudaContext(_driver);
            using var module = context.LoadModule(new CompiledKernels("x.cu", new KernelTarget("sm_80"), [1], ""));
            using var buffer = context.Allocate(100);
            using var pinned = new PinnedBuffer(context, 100);
            using var staging = new PinnedStaging(context);
            staging.Upload<byte>([1], buffer.Pointer);
            using var stream = context.CreateStream();
            using var mark = context.CreateEvent();
            using var graph = CudaGraph.Capture(context, buffer.Clear);
            _driver.Fail("SynchronizeContext", CudaResult.LaunchFailed);
            context.Synchronize();
        });
        Assert.Equal("SynchronizeContext", error.Call);
        Assert.Equal("ReleasePrimaryContext", _driver.Calls[^1]);
    }

    [Fact]
    public void WhetherTheDeviceIsLostMayBeAskedInACapture()
    {
        var lost = true;
        using var graph = CudaGraph.Capture(_context, () => lost = _context.IsLost);
        Assert.False(lost);
        graph.Launch();
    }

    /// <summary>The driver answers every call with the fault, also that which releases the context.</summary>
    [Fact]
    public void AFaultThatIsMetAtTheEndIsThrownAndTheContextReleased()
    {
        var context = new CudaContext(_driver);
        _driver.Fail("SynchronizeContext", CudaResult.IllegalAddress);
        Assert.Equal("SynchronizeContext", Assert.Throws<CudaException>(context.Dispose).Call);
        Assert.Equal("ReleasePrimaryContext", _driver.Calls[^1]);
        Assert.True(context.IsLost);
        context.Dispose();
        Assert.Single(_driver.Calls, "ReleasePrimaryContext");
    }

    /// <summary>libcuda ends before the process does.</summary>
    [Fact]
    public void WhatIsDisposedOfWhenTheDriverHasEndedThrowsNothing()
    {
        var buffer = _context.Allocate(100);
        var pinned = new PinnedBuffer(_context, 100);
        var module = _context.LoadModule(new CompiledKernels("x.cu", new KernelTarget("sm_80"), [1], ""));
        _driver.Fail("QueryStream", CudaResult.Deinitialized);
        foreach (var thing in (IDisposable[])[buffer, pinned, module, _context])
            thing.Dispose();
        Assert.True(_context.IsLost);
    }

    [Fact]
    public void AContextThatEndedRefusesWorkOnEveryThread()
    {
        var context = new CudaContext(_driver);
        Exception? error = null;
        using var bound = new ManualResetEventSlim();
        using var ended = new ManualResetEventSlim();
        var thread = new Thread(() =>
        {
            context.Stream.Synchronize();
            bound.Set();
            ended.Wait();
            error = Record.Exception(context.Bind);
        });
        thread.Start();
        bound.Wait();
        context.Dispose();
        ended.Set();
        thread.Join();
        Assert.IsType<ObjectDisposedException>(error);
    }

    [Fact]
    public void AContextThatCannotBeMadeIsReleased()
    {
        _driver.Fail("CreateStream", CudaResult.OutOfMemory);
        Assert.Throws<CudaException>(() => new CudaContext(_driver));
        Assert.Equal("ReleasePrimaryContext", _driver.Calls[^1]);
        _context.Stream.Synchronize();
    }

    [Fact]
    public void AContextThatEndedRefusesWork()
    {
        var context = new CudaContext(_driver);
        var stream = context.Stream;
        var buffer = context.Allocate(10);
        context.Dispose();
        context.Dispose();
        Assert.Throws<ObjectDisposedException>(stream.Synchronize);
        Assert.Throws<ObjectDisposedException>(() => context.Allocate(10));
        buffer.Dispose();
        Assert.Equal(2, _driver.Calls.Count(call => call is "RetainPrimaryContext"));
        Assert.Single(_driver.Calls, "ReleasePrimaryContext");
    }

    [Fact]
    public void StagingUploadsInPiecesWithoutWaitingUntilAllAreUsed()
    {
        using var staging = new PinnedStaging(_context, pieces: 2, pieceBytes: 16);
        using var buffer = _context.Allocate(40);
        int[] values = [.. Enumerable.Range(1, 10)];
        staging.Upload<int>(values, buffer.Pointer);
        int[] back = new int[10];
        buffer.CopyTo<int>(back);
        Assert.Equal(values, back);
        Assert.Equal(3, _driver.Calls.Count(call => call.StartsWith("CopyToDeviceAsync", StringComparison.Ordinal)));
        Assert.Equal(2, _driver.HostAllocations);
        staging.Dispose();
        Assert.Equal(0, _driver.HostAllocations);
    }

    /// <summary>A training step uploads a few small things; the host must not wait for the step before it.</summary>
    [Fact]
    public void ManySmallUploadsShareAPieceAndWaitForNothing()
    {
        using var staging = new PinnedStaging(_context, pieces: 2, pieceBytes: 1024);
        using var buffer = _context.Allocate(64);
        int[] back = new int[8];
        for (int i = 1; i <= 8; i++)
            staging.Upload<int>([i], buffer.Pointer + 4 * (i - 1));
        Assert.DoesNotContain(_driver.Calls, call => call.StartsWith("SynchronizeEvent", StringComparison.Ordinal));
        Assert.Equal(2, _driver.HostAllocations);
        buffer.CopyTo<int>(back);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], back);

        // The ninth comes back to the first piece, whose copies must be done.
        staging.Upload<int>([9], buffer.Pointer);
        Assert.Single(_driver.Calls, call => call.StartsWith("SynchronizeEvent", StringComparison.Ordinal));
    }

    [Fact]
    public void NothingIsStagedIntoAGraph()
    {
        using var staging = new PinnedStaging(_context);
        using var buffer = _context.Allocate(40);
        var error = Assert.Throws<InvalidOperationException>(() => CudaGraph.Capture(_context, () => staging.Upload<int>([1], buffer.Pointer)));
        Assert.Contains("while a graph is captured", error.Message);
    }

    [Fact]
    public void BuffersCopyAndCheckBounds()
    {
        using var a = _context.Allocate(16);
        using var b = _context.Allocate(16);
        a.CopyFrom<float>([1, 2, 3]);
        a.CopyFrom<float>([4], offset: 12);
        b.Clear();
        b.CopyFrom(a, 12);
        float[] values = new float[4];
        b.CopyTo<float>(values);
        Assert.Equal([1, 2, 3, 0], values);
        b.CopyTo(values.AsSpan(0, 1), offset: 8);
        Assert.Equal(3, values[0]);
        Assert.Contains("of 16 bytes", Assert.Throws<ArgumentException>(() => a.CopyFrom<float>([1, 2, 3, 4, 5])).Message);
        Assert.Throws<ArgumentException>(() => a.CopyTo<float>(new float[2], offset: 12));
        Assert.Throws<ArgumentException>(() => a.CopyFrom<float>([1], offset: -4));
        Assert.Throws<ArgumentException>(() => a.CopyFrom(b, 17));
        a.Dispose();
        Assert.Throws<ObjectDisposedException>(() => a.Pointer);
    }

    private CudaKernel Kernel(string name) =>
        _context.LoadModule(new CompiledKernels("x.cu", new KernelTarget("sm_80"), [1], "")).GetKernel(name);

    private readonly record struct Geometry(int A, int B, long C);
}
