using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

/// <summary>The pool of threads. Tests that change the number of threads share this collection, so that they take turns.</summary>
[Collection(nameof(WorkersTests))]
public sealed class WorkersTests : IDisposable
{
    private readonly int _threads = Workers.Count;

    public void Dispose() => Workers.SetCount(_threads);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    public void EveryItemIsDoneExactlyOnce(int threads)
    {
        Workers.SetCount(threads);
        foreach (int items in (int[])[0, 1, 2, 7, 64, 10_007])
        {
            var counts = new int[items];
            Workers.For(items, new CountItems(counts));
            Assert.All(counts, count => Assert.Equal(1, count));
        }
    }

    [Theory]
    [InlineData(0, 5)]
    [InlineData(1, 5)]
    [InlineData(5, 5)]
    [InlineData(6, 5)]
    [InlineData(9_999, 10)]
    [InlineData(9_999, 1)]
    [InlineData(3, int.MaxValue)]
    public void ARangeIsCoveredExactlyOnceByPiecesOfTheGrain(int count, int grain)
    {
        Workers.SetCount(2);
        var counts = new int[count];
        Workers.ForRange(count, grain, new CountRange(counts, grain));
        Assert.All(counts, times => Assert.Equal(1, times));
    }

    [Fact]
    public void ARangeUpToTheLargestIntegerDoesNotOverflow()
    {
        var ends = new int[2];
        Workers.ForRange(int.MaxValue, int.MaxValue - 1, new RememberEnds(ends));
        Assert.Equal([int.MaxValue - 1, int.MaxValue], ends);
    }

    [Fact]
    public void WorkerNumbersAreBelowTheCountAndUsedByOneItemAtATime()
    {
        Workers.SetCount(4);
        var busy = new int[4];
        var clashes = new int[1];
        Workers.For(5_000, new Exclusive(busy, clashes));
        Assert.Equal(0, clashes[0]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void AnExceptionReachesTheCallerAndThePoolGoesOn(int threads)
    {
        Workers.SetCount(threads);
        for (int round = 0; round < 20; round++)
        {
            var thrown = Assert.Throws<FormatException>(() => Workers.For(100, new ThrowAt(round * 5)));
            Assert.Equal($"item {round * 5}", thrown.Message);
            var counts = new int[100];
            Workers.For(100, new CountItems(counts));
            Assert.All(counts, count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void ALoopInsideALoopRunsOnItsOwnThreadWithItsWorkersNumber()
    {
        Workers.SetCount(2);
        var counts = new int[50 * 40];
        var strangers = new int[1];
        Workers.For(50, new Outer(counts, strangers));
        Assert.All(counts, count => Assert.Equal(1, count));
        Assert.Equal(0, strangers[0]);
    }

    [Fact]
    public void TwoThreadsMayCallAtOnce()
    {
        Workers.SetCount(2);
        var counts = new int[2][];
        var threads = new Thread[2];
        for (int t = 0; t < 2; t++)
        {
            int[] mine = counts[t] = new int[500];
            threads[t] = new Thread(() =>
            {
                for (int round = 0; round < 200; round++)
                    Workers.For(mine.Length, new CountItems(mine));
            });
            threads[t].Start();
        }
        foreach (var thread in threads)
            thread.Join();
        Assert.All(counts, mine => Assert.All(mine, count => Assert.Equal(200, count)));
    }

    [Fact]
    public void ManyTinyLoopsWithAChangingNumberOfThreads()
    {
        var counts = new int[3];
        for (int round = 0; round < 3_000; round++)
        {
            Workers.SetCount(1 + round % 4);
            Workers.For(3, new CountItems(counts));
        }
        Assert.Equal([3_000, 3_000, 3_000], counts);
    }

    /// <summary>
    /// Two items that wait for each other end only when two threads run them. Without work the workers go to sleep within a
    /// tenth of a millisecond, so later rounds show that they wake up again.
    /// </summary>
    [Fact]
    public void SleepingWorkersWakeUp()
    {
        Workers.SetCount(2);
        for (int round = 0; round < 10; round++)
        {
            using var both = new Barrier(2);
            Workers.For(2, new Meet(both));
            Assert.Equal(1, both.CurrentPhaseNumber);
            // Idle for longer than workers spin; correct for any duration.
            Thread.SpinWait(200_000);
        }
    }

    [Fact]
    public void ALoopAllocatesNothing()
    {
        Workers.SetCount(2);
        var counts = new int[64];
        Workers.For(counts.Length, new CountItems(counts));
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int round = 0; round < 100; round++)
            Workers.For(counts.Length, new CountItems(counts));
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void ThereIsAtLeastOneThread() => Assert.Throws<ArgumentOutOfRangeException>(() => Workers.SetCount(0));

    private readonly struct CountItems(int[] counts) : IParallelBody
    {
        public void Run(int index, int worker) => Interlocked.Increment(ref counts[index]);
    }

    private readonly struct CountRange(int[] counts, int grain) : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            if (end - start > grain || start % grain != 0)
                throw new InvalidOperationException($"[{start}, {end}) is not a piece of {grain}.");
            for (int i = start; i < end; i++)
                Interlocked.Increment(ref counts[i]);
        }
    }

    private readonly struct RememberEnds(int[] ends) : IRangeBody
    {
        public void Run(int start, int end, int worker) => ends[start == 0 ? 0 : 1] = end;
    }

    private readonly struct Exclusive(int[] busy, int[] clashes) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            if (Interlocked.Exchange(ref busy[worker], 1) != 0)
                Interlocked.Increment(ref clashes[0]);
            Thread.SpinWait(20);
            Volatile.Write(ref busy[worker], 0);
        }
    }

    private readonly struct ThrowAt(int item) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            if (index == item)
                throw new FormatException($"item {index}");
        }
    }

    private readonly struct Outer(int[] counts, int[] strangers) : IParallelBody
    {
        public void Run(int index, int worker) =>
            Workers.For(40, new Inner(counts, index * 40, worker, Environment.CurrentManagedThreadId, strangers));
    }

    private readonly struct Inner(int[] counts, int start, int outerWorker, int outerThread, int[] strangers) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            Interlocked.Increment(ref counts[start + index]);
            if (worker != outerWorker || Environment.CurrentManagedThreadId != outerThread)
                Interlocked.Increment(ref strangers[0]);
        }
    }

    private readonly struct Meet(Barrier barrier) : IParallelBody
    {
        public void Run(int index, int worker)
        {
            if (!barrier.SignalAndWait(TimeSpan.FromSeconds(30)))
                throw new TimeoutException("The other item was not run on another thread.");
        }
    }
}
