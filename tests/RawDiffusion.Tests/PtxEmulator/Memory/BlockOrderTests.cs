using RawDiffusion.PtxEmulator.Execution;
using RawDiffusion.PtxEmulator.Memory;

namespace RawDiffusion.Tests;

/// <summary>What is ordered before what in a launch.</summary>
public sealed class BlockOrderTests
{
    private readonly LaunchOrder _launch = new(1);

    [Fact]
    public void NothingOrdersTwoThreadsFromTheStart()
    {
        var order = Block(0, 2);
        Assert.True(order.IsBefore(3, order.Time(0), 3));
        Assert.False(order.IsBefore(3, order.Time(0), 4));
        Assert.False(order.IsBefore(3, order.Time(0), 35));
        Assert.False(Block(1, 2).IsBefore(0, 3, order.Time(0), 3));
    }

    [Fact]
    public void ABarrierOrdersTheWarpsThatMetAtIt()
    {
        var order = Block(0, 3);
        uint early = order.Time(0);
        Meet(order, 0, 1);
        Assert.True(order.IsBefore(3, early, 32 + 9));
        Assert.True(order.IsBefore(3, early, 9));
        Assert.False(order.IsBefore(3, early, 64 + 9));
        Assert.False(order.IsBefore(3, order.Time(0), 32 + 9));
        // What one warp knows it passes on.
        Meet(order, 1, 2);
        Assert.True(order.IsBefore(3, early, 64 + 9));
        uint late = order.Time(2);
        order.SynchronizeAll();
        Assert.True(order.IsBefore(64, late, 0));
        Assert.True(order.IsBefore(64, late, 65));
    }

    [Fact]
    public void SyncwarpOrdersTheLanesOfItsMask()
    {
        var order = Block(0, 1);
        uint early = order.Time(0);
        order.SynchronizeWarp(0, 0xffff);
        Assert.True(order.IsBefore(0, early, 15));
        Assert.False(order.IsBefore(0, early, 16));
        Assert.False(order.IsBefore(0, order.Time(0), 15));
    }

    [Fact]
    public void AFenceBeforeAnAtomicOrdersBlocks()
    {
        var (writer, reader) = (Block(0, 2), Block(1, 2));
        uint early = writer.Time(1);
        // The fence of one warp covers what it knows of others.
        writer.SynchronizeAll();
        writer.Fence(0);
        uint late = writer.Time(0);
        Assert.False(reader.IsBefore(0, 32, early, 0));
        reader.Notice(0);
        Assert.True(reader.IsBefore(0, 32, early, 0));
        Assert.False(reader.IsBefore(0, 0, late, 0));
        Assert.False(reader.IsBefore(0, 32, early, 32));
        reader.SynchronizeAll();
        Assert.True(reader.IsBefore(0, 32, early, 32));
    }

    [Fact]
    public void AFenceOrdersWarpsOfOneBlockToo()
    {
        var order = Block(0, 2);
        uint early = order.Time(0);
        order.Fence(0);
        Assert.False(order.IsBefore(0, early, 32));
        order.Notice(1);
        Assert.True(order.IsBefore(0, early, 32));
    }

    [Fact]
    public void AnAtomicBeforeTheFenceOrdersNothing()
    {
        var (writer, reader) = (Block(0, 1), Block(1, 1));
        uint early = writer.Time(0);
        reader.Notice(0);
        writer.Fence(0);
        Assert.False(reader.IsBefore(0, 0, early, 0));
    }

    [Fact]
    public void TimesComeRound()
    {
        var order = Block(0, 2);
        for (int i = 0; i < 300_000; i++)
            order.SynchronizeAll();
        uint early = order.Time(0) & AccessRecord.TimeMask;
        Assert.False(order.IsBefore(1, early, 33));
        order.SynchronizeAll();
        Assert.True(order.IsBefore(1, early, 33));
    }

    [Fact]
    public void ARecordKeepsItsParts()
    {
        var record = AccessRecord.Of(AccessRecord.Prefix(255, (1 << 22) - 1, (1 << 18) - 1), 1023, 12, write: true, strong: false);
        Assert.Equal((255u, (1u << 22) - 1, (1u << 18) - 1, 1023, 12), (record.Tag, record.Block, record.Time, record.Thread, record.Bytes));
        Assert.True(record.IsWrite && !record.Strong);
        Assert.True(record.SameThread(AccessRecord.Of(AccessRecord.Prefix(255, (1 << 22) - 1, 5), 1023, 1, write: false, strong: true)));
        Assert.False(record.SameThread(AccessRecord.Of(AccessRecord.Prefix(255, (1 << 22) - 1, 5), 1022, 1, write: false, strong: true)));
    }

    private BlockOrder Block(long block, int warps)
    {
        var order = new BlockOrder(warps);
        order.Begin(_launch, block);
        return order;
    }

    /// <summary>Two warps at a named barrier.</summary>
    private static void Meet(BlockOrder order, int one, int other)
    {
        uint[] clock = order.NewClock();
        order.Release(one, clock);
        order.Release(other, clock);
        order.Acquire(one, clock);
        order.Acquire(other, clock);
    }
}
