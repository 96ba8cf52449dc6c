using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Driver;
using RawDiffusion.PtxEmulator.Execution;

namespace RawDiffusion.Tests;

/// <summary>What the emulated driver does beyond the contract of all drivers, without kernels.</summary>
public sealed class EmulatedCudaDriverTests : IDisposable
{
    private readonly EmulatedCudaDriver _driver = new(new EmulatorOptions { Mode = ExecutionMode.Checked, MemoryBytes = 1 << 24 });
    private readonly CudaContext _context;

    public EmulatedCudaDriverTests() => _context = new CudaContext(_driver);

    public void Dispose()
    {
        _context.Dispose();
        _driver.Dispose();
    }

    [Theory]
    [InlineData(75, 1024, 64, 40)]
    [InlineData(80, 2048, 163, 108)]
    [InlineData(90, 2048, 227, 132)]
    public void ADeviceHasTheLimitsOfAProduct(int capability, int threads, int sharedKiB, int multiprocessors)
    {
        using var driver = new EmulatedCudaDriver(new EmulatorOptions { ComputeCapability = capability });
        Assert.Equal("emulated", driver.Name);
        Assert.Equal(threads, driver.GetAttribute(DeviceAttribute.MaxThreadsPerMultiprocessor, 0));
        Assert.Equal(sharedKiB << 10, driver.GetAttribute(DeviceAttribute.MaxSharedMemoryPerBlockOptin, 0));
        Assert.Equal(multiprocessors, driver.GetAttribute(DeviceAttribute.MultiprocessorCount, 0));
        Assert.Equal(capability, driver.GetTarget(0).ComputeCapability);
        Assert.False(driver.GetTarget(0).IsCubin);
        foreach (var attribute in Enum.GetValues<DeviceAttribute>())
            Assert.True(driver.GetAttribute(attribute, 0) >= 0);
        Assert.Throws<ArgumentException>(() => new EmulatedCudaDriver(new EmulatorOptions { ComputeCapability = 61 }));
    }

    [Fact]
    public void MachineCodeIsRefused()
    {
        var error = Assert.Throws<CudaException>(() => _driver.LoadModule("\u007fELF and more"u8, "kernel.cu"));
        Assert.Equal(CudaResult.NoBinaryForGpu, error.Result);
        Assert.Contains("compute_80", error.Message);
    }

    [Fact]
    public void PtxForANewerDeviceIsRefused()
    {
        var error = Assert.Throws<CudaException>(() => _driver.LoadModule(".version 8.4\n.target sm_90a\n.address_size 64\n"u8, "kernel.cu"));
        Assert.Equal(CudaResult.NoBinaryForGpu, error.Result);
    }

    [Fact]
    public void WhatWasNotFreedIsListedAtTheEnd()
    {
        using var driver = new EmulatedCudaDriver(new EmulatorOptions { Mode = ExecutionMode.Checked });
        var context = new CudaContext(driver);
        var direct = driver.Allocate(100);
        driver.Free(driver.Allocate(200));
        var kept = context.Allocate(3000, "weights");
        context.Allocate(50, "scratch").Dispose();
        Assert.Equal(3, driver.Allocations.Count);
        context.Dispose();
        Assert.Equal([$"allocation 1: 100 bytes at {direct}", $"weights: 3000 bytes at {kept.Pointer}"], driver.Leaks);
        Assert.Empty(driver.Allocations);
        GC.KeepAlive(kept);
    }

    [Fact]
    public void ACopyThatLeavesItsAllocationIsRefused()
    {
        var pointer = _driver.Allocate(100);
        var error = Assert.Throws<CudaException>(() => _driver.Fill8Async(pointer + 50, 0, 51, _context.Stream.Handle));
        Assert.Equal(CudaResult.InvalidValue, error.Result);
        Assert.Contains("allocation", error.Message);
        Assert.Throws<CudaException>(() => _driver.CopyToHost(new byte[101], pointer, _context.Stream.Handle));
        Assert.Throws<CudaException>(() => _driver.CopyDeviceAsync(pointer, pointer + 10, 11, _context.Stream.Handle));
        Assert.Throws<CudaException>(() => _driver.Fill32Async(pointer + 2, 0, 1, _context.Stream.Handle));
        Assert.False(_context.IsLost);
        _driver.Free(pointer);
    }

    [Fact]
    public void ACopyIntoAReturnedBlockLosesTheDevice()
    {
        var buffer = _context.Allocate(1000, "activations");
        var pointer = buffer.Pointer;
        buffer.Dispose();
        _driver.Fill8Async(pointer + 16, 0, 8, _context.Stream.Handle);
        var error = Assert.Throws<EmulatedFaultException>(_context.Synchronize);
        Assert.Equal((CudaResult.IllegalAddress, HazardKind.UseAfterFree, pointer.Address + 16), (error.Result, error.Report.Kind, error.Report.Address));
        Assert.Contains("'activations'", error.Message);
        Assert.Contains("returned to the pool", error.Message);
        Assert.True(error.Sticky);
        Assert.True(_context.IsLost);
        Assert.Equal(error.Report, Assert.Throws<EmulatedFaultException>(() => _driver.Allocate(4)).Report);
    }

    [Fact]
    public void ACopyBehindTheEndOfABlockLosesTheDevice()
    {
        using var buffer = _context.Allocate(1000, "activations");
        _driver.Fill8Async(buffer.Pointer + 996, 0, 8, _context.Stream.Handle);
        var error = Assert.Throws<EmulatedFaultException>(_context.Synchronize);
        Assert.Equal((HazardKind.OutOfBounds, buffer.Pointer.Address + 1000), (error.Report.Kind, error.Report.Address));
        Assert.Contains("0 bytes behind the end of 'activations'", error.Message);
    }

    [Fact]
    public void AnAsynchronousCopyNeedsPinnedMemory()
    {
        var pointer = _driver.Allocate(100);
        using var host = new PinnedBuffer(_context, 100);
        _driver.CopyToDeviceAsync(pointer, host.Pointer + 50, 50, _context.Stream.Handle);
        Assert.Throws<CudaException>(() => _driver.CopyToDeviceAsync(pointer, host.Pointer + 50, 51, _context.Stream.Handle));
        Assert.Throws<CudaException>(() => _driver.CopyToHostAsync(0x1000, pointer, 4, _context.Stream.Handle));
        _context.Synchronize();
        _driver.Free(pointer);
    }

    [Fact]
    public void HandlesOfNothingAreRefused()
    {
        Action[] calls =
        [
            () => _driver.SynchronizeStream(default),
            () => _driver.SynchronizeStream(new CuStream(0x7777)),
            () => _driver.DestroyEvent(new CuEvent(_context.Stream.Handle.Handle)),
            () => _driver.GetFunction(default, "f"),
            () => _driver.GetNodeCount(default),
            () => _driver.LaunchGraph(default, _context.Stream.Handle),
        ];
        foreach (var call in calls)
            Assert.Equal(CudaResult.InvalidHandle, Assert.Throws<CudaException>(call).Result);
        var stream = _driver.CreateStream();
        _driver.DestroyStream(stream);
        Assert.Equal(CudaResult.InvalidHandle, Assert.Throws<CudaException>(() => _driver.QueryStream(stream)).Result);
        Assert.Equal(CudaResult.InvalidValue, Assert.Throws<CudaException>(() => _driver.FreeHost(0x1000)).Result);
    }

    [Fact]
    public void AContextEndsWithItsLastRelease()
    {
        using var driver = new EmulatedCudaDriver();
        var context = driver.RetainPrimaryContext(0);
        Assert.Equal(context, driver.RetainPrimaryContext(0));
        driver.SetCurrent(context);
        driver.ReleasePrimaryContext(0);
        var pointer = driver.Allocate(16);
        driver.ReleasePrimaryContext(0);
        Assert.Equal(CudaResult.InvalidContext, Assert.Throws<CudaException>(() => driver.Free(pointer)).Result);
        Assert.Equal(CudaResult.InvalidContext, Assert.Throws<CudaException>(() => driver.SetCurrent(context)).Result);
        Assert.Single(driver.Leaks);
        driver.SetCurrent(driver.RetainPrimaryContext(0));
        Assert.Equal((4L << 30, 4L << 30), driver.GetMemoryInfo());
    }

    [Fact]
    public void AnEventOfAnEndedCaptureCannotBeAwaited()
    {
        using var recorded = _context.CreateEvent(timing: false);
        _driver.BeginCapture(_context.Stream.Handle);
        recorded.Record();
        _driver.DestroyGraph(_driver.EndCapture(_context.Stream.Handle));
        Assert.Equal(CudaResult.CapturedEvent, Assert.Throws<CudaException>(recorded.Synchronize).Result);
        recorded.Record();
        recorded.Synchronize();
    }

    [Fact]
    public void ACaptureRefusesWhatWouldTieItToTheOutside()
    {
        using var other = _context.CreateStream();
        using var outside = _context.CreateEvent(timing: false);
        outside.Record(other);
        _driver.BeginCapture(_context.Stream.Handle);
        Assert.Equal(CudaResult.StreamCaptureIsolation, Assert.Throws<CudaException>(() => _context.Stream.WaitFor(outside)).Result);
        Assert.Equal(CudaResult.StreamCaptureInvalidated, Assert.Throws<CudaException>(() => _driver.EndCapture(_context.Stream.Handle)).Result);

        _driver.BeginCapture(_context.Stream.Handle);
        CudaException? error = null;
        var thread = new Thread(() =>
        {
            _context.Bind();
            error = Assert.Throws<CudaException>(() => _driver.EndCapture(_context.Stream.Handle));
            // This thread captures nothing and may do what it likes.
            _driver.Free(_driver.Allocate(16));
        });
        thread.Start();
        thread.Join();
        Assert.Equal(CudaResult.StreamCaptureWrongThread, error!.Result);
        _driver.DestroyGraph(_driver.EndCapture(_context.Stream.Handle));
    }

    [Fact]
    public void AGraphCanBeLaunchedAfterItWasDestroyed()
    {
        var pointer = _driver.Allocate(16);
        _driver.BeginCapture(_context.Stream.Handle);
        _driver.Fill32Async(pointer, 7, 4, _context.Stream.Handle);
        var graph = _driver.EndCapture(_context.Stream.Handle);
        var exec = _driver.Instantiate(graph);
        _driver.DestroyGraph(graph);
        _driver.LaunchGraph(exec, _context.Stream.Handle);
        _driver.DestroyGraphExec(exec);
        byte[] values = new byte[16];
        _driver.CopyToHost(values, pointer, _context.Stream.Handle);
        Assert.Equal(7, values[12]);
        _driver.Free(pointer);
    }

    [SkippableFact]
    public void PrintingGoesToTheWriter()
    {
        TestNvrtc.Require();
        var output = new StringWriter();
        using var driver = new EmulatedCudaDriver(new EmulatorOptions { Output = output, Workers = 1 });
        using var context = new CudaContext(driver);
        Load(context, """
            extern "C" __global__ void k(float x) { if (threadIdx.x < 2) printf("%d: %.2f %s\n", threadIdx.x + blockIdx.x * 10, x, "ok"); }
            """).Launch(2, 32, 0, 1.5f);
        context.Synchronize();
        Assert.Equal("0: 1.50 ok\n1: 1.50 ok\n10: 1.50 ok\n11: 1.50 ok\n", output.ToString());
    }

    [SkippableFact]
    public void CountsOfAllLaunchesOfAKernelAddUp()
    {
        TestNvrtc.Require();
        using var driver = new EmulatedCudaDriver(new EmulatorOptions { Mode = ExecutionMode.Counted });
        using var context = new CudaContext(driver);
        var kernel = Load(context, "extern \"C\" __global__ void k(float* x) { x[blockIdx.x * 64 + threadIdx.x] += 1.0f; }");
        using var x = context.Allocate(4 * 128, "x");
        for (int i = 0; i < 3; i++)
            kernel.Launch(2, 64, 0, x.Pointer);
        context.Synchronize();
        var counters = Assert.Single(driver.Counters);
        Assert.Equal((3, 6, 12), (counters.Launches, counters.Blocks, counters.Warps));
        // A load and a store of 512 bytes each, in sectors of 32.
        Assert.Equal(3 * 2 * 512, counters.Instructions.Sum(row => row.GlobalBytes));
        Assert.Equal(3 * 2 * 16, counters.Instructions.Sum(row => row.GlobalSectors));
        Assert.Equal(3 * 128, counters.Instructions.Sum(row => row.Flops));
    }

    [SkippableFact]
    public void AFaultLosesTheContextAndNoOther()
    {
        TestNvrtc.Require();
        using var driver = new EmulatedCudaDriver();
        using (var context = new CudaContext(driver))
        {
            Load(context, "extern \"C\" __global__ void k(float* x) { x[threadIdx.x] = 1.0f; }").Launch(1, 32, 0, DevicePointer.Null);
            Assert.Throws<EmulatedFaultException>(context.Synchronize);
            Assert.True(context.IsLost);
            Assert.False(_context.IsLost);
        }
        using var next = new CudaContext(driver);
        using var x = next.Allocate(128);
        Load(next, "extern \"C\" __global__ void k(float* x) { x[threadIdx.x] = 1.0f; }").Launch(1, 32, 0, x.Pointer);
        next.Synchronize();
    }

    [SkippableFact]
    public void TheSameSeedGivesTheSameOrder()
    {
        TestNvrtc.Require();
        string Run(ulong? seed)
        {
            var output = new StringWriter();
            using var driver = new EmulatedCudaDriver(new EmulatorOptions { Output = output, Workers = 1, ScheduleSeed = seed });
            using var context = new CudaContext(driver);
            Load(context, "extern \"C\" __global__ void k() { if (threadIdx.x % 32 == 0) printf(\"%d.%d \", blockIdx.x, threadIdx.x / 32); }").Launch(8, 128, 0);
            context.Synchronize();
            return output.ToString();
        }
        Assert.Equal(string.Concat(Enumerable.Range(0, 32).Select(i => $"{i / 4}.{i % 4} ")), Run(null));
        Assert.Equal(Run(1), Run(1));
        Assert.NotEqual(Run(1), Run(null));
        Assert.NotEqual(Run(1), Run(2));
        Assert.Equal(Run(null).Split(' ').Order(), Run(2).Split(' ').Order());
    }

    [SkippableFact]
    public void AnEstimateOfRegistersGrowsWithWhatLivesAtOnce()
    {
        TestNvrtc.Require();
        var small = Load(_context, "extern \"C\" __global__ void k(float* x) { x[threadIdx.x] = 1.0f; }");
        var large = Load(_context, """
            extern "C" __global__ void k(float* x)
            {
                float v[64];
                #pragma unroll
                for (int i = 0; i < 64; i++)
                    v[i] = x[i * 32 + threadIdx.x];
                __syncthreads();
                #pragma unroll
                for (int i = 0; i < 64; i++)
                    x[i * 32 + threadIdx.x] = v[63 - i];
            }
            """);
        Assert.InRange(small.Registers, 16, 24);
        Assert.InRange(large.Registers, 64, 110);
        Assert.True(large.MaxActiveBlocks(256, 0) < small.MaxActiveBlocks(256, 0));
    }

    private static CudaKernel Load(CudaContext context, string source) =>
        context.LoadModule(new KernelCompiler(cacheFolder: null).Compile(new KernelSource("kernel.cu", source), context.Target)).GetKernel("k");
}
