using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.Tests;

/// <summary>The emulator's global address space.</summary>
public sealed unsafe class GlobalMemoryTests : IDisposable
{
    private readonly GlobalMemory _memory = new(1L << 32, shadowed: true);

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void OnlyWhatWasAllocatedCanBeReached()
    {
        var a = Allocate(100, "a");
        Assert.Equal(0ul, a.Address % 256);
        Assert.True(a.Address > uint.MaxValue);
        Assert.True(_memory.Translate(a.Address, 100) != null);
        Assert.True(_memory.Translate(a.Address + 96, 4) != null);
        Assert.True(_memory.Translate(a.Address + 97, 4) == null);
        Assert.True(_memory.Translate(a.Address - 1, 1) == null);
        Assert.True(_memory.Translate(0, 1) == null);
        Assert.True(_memory.Translate(ulong.MaxValue, 1) == null);
        Assert.True(_memory.TryFind(a.Address + 50, out var region));
        Assert.Equal((a.Address, a.Address + 100), (region.Start, region.End));
        Assert.False(_memory.TryFind(a.Address + 100, out _));
    }

    [Fact]
    public void AllocationsAreFarApartAlsoLargeOnes()
    {
        var a = Allocate(300L << 20, "large");
        var b = Allocate(1, "b");
        Assert.True(b.Address >= a.End + (1 << 20));
        Assert.True(_memory.Translate(a.End - 4, 4) != null);
        Assert.True(_memory.Translate(a.End, 1) == null);
        Assert.Equal((300L << 20) + 1, _memory.Used);
        Assert.True(_memory.Free(a.Address));
        Assert.True(_memory.Translate(a.End - 4, 4) == null);
        Assert.Equal(1, _memory.Used);
    }

    [Fact]
    public void WhatWasFreedIsRecognisedAndItsAddressNotReused()
    {
        var addresses = new HashSet<ulong>();
        for (int i = 0; i < 1000; i++)
        {
            var a = Allocate(512, $"buffer {i}");
            Assert.True(addresses.Add(a.Address));
            Assert.False(_memory.Free(a.Address + 256));
            Assert.True(_memory.Free(a.Address));
            Assert.False(_memory.Free(a.Address));
        }
        ulong last = addresses.Max();
        Assert.Equal(HazardKind.UseAfterFree, _memory.Classify(last + 8));
        Assert.Equal(HazardKind.OutOfBounds, _memory.Classify(last + 512));
        Assert.Equal($"byte 8 of buffer 999, 512 bytes at 0x{last:x}, which was freed", _memory.Describe(last + 8));
        Assert.Empty(_memory.Live);
    }

    [Fact]
    public void AddressesComeRoundWhenAllWereUsed()
    {
        for (int i = 0; i < 70_000; i++)
            Assert.True(_memory.Free(Allocate(16, "x").Address));
    }

    [Fact]
    public void TheDeviceHasSoMuchAndNoMore()
    {
        using var small = new GlobalMemory(1000, shadowed: false);
        var a = small.TryAllocate(600, "a");
        Assert.NotNull(a);
        Assert.Null(small.TryAllocate(401, "b"));
        Assert.NotNull(small.TryAllocate(400, "b"));
        Assert.Null(_memory.TryAllocate(1L << 46, "huge"));
    }

    [Fact]
    public void AnAddressIsDescribedByWhatIsNearest()
    {
        Assert.Equal("no memory is allocated", _memory.Describe(1 << 20));
        var a = Allocate(100, "x");
        Assert.Equal($"4 bytes behind the end of x, 100 bytes at 0x{a.Address:x}", _memory.Describe(a.Address + 104));
        Assert.Equal($"8 bytes before x, 100 bytes at 0x{a.Address:x}", _memory.Describe(a.Address - 8));
        Assert.Equal($"byte 3 of x, 100 bytes at 0x{a.Address:x}", _memory.Describe(a.Address + 3));
        Assert.Equal("the null pointer", _memory.Describe(0));
        Assert.Equal("12 bytes from the null pointer", _memory.Describe(12));
    }

    [Fact]
    public void ABlockOfAPoolHasBoundsOfItsOwn()
    {
        var a = Allocate(1024, "pool");
        _memory.Annotate(a.Address, 1024, MemoryUse.Returned, null);
        Assert.False(_memory.TryFind(a.Address, out _));
        Assert.Equal(HazardKind.UseAfterFree, _memory.Classify(a.Address));
        _memory.Annotate(a.Address, 100, MemoryUse.Taken, "weights");
        Assert.True(_memory.TryFind(a.Address, out var region));
        Assert.Equal(a.Address + 100, region.End);
        Assert.True(_memory.Translate(a.Address, 101) == null);
        Assert.Equal(HazardKind.OutOfBounds, _memory.Classify(a.Address + 100));
        Assert.Equal($"0 bytes behind the end of 'weights', 100 bytes at 0x{a.Address:x}", _memory.Describe(a.Address + 100));
        _memory.Annotate(a.Address, 1024, MemoryUse.Returned, "weights");
        Assert.Equal($"byte 4 of 'weights', 1024 bytes at 0x{a.Address:x}, which was returned to the pool", _memory.Describe(a.Address + 4));
        Assert.Throws<CudaException>(() => _memory.Annotate(a.Address + 1000, 25, MemoryUse.Taken, null));
    }

    [Fact]
    public void SeveralBlocksOfOneAllocationAreKeptApart()
    {
        var a = Allocate(1024, "pool");
        _memory.Annotate(a.Address, 256, MemoryUse.Taken, "first");
        _memory.Annotate(a.Address + 512, 256, MemoryUse.Taken, "second");
        Assert.True(_memory.Translate(a.Address + 252, 4) != null);
        Assert.True(_memory.Translate(a.Address + 256, 4) == null);
        Assert.True(_memory.TryFind(a.Address + 600, out var region));
        Assert.Equal((a.Address + 512, a.Address + 768), (region.Start, region.End));
        Assert.True(_memory.Translate(a.Address + 764, 4) == a.Memory + 764);
        Assert.Equal(HazardKind.OutOfBounds, _memory.Classify(a.Address + 300));
    }

    [Fact]
    public void WhatIsDefinedMovesWithCopiesAndEndsWithTheBlock()
    {
        var (a, b) = (Allocate(256, "a"), Allocate(256, "b"));
        _memory.Define(a.Address + 10, 100);
        Assert.False(a.Shadow!.Defined.AllSetRange(9, 100));
        Assert.True(a.Shadow.Defined.AllSetRange(10, 100));
        _memory.CopyDefined(b.Address, a.Address, 64);
        Assert.True(b.Shadow!.Defined.AllSetRange(10, 54));
        Assert.Equal(64, b.Shadow.Defined.FindClear(10, 100));
        _memory.CopyDefined(b.Address + 101, a.Address + 12, 70);
        Assert.Equal(-1, b.Shadow.Defined.FindClear(101, 70));
        _memory.Annotate(a.Address, 256, MemoryUse.Taken, null);
        Assert.Equal(10, a.Shadow.Defined.FindClear(10, 1));
    }

    private DeviceAllocation Allocate(long bytes, string name) => _memory.TryAllocate(bytes, name)!;
}
