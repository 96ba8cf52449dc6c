namespace RawDiffusion.Tests;

/// <summary>What Backward does to the gradients of leaves. Whole numbers in float64: every comparison is exact.</summary>
public class BackwardTests
{
    [Fact]
    public void ATensorUsedTwiceReceivesBothGradients()
    {
        var x = Exact.Leaf(1, 2, 3);
        (x * x + x).Sum().Backward();
        Assert.Equal([3, 5, 7], x.Grad.Values());
    }

    [Fact]
    public void ATensorThatIsBothInputsOfOneOperationReceivesBothGradients()
    {
        var x = Exact.Leaf(1, 2);
        (x + x).Backward(Exact.Constant(1, 10));
        Assert.Equal([2, 20], x.Grad.Values());
    }

    [Fact]
    public void PathsThatPartAndMeetAgainAreAllCounted()
    {
        var x = Exact.Leaf(1, 2);
        var a = x * 2;
        // a^2 (a + 1), whose derivative for x is 2 (3 a^2 + 2 a).
        (a * a * (a + 1)).Sum().Backward();
        Assert.Equal([32, 112], x.Grad.Values());
    }

    [Fact]
    public void DoublingPathsAreVisitedOnceEach()
    {
        var x = Exact.Leaf(1);
        var y = x;
        for (int i = 0; i < 50; i++)
            y += y;
        y.Backward();
        Assert.Equal([Math.Pow(2, 50)], x.Grad.Values());
    }

    [Fact]
    public void BroadcastInputsReceiveSums()
    {
        var x = Exact.Leaf(1, 2, 3);
        var scale = Tensor.From([2.0], [1], Device.Reference).RequireGrad();
        (x * scale).Sum().Backward();
        Assert.Equal([6], scale.Grad.Values());
        Assert.Equal(scale.Shape, scale.Grad!.Shape);
    }

    [Fact]
    public void GradientsAddUpOverBackwardPasses()
    {
        var x = Exact.Leaf(1, 2);
        (x * 3).Sum().Backward();
        (x * x).Sum().Backward();
        Assert.Equal([5, 7], x.Grad.Values());
    }

    [Fact]
    public void ZeroGradForgets()
    {
        var x = Exact.Leaf(1, 2);
        (x * 3).Sum().Backward();
        x.ZeroGrad();
        Assert.Null(x.Grad);
        (x * 4).Sum().Backward();
        Assert.Equal([4, 4], x.Grad.Values());
    }

    [Fact]
    public void LeavesThatShareAGradientDoNotShareItsMemory()
    {
        Tensor x = Exact.Leaf(1), y = Exact.Leaf(2);
        (x + y).Backward(Exact.Constant(5));
        (x * 1).Backward(Exact.Constant(1));
        Assert.Equal([6], x.Grad.Values());
        Assert.Equal([5], y.Grad.Values());
    }

    [Fact]
    public void ALeafIsItsOwnDerivative()
    {
        var x = Exact.Leaf(4);
        x.Backward();
        Assert.Equal([1], x.Grad.Values());
    }

    [Fact]
    public void TheGivenGradientIsNotTakenOver()
    {
        var x = Exact.Leaf(1, 2);
        var seed = Exact.Constant(3, 4).RequireGrad();
        (x + 1).Backward(seed);
        (x + 1).Backward(seed);
        Assert.Equal([6, 8], x.Grad.Values());
        Assert.Equal([3, 4], seed.Values());
        Assert.False(x.Grad!.RequiresGrad);
    }

    [Fact]
    public void NothingIsRecordedUnderNoGrad()
    {
        var x = Exact.Leaf(1);
        Tensor y;
        using (new NoGrad())
        {
            using (new NoGrad())
                y = x * 2;
            Assert.False(GradMode.IsEnabled);
        }
        Assert.True(GradMode.IsEnabled);
        Assert.False(y.RequiresGrad);
        Assert.True((x * 2).RequiresGrad);
    }

    [Fact]
    public void DetachCutsTheHistoryAndSharesTheValues()
    {
        var x = Exact.Leaf(3);
        var constant = (x * 2).Detach();
        Assert.False(constant.RequiresGrad);
        (x * constant).Backward();
        Assert.Equal([6], x.Grad.Values());
    }

    [Fact]
    public void ConstantsGetNoGradient()
    {
        Tensor x = Exact.Leaf(1), c = Exact.Constant(2);
        (x * c).Backward();
        Assert.Null(c.Grad);
    }

    [Fact]
    public void IntermediateTensorsGetNoGrad()
    {
        var x = Exact.Leaf(1);
        var y = x * 2;
        (y * y).Backward();
        Assert.Null(y.Grad);
    }

    [Fact]
    public void TheTapeIsFreedUnlessRetained()
    {
        var x = Exact.Leaf(2, 3);
        var y = (x * x).Sum();
        y.Backward(retainGraph: true);
        y.Backward();
        Assert.Equal([8, 12], x.Grad.Values());
        var thrown = Assert.Throws<InvalidOperationException>(() => y.Backward());
        Assert.Contains("retainGraph", thrown.Message);
    }

    [Fact]
    public void ANewLossOnAFreedIntermediateIsRefusedByTheNameOfItsOperation()
    {
        var x = Exact.Leaf(2);
        var shared = x * x;
        (shared * 2).Backward();
        var thrown = Assert.Throws<InvalidOperationException>(() => (shared + 1).Backward());
        Assert.Contains("mul", thrown.Message);
    }

    [Fact]
    public void OnlyAScalarHasAnObviousGradient()
    {
        var y = Exact.Leaf(1, 2) * 2;
        Assert.Contains("[2]", Assert.Throws<InvalidOperationException>(() => y.Backward()).Message);
    }

    [Fact]
    public void TheGivenGradientMustFit()
    {
        var y = Exact.Leaf(1, 2) * 2;
        Assert.Contains("[3]", Assert.Throws<ArgumentException>(() => y.Backward(Exact.Constant(1, 2, 3))).Message);
        Assert.Contains("cpu", Assert.Throws<ArgumentException>(() => y.Backward(Tensor.Ones([2], Device.Cpu))).Message);
        Assert.Throws<ArgumentException>(() => y.Backward(Tensor.From([1, 2], [2], Device.Reference)));
    }

    [Fact]
    public void WhatDependsOnNothingHasNoBackward() =>
        Assert.Throws<InvalidOperationException>(() => (Exact.Constant(1) * 2).Backward());

    [Fact]
    public void OnlyFloatingLeavesCanRequireGradients()
    {
        Assert.Throws<InvalidOperationException>(() => Tensor.From([1, 2], [2], Device.Reference).RequireGrad());
        Assert.Contains("mul", Assert.Throws<InvalidOperationException>(() => (Exact.Leaf(1) * Exact.Leaf(2)).RequireGrad()).Message);
    }

    [Fact]
    public void ALeafThatNoLongerRequiresGradientsGetsNone()
    {
        Tensor x = Exact.Leaf(1), y = Exact.Leaf(2);
        var z = x * y;
        x.RequireGrad(false);
        z.Backward();
        Assert.Null(x.Grad);
        Assert.Equal([1], y.Grad.Values());
    }

    /// <summary>A walk by recursion would need about 100 bytes of stack a node and more; 20,000 overflow the 1 MiB of a thread.</summary>
    [Fact]
    public void AVeryDeepGraphDoesNotOverflowTheStack()
    {
        var x = Exact.Leaf(0);
        var y = x;
        for (int i = 0; i < 20_000; i++)
            y += 1;
        y.Backward();
        Assert.Equal([20_000], y.Values());
        Assert.Equal([1], x.Grad.Values());
    }

    [Fact]
    public void EmptyTensorsHaveEmptyGradients()
    {
        var x = Tensor.Zeros([0, 3], Device.Reference).RequireGrad();
        (x * 2).Sum().Backward();
        Assert.Equal(new Shape(0, 3), x.Grad!.Shape);
    }
}
