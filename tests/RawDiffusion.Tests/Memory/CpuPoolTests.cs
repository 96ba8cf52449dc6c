using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

/// <summary>The size classes of the pool, and what it gives out again.</summary>
public class CpuPoolTests
{
    /// <summary>Lengths around every boundary between classes up to 2^27 elements.</summary>
    private static IEnumerable<int> Lengths()
    {
        for (int length = 1; length <= 5_000; length++)
            yield return length;
        for (int p = 12; p < 27; p++)
        {
            for (int eighth = 8; eighth <= 16; eighth++)
            {
                for (int offset = -1; offset <= 1; offset++)
                    yield return (1 << (p - 3)) * eighth + offset;
            }
        }
    }

    /// <summary>The shape is one that a tensor may have, and other devices hold such tensors.</summary>
    [Fact]
    public void ATensorThatNoArrayHoldsIsRefusedWithTheLimit()
    {
        var error = Assert.Throws<NotSupportedException>(() => Tensor.Empty([CpuStorage.MaxLength + 1], new CpuBackend()));
        Assert.Contains($"{CpuStorage.MaxLength:N0}", error.Message);
        Assert.Throws<NotSupportedException>(() => Tensor.Empty([int.MaxValue], new CpuBackend()));
        Assert.Equal(536_870_881, CpuStorage.MaxLength);
    }

    [Fact]
    public void AtMostAnEighthOfABlockIsUnused()
    {
        foreach (int length in Lengths())
        {
            int capacity = CpuPool.SizeClass(length).Capacity;
            Assert.True(capacity >= length, $"{length} elements in a block of {capacity}");
            Assert.True(capacity <= 64 || capacity - length <= length / 8.0, $"{length} elements in a block of {capacity}");
        }
    }

    [Fact]
    public void ClassesRiseWithTheLength()
    {
        var previous = CpuPool.SizeClass(0);
        foreach (int length in Lengths().Order())
        {
            var current = CpuPool.SizeClass(length);
            Assert.True(current.Index >= previous.Index && current.Capacity >= previous.Capacity, $"at {length} elements");
            Assert.Equal(current.Index == previous.Index, current.Capacity == previous.Capacity);
            previous = current;
        }
    }

    [Fact]
    public void ABlockIsOfTheClassOfItsCapacity()
    {
        foreach (int length in Lengths())
        {
            var (index, capacity) = CpuPool.SizeClass(length);
            Assert.Equal((index, capacity), CpuPool.SizeClass(capacity));
        }
    }

    [Fact]
    public void AReleasedBlockServesTheNextRequestOfItsClass()
    {
        var cpu = new CpuBackend();
        var first = cpu.Allocate(DType.Float32, 1000);
        cpu.Release(first);
        Assert.Equal(cpu.Statistics.BytesHeld, cpu.Statistics.BytesFree);
        var second = cpu.Allocate(DType.Int32, 990);
        Assert.Same(first, second);
        Assert.Equal((DType.Int32, 990), (second.DType, second.Length));
        Assert.Equal(1, cpu.Statistics.Allocations);
        Assert.Equal(0, cpu.Statistics.BytesFree);
    }

    [Fact]
    public void MemoryIsAlignedToSixtyFourBytes()
    {
        var cpu = new CpuBackend();
        foreach (int length in (int[])[0, 1, 63, 64, 65, 1000, 12_345])
        {
            unsafe
            {
                Assert.Equal(0u, (nuint)((CpuStorage)cpu.Allocate(DType.Float32, length)).Floats % 64);
            }
        }
    }
}
