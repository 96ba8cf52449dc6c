using RawDiffusion.Cuda;

namespace RawDiffusion.Tests;

/// <summary>Captured graphs: what is recorded, whose memory it is, and what a mistake in a capture leaves behind.</summary>
public sealed class CudaGraphTests : IDisposable
{
    private readonly FakeDriver _driver = new();
    private readonly CudaContext _context;

    public CudaGraphTests() => _context = new CudaContext(_driver);

    public void Dispose() => _context.Dispose();

    [Fact]
    public void WhatIsRecordedRunsAtEveryLaunchAndNotBefore()
    {
        using var buffer = _context.Allocate(100);
        _driver.Calls.Clear();
        using var graph = CudaGraph.Capture(_context, buffer.Clear);
        string fill = $"Fill8Async {buffer.Pointer} 0 100";
        Assert.DoesNotContain(fill, _driver.Calls);
        graph.Launch();
        graph.Launch();
        Assert.Equal(2, _driver.Calls.Count(call => call == fill));
        Assert.Equal(1, graph.NodeCount);
        Assert.False(_context.IsCapturing);
    }

    [Fact]
    public void MemoryTakenInACaptureIsTheGraphsUntilItEnds()
    {
        _context.Allocate(1000).Dispose();
        DevicePointer inside = default;
        var graph = CudaGraph.Capture(_context, () =>
        {
            using var scratch = _context.Allocate(1000);
            inside = scratch.Pointer;
        });
        using (var outside = _context.Allocate(1000))
            Assert.NotEqual(inside, outside.Pointer);
        Assert.Equal(1024, _context.Memory.ReservedBytes);

        // Recording again uses the same block.
        Assert.True(graph.Update(() =>
        {
            using var scratch = _context.Allocate(1000);
            Assert.Equal(inside, scratch.Pointer);
        }));

        graph.Dispose();
        Assert.Equal(0, _context.Memory.ReservedBytes);
        using var a = _context.Allocate(1000);
        using var b = _context.Allocate(1000);
        Assert.Contains(inside, new[] { a.Pointer, b.Pointer });
        Assert.Equal(2, _context.Memory.Allocations);
    }

    [Fact]
    public void AResultOfAGraphStaysItsBlockWhenItIsHandedBack()
    {
        _context.Allocate(1000).Dispose();
        DeviceBuffer? result = null;
        using var graph = CudaGraph.Capture(_context, () => result = _context.Allocate(1000));
        var address = result!.Pointer;
        result.Dispose();
        using var other = _context.Allocate(1000);
        Assert.NotEqual(address, other.Pointer);
    }

    [Fact]
    public void WithinACaptureMemoryIsReused()
    {
        _context.Allocate(1000).Dispose();
        using var graph = CudaGraph.Capture(_context, () =>
        {
            for (int i = 0; i < 3; i++)
                _context.Allocate(1000).Dispose();
        });
        Assert.Equal(1024, _context.Memory.ReservedBytes);
        Assert.Equal(1, _context.Memory.Allocations);
    }

    [Fact]
    public void WhatIsHandedBackDuringACaptureAndIsNotTheGraphsWaitsForItsEnd()
    {
        var before = _context.Allocate(1000);
        var address = before.Pointer;
        _context.Allocate(1000).Dispose();
        _driver.Calls.Clear();
        using var graph = CudaGraph.Capture(_context, () =>
        {
            before.Dispose();
            using var inside = _context.Allocate(1000);
            Assert.NotEqual(address, inside.Pointer);
        });
        graph.Launch();
        Assert.DoesNotContain($"Annotate Returned {address} 1024", _driver.Calls);
        using var after = _context.Allocate(1000);
        Assert.Equal(address, after.Pointer);
    }

    [Fact]
    public void ACaptureThatNeedsNewMemorySaysToRunTheStepFirst()
    {
        var error = Assert.Throws<GraphMemoryException>(() => CudaGraph.Capture(_context, () => _context.Allocate(1000)));
        Assert.Contains("no block for 1000 bytes", error.Message);
        Assert.Contains("Run the step once before", error.Message);
        AssertClean();
    }

    [Fact]
    public void WaitingInACaptureIsAnErrorAndLeavesNothingBehind()
    {
        var error = Assert.Throws<CudaException>(() => CudaGraph.Capture(_context, _context.Stream.Synchronize));
        Assert.Equal(CudaResult.StreamCaptureUnsupported, error.Result);
        AssertClean();
        _context.Stream.Synchronize();

        // The same when the body keeps the error to itself: the graph would not be whole.
        error = Assert.Throws<CudaException>(() => CudaGraph.Capture(_context, () =>
        {
            try
            {
                _context.Stream.Synchronize();
            }
            catch (CudaException)
            {
                // Ignored, as a careless body would.
            }
        }));
        Assert.Equal(CudaResult.StreamCaptureInvalidated, error.Result);
        AssertClean();
    }

    [Fact]
    public void TheErrorOfTheBodyIsTheOneThatIsThrown()
    {
        var mistake = new FormatException("mine");
        Assert.Same(mistake, Assert.Throws<FormatException>(() => CudaGraph.Capture(_context, () => throw mistake)));
        AssertClean();
        using var graph = CudaGraph.Capture(_context, () => { });
        Assert.Same(mistake, Assert.Throws<FormatException>(() => graph.Update(() => throw mistake)));
        graph.Launch();
    }

    [Fact]
    public void AGraphIsUpdatedInPlaceWhereItCanBe()
    {
        using var buffer = _context.Allocate(100);
        using var other = _context.Allocate(100);
        using var graph = CudaGraph.Capture(_context, buffer.Clear);
        Assert.True(graph.Update(other.Clear));
        graph.Launch();
        Assert.Equal($"Fill8Async {other.Pointer} 0 100", _driver.Calls[^1]);
        Assert.False(graph.Update(() =>
        {
            other.Clear();
            buffer.CopyFrom(other, 8);
        }));
        Assert.Equal(2, graph.NodeCount);
        graph.Launch();
        Assert.StartsWith("CopyDeviceAsync", _driver.Calls[^1]);
    }

    [Fact]
    public void NothingIsLeftOfAGraph()
    {
        using (CudaGraph.Capture(_context, () => { }))
            Assert.Equal(1, _driver.LiveGraphs);
        AssertClean();
        var graph = CudaGraph.Capture(_context, () => { });
        graph.Dispose();
        graph.Dispose();
        Assert.Throws<ObjectDisposedException>(() => graph.Launch());
        AssertClean();
    }

    [Fact]
    public void OneCaptureAtATime()
    {
        Assert.Contains("already", Assert.Throws<InvalidOperationException>(
            () => CudaGraph.Capture(_context, () => CudaGraph.Capture(_context, () => { }))).Message);
        AssertClean();
    }

    private void AssertClean()
    {
        Assert.Equal(0, _driver.LiveGraphs);
        Assert.False(_context.IsCapturing);
        Assert.Equal(0, _context.Memory.ReservedBytes);
    }
}
