using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

/// <summary>
/// Who owns memory, and until when. Each test has a backend of its own, so its pool is not shared with other tests, and fills
/// what was handed back with garbage: a value that survives was not handed back.
/// </summary>
public class MemoryScopeTests
{
    private readonly CpuBackend _cpu = new();

    [Fact]
    public void UsingATensorAfterItsScopeNamesTheOperation()
    {
        Tensor dead;
        using (new MemoryScope())
            dead = Constant(1, 2);
        Assert.Contains("mul", Assert.Throws<ObjectDisposedException>(() => dead * Constant(1, 2)).Message);
        Assert.Contains("toArray", Assert.Throws<ObjectDisposedException>(() => dead.ToArray()).Message);
        Assert.Contains("detach", Assert.Throws<ObjectDisposedException>(() => dead.Detach()).Message);
    }

    [Fact]
    public void ATensorStaysDeadWhenItsMemoryIsReused()
    {
        Tensor dead;
        using (new MemoryScope())
            dead = Constant(1, 2);
        var reused = Constant(3, 4);
        Assert.Equal(1, _cpu.Statistics.Allocations);
        Assert.Throws<ObjectDisposedException>(() => dead.ToArray());
        Assert.Equal([3, 4], reused.ToArray());
    }

    [Fact]
    public void BackwardOverDeadTensorsNamesTheOperation()
    {
        var x = Constant(1, 2).RequireGrad();
        Tensor loss;
        using (var scope = new MemoryScope())
        {
            var y = x * 2;
            loss = scope.Keep((y * y).Sum());
        }
        Assert.Contains("mul", Assert.Throws<ObjectDisposedException>(() => loss.Backward()).Message);
    }

    [Fact]
    public void KeptTensorsSurvive()
    {
        Tensor kept;
        using (var scope = new MemoryScope())
            kept = scope.Keep(Constant(1, 2));
        Garbage();
        Assert.Equal([1, 2], kept.ToArray());
    }

    [Fact]
    public void AKeptTensorBelongsToTheScopeAround()
    {
        Tensor kept;
        using (new MemoryScope())
        {
            using (var inner = new MemoryScope())
                kept = inner.Keep(Constant(1, 2));
            Garbage();
            Assert.Equal([1, 2], kept.ToArray());
        }
        Assert.Throws<ObjectDisposedException>(() => kept.ToArray());
    }

    [Fact]
    public void TheOuterScopeCanKeepWhatWasMadeInTheInnerOne()
    {
        Tensor kept;
        using (var outer = new MemoryScope())
        {
            using (new MemoryScope())
                kept = outer.Keep(Constant(1, 2));
        }
        Garbage();
        Assert.Equal([1, 2], kept.ToArray());
    }

    [Fact]
    public void TheInnerScopeLeavesTheTensorsOfTheOuterOneAlone()
    {
        using var outer = new MemoryScope();
        var x = Constant(1, 2);
        using (var inner = new MemoryScope())
            inner.Keep(x);
        Assert.Equal([1, 2], x.ToArray());
    }

    [Fact]
    public void ScopesEndInnermostFirst()
    {
        var outer = new MemoryScope();
        var inner = new MemoryScope();
        Assert.Throws<InvalidOperationException>(outer.Dispose);
        inner.Dispose();
        outer.Dispose();
        outer.Dispose();
        Assert.Null(MemoryScope.Current);
    }

    /// <summary>What an ended scope referred to serves the next one, which must not be taken for it.</summary>
    [Fact]
    public void AnEndedScopeHasNothingToDoWithTheNext()
    {
        var ended = new MemoryScope();
        ended.Dispose();
        Tensor x;
        using (new MemoryScope())
        {
            x = Constant(1, 2);
            ended.Keep(x);
            ended.Dispose();
            Assert.Equal([1, 2], x.ToArray());
        }
        Assert.Throws<ObjectDisposedException>(() => x.ToArray());
    }

    [Fact]
    public void AWarmScopeAllocatesNothing()
    {
        void Nested()
        {
            using var outer = new MemoryScope();
            using var inner = new MemoryScope();
        }

        Nested();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Nested();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void AScopeEndsOnTheThreadThatBeganIt()
    {
        using var scope = new MemoryScope();
        Exception? thrown = null;
        var thread = new Thread(() => thrown = Record.Exception(scope.Dispose));
        thread.Start();
        thread.Join();
        Assert.IsType<InvalidOperationException>(thrown);
    }

    [Fact]
    public void OutsideAnyScopeNothingIsHandedBack()
    {
        var x = Constant(1, 2);
        var y = x * 2;
        Assert.Equal(0, _cpu.Statistics.BytesFree);
        Assert.Equal([2, 4], y.ToArray());
    }

    [Fact]
    public void AParameterOutlivesTheScopeItWasMadeIn()
    {
        Parameter parameter;
        using (new MemoryScope())
            parameter = new Parameter(Constant(1, 2));
        Garbage();
        Assert.Equal([1, 2], parameter.ToArray());
    }

    [Fact]
    public void TheGradientOfALeafLivesAsLongAsTheLeaf()
    {
        Tensor x;
        using (var scope = new MemoryScope())
        {
            x = Constant(1, 2).RequireGrad();
            using (new MemoryScope())
                (x * x).Sum().Backward();
            Garbage();
            Assert.Equal([2, 4], x.Grad!.ToArray());
            scope.Keep(x);
        }
        Garbage();
        Assert.Equal([2, 4], x.Grad!.ToArray());
    }

    [Fact]
    public void TheGradientOfALeafOfAScopeDiesWithIt()
    {
        Tensor gradient;
        using (new MemoryScope())
        {
            var x = Constant(1, 2).RequireGrad();
            (x * x).Sum().Backward();
            gradient = x.Grad!;
        }
        Assert.Throws<ObjectDisposedException>(() => gradient.ToArray());
    }

    [Fact]
    public void AGradientThatWasReadStaysValidAfterTheNextPass()
    {
        var x = Constant(1, 2).RequireGrad();
        (x * x).Sum().Backward();
        var first = x.Grad!;
        x.ZeroGrad();
        Garbage();
        (x * 5).Sum().Backward();
        Assert.Equal([2, 4], first.ToArray());
        Assert.Equal([5, 5], x.Grad!.ToArray());
    }

    /// <summary>Nobody has seen the first gradient, so the second pass needs no memory of its own.</summary>
    [Fact]
    public void AForgottenGradientsMemoryServesTheNext()
    {
        var x = Constant(1, 2).RequireGrad();
        long Allocations()
        {
            using (new MemoryScope())
                (x * x).Sum().Backward();
            x.ZeroGrad();
            return _cpu.Statistics.Allocations;
        }

        long warm = Allocations();
        Assert.Equal(warm, Allocations());
    }

    /// <summary>A gradient that two leaves receive must not become the property of one of them.</summary>
    [Fact]
    public void LeavesThatReceiveTheSameGradientDoNotShareIt()
    {
        Tensor x = Constant(1, 2).RequireGrad(), y = Constant(3, 4).RequireGrad();
        using (new MemoryScope())
            ((x + y) * 2).Sum().Backward();
        (x * 1).Sum().Backward();
        Assert.Equal([3, 3], x.Grad!.ToArray());
        Assert.Equal([2, 2], y.Grad!.ToArray());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void BackwardHandsBackNothingThatTheUserHolds(bool insideAScope)
    {
        using var scope = insideAScope ? new MemoryScope() : default;
        Tensor x = Constant(1, 2).RequireGrad(), constant = Constant(3, 4), seed = Constant(1, 10);
        var h = x * constant;
        var view = h.Reshape(2, 1);
        var y = view.Reshape(2) + h + x;
        y.Backward(seed, retainGraph: true);
        Garbage();
        Assert.Equal([1, 2], x.ToArray());
        Assert.Equal([3, 4], constant.ToArray());
        Assert.Equal([1, 10], seed.ToArray());
        Assert.Equal([3, 8], h.ToArray());
        Assert.Equal([3, 8], view.ToArray());
        Assert.Equal([7, 18], y.ToArray());
        Assert.Equal([7, 90], x.Grad!.ToArray());
        var gradients = Autograd.Grad(y, [h, view, x], seed, retainGraph: true);
        Garbage();
        Assert.Equal([2, 20], gradients[0]!.ToArray());
        Assert.Equal([1, 10], gradients[1]!.ToArray());
        Assert.Equal([7, 90], gradients[2]!.ToArray());
        y.Backward(seed);
        Assert.Equal([14, 180], x.Grad!.ToArray());
    }

    /// <summary>A backward pass should not return what it did not make, but if it does nothing may break.</summary>
    [Fact]
    public void BackwardHandsBackNothingThatAFunctionReturnsFromItsInputsOrFields()
    {
        using var scope = new MemoryScope();
        Tensor x = Constant(1, 2).RequireGrad(), factor = Constant(3, 4);
        var h = x * 1;
        var y = new LambdaFunction(inputs => inputs[0] * factor, (_, _, gx) => gx[0] = factor).Apply(h);
        var z = new LambdaFunction(inputs => inputs[0] * inputs[1], (function, _, gx) =>
        {
            gx[0] = function.Input(1);
            gx[1] = function.Input(0);
        }).Apply(y, h);
        z.Sum().Backward();
        Garbage();
        Assert.Equal([3, 4], factor.ToArray());
        Assert.Equal([1, 2], h.ToArray());
        Assert.Equal([3, 8], y.ToArray());
        Assert.Equal([3 + 3, 8 + 4], x.Grad!.ToArray());
    }

    [Fact]
    public void ARecordedBackwardPassHandsNothingBack()
    {
        using var scope = new MemoryScope();
        var x = Constant(3, 5).RequireGrad();
        var y = x * x * x + x * 2;
        var first = Autograd.Grad(y.Sum(), [x], createGraph: true)[0]!;
        Garbage();
        var second = Autograd.Grad(first.Sum(), [x], createGraph: true)[0]!;
        Garbage();
        Assert.Equal([29, 77], first.ToArray());
        Assert.Equal([18, 30], second.ToArray());
        Assert.Equal([6, 6], Autograd.Grad(second.Sum(), [x])[0]!.ToArray());
    }

    /// <summary>
    /// The gradients between the layers of a chain are needed one at a time: the pass must not take more blocks from the pool for
    /// a long chain than for a short one.
    /// </summary>
    [Fact]
    public void GradientsOnTheWayAreHandedBackAtOnce()
    {
        long Needed(int layers)
        {
            var cpu = new CpuBackend();
            using var scope = new MemoryScope();
            var x = Tensor.Ones([1000], cpu).RequireGrad();
            var y = x;
            for (int i = 0; i < layers; i++)
                y *= x;
            long forward = cpu.Statistics.Allocations;
            y.Sum().Backward();
            return cpu.Statistics.Allocations - forward;
        }

        Assert.Equal(Needed(4), Needed(100));
    }

    [Fact]
    public void AFailedBackwardPassHandsBackWhatItMade()
    {
        long held = 0;
        for (int round = 0; round < 3; round++)
        {
            using (new MemoryScope())
            {
                var x = Constant(1, 2).RequireGrad();
                var y = x * 2;
                var bad = new LambdaFunction(inputs => inputs[0] * 1, (_, _, _) => throw new FormatException()).Apply(y) * y;
                Assert.Throws<FormatException>(() => bad.Sum().Backward());
            }
            if (round == 0)
                held = _cpu.Statistics.BytesHeld;
        }
        Assert.Equal(held, _cpu.Statistics.BytesHeld);
        Assert.Equal(held, _cpu.Statistics.BytesFree);
    }

    private Tensor Constant(params float[] values) => Tensor.From(values, [values.Length], _cpu);

    /// <summary>Takes every free block of the smallest class and overwrites it.</summary>
    private void Garbage()
    {
        using var scope = new MemoryScope();
        while (_cpu.Statistics.BytesFree > 0)
            Tensor.Full([1], float.NaN, _cpu);
        for (int i = 0; i < 4; i++)
            Tensor.Full([64], float.NaN, _cpu);
    }
}
