using System.Runtime.CompilerServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>Memory of a device: reuse, garbage, and what happens when there is no more.</summary>
public sealed class DevicePoolTests : IDisposable
{
    private readonly FakeDriver _driver = new();
    private readonly CudaContext _context;

    public DevicePoolTests() => _context = new CudaContext(_driver);

    public void Dispose() => _context.Dispose();

    [Fact]
    public void AWarmStepAsksTheDriverForNothing()
    {
        Step();
        long allocations = _context.Memory.Allocations;
        _driver.Calls.Clear();
        for (int i = 0; i < 10; i++)
            Step();
        Assert.Equal(allocations, _context.Memory.Allocations);
        Assert.DoesNotContain(_driver.Calls, call => call.StartsWith("Allocate", StringComparison.Ordinal) || call.StartsWith("Free", StringComparison.Ordinal));

        void Step()
        {
            using var a = _context.Allocate(1000);
            using var b = _context.Allocate(5_000_000);
            using var c = _context.Allocate(1000);
        }
    }

    [Fact]
    public void BlocksOfOneClassServeEachOtherAndWasteAtMostAnEighth()
    {
        for (long bytes = 1; bytes < 1L << 41; bytes = bytes * 9 / 8 + 1)
        {
            var (index, capacity) = DevicePool.SizeClass(bytes);
            Assert.True(capacity >= bytes && (capacity <= 512 || capacity - bytes <= capacity / 8), $"{bytes} -> {capacity}");
            Assert.Equal((index, capacity), DevicePool.SizeClass(capacity));
            Assert.Equal(index + 1, DevicePool.SizeClass(capacity + 1).Index);
        }
    }

    [Fact]
    public void TheDriverIsToldWhatIsTakenAndReturned()
    {
        _driver.Calls.Clear();
        var buffer = _context.Allocate(600, "activations");
        string address = buffer.Pointer.ToString();
        buffer.Dispose();
        buffer.Dispose();
        using var again = _context.Allocate(610);
        Assert.Equal(
        [
            "Allocate 640",
            $"Annotate Returned {address} 640",
            $"Annotate Taken {address} 600 activations",
            $"Annotate Returned {address} 640 activations",
            $"Annotate Taken {address} 610",
        ], _driver.Calls);
    }

    [Fact]
    public void GarbageIsReturnedByTheNextWhoAllocatesNeverByTheFinalizer()
    {
        var address = Lose();
        _driver.Threads.Clear();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.Empty(_driver.Threads);
        Assert.Equal(0, _context.Memory.FreeBytes);
        using var next = _context.Allocate(1000);
        Assert.Equal(address, next.Pointer);
        Assert.Equal([Environment.CurrentManagedThreadId], _driver.Threads);
    }

    [Fact]
    public void WhenTheDriverHasNoMoreGarbageIsCollected()
    {
        _driver.Capacity = 1024;
        var address = Lose();
        using var next = _context.Allocate(1000);
        Assert.Equal(address, next.Pointer);
    }

    [Fact]
    public void WhenTheDriverHasNoMoreTheCacheIsReleasedAndItIsAskedOnceMore()
    {
        _driver.Capacity = 10_000;
        for (int i = 1; i <= 4; i++)
            _context.Allocate(i * 1000).Dispose();
        using var large = _context.Allocate(9000);
        Assert.Equal(4, _driver.Calls.Count(call => call.StartsWith("Free", StringComparison.Ordinal)));
        Assert.Equal(_driver.Used, _context.Memory.HeldBytes);
        Assert.Equal(0, _context.Memory.FreeBytes);
    }

    [Fact]
    public void WhenNothingHelpsTheErrorSaysWhoHoldsWhat()
    {
        _driver.Capacity = 64 << 20;
        using var weights = _context.Allocate(20 << 20, "weights");
        using var a = _context.Allocate(16 << 20, "activations");
        using var b = _context.Allocate(16 << 20, "activations");
        var error = Assert.Throws<DeviceOutOfMemoryException>(() => _context.Allocate(40 << 20, "gradients"));
        Assert.Equal("Fake GPU is out of memory: 40.0 MiB were asked for; 52.0 MiB are held here, 12.0 MiB of 64.0 MiB are free on the device. "
            + "The largest holders: activations (2 x, 32.0 MiB), weights (1 x, 20.0 MiB). A smaller batch or model needs less.", error.Message);
        Assert.Equal(2, _driver.Calls.Count(call => call == "Allocate 41943040"));

        // Nothing is broken by it.
        a.Dispose();
        using var smaller = _context.Allocate(16 << 20);
    }

    [Fact]
    public void ErrorsOtherThanOutOfMemoryAreNotRetried()
    {
        _driver.Fail("Allocate", CudaResult.IllegalAddress);
        Assert.Equal(CudaResult.IllegalAddress, Assert.Throws<CudaException>(() => _context.Allocate(1)).Result);
    }

    [Fact]
    public void TheEndOfTheContextGivesUnusedMemoryBack()
    {
        var driver = new FakeDriver();
        var context = new CudaContext(driver);
        context.Allocate(1000).Dispose();
        var held = context.Allocate(5000);
        context.Dispose();
        Assert.Equal(5120, driver.Used);
        held.Dispose();
    }

    [Fact]
    public void SeveralThreadsMayAllocate()
    {
        _driver.Logging = false;
        Parallel.For(0, 8, thread =>
        {
            for (int i = 0; i < 200; i++)
            {
                using var a = _context.Allocate(1000 + 100 * (i % 7));
                using var b = _context.Allocate(1000 + 100 * (i % 5));
                Assert.NotEqual(a.Pointer, b.Pointer);
            }
        });
        Assert.Equal(_context.Memory.HeldBytes, _context.Memory.FreeBytes);
        Assert.Equal(_driver.Used, _context.Memory.HeldBytes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private DevicePointer Lose() => _context.Allocate(1000).Pointer;
}
