namespace RawDiffusion.Tests;

/// <summary>What a <see cref="Function"/> may return, and what the engine makes of it.</summary>
public class FunctionTests
{
    [Fact]
    public void AResultThatIsAnInputBecomesATensorOfItsOwn()
    {
        var x = Exact.Leaf(1, 2);
        var y = new LambdaFunction(inputs => inputs[0], (_, g, gx) => gx[0] = g * 10).Apply(x);
        Assert.NotSame(x, y);
        y.Sum().Backward();
        Assert.Equal([10, 10], x.Grad.Values());
        Assert.Null(x.Producer);
    }

    [Fact]
    public void AnInstanceIsUsedOnce()
    {
        var function = new LambdaFunction(inputs => inputs[0] * 2, (_, g, gx) => gx[0] = g);
        function.Apply(Exact.Leaf(1));
        Assert.Contains("lambda", Assert.Throws<InvalidOperationException>(() => function.Apply(Exact.Leaf(1))).Message);
    }

    [Fact]
    public void IntegersCarryNoGradient()
    {
        var indices = new LambdaFunction(_ => Tensor.From([1, 2], [2], Device.Reference), (_, _, _) => { }).Apply(Exact.Leaf(1));
        Assert.False(indices.RequiresGrad);
    }

    [Fact]
    public void WhatForwardComputesInsideIsNotRecorded()
    {
        var x = Exact.Leaf(3);
        new LambdaFunction(inputs => inputs[0] * inputs[0] * inputs[0], (_, g, gx) => gx[0] = g).Apply(x).Backward();
        Assert.Equal([1], x.Grad.Values());
    }

    [Fact]
    public void ANullGradientStopsTheWalk()
    {
        var x = Exact.Leaf(3);
        var y = Exact.Leaf(4);
        new LambdaFunction(inputs => inputs[0] + inputs[1], (_, g, gx) => gx[1] = g).Apply(x * 2, y).Backward();
        Assert.Null(x.Grad);
        Assert.Equal([1], y.Grad.Values());
    }

    [Fact]
    public void AGradientOfTheWrongShapeIsRefusedByName()
    {
        var y = new LambdaFunction(inputs => inputs[0] * 1, (_, _, gx) => gx[0] = Exact.Constant(1, 2, 3)).Apply(Exact.Leaf(1, 2));
        var thrown = Assert.Throws<InvalidOperationException>(() => y.Sum().Backward());
        Assert.Contains("lambda", thrown.Message);
        Assert.Contains("[3]", thrown.Message);
    }

    [Fact]
    public void GradientsAreAskedForOnlyWhereTheyAreNeeded()
    {
        bool[] needs = new bool[3];
        var y = new LambdaFunction(
            inputs => inputs[0] + inputs[1] + inputs[2],
            (function, g, gx) =>
            {
                for (int i = 0; i < 3; i++)
                    needs[i] = function.Needs(i);
                gx[1] = g;
            });
        Tensor a = Exact.Leaf(1), b = Exact.Leaf(2), c = Exact.Constant(3);
        Autograd.Grad(y.Apply(a, b, c), [b]);
        Assert.Equal([false, true, false], needs);
    }

    [Fact]
    public void MoreThanSixtyFourInputsAllGetGradients()
    {
        var leaves = Enumerable.Range(0, 70).Select(i => Exact.Leaf(i)).ToArray();
        new LambdaFunction(inputs => inputs[69] * 1, (_, g, gx) =>
        {
            for (int i = 0; i < gx.Length; i++)
                gx[i] = g * i;
        }).Apply(leaves).Backward();
        for (int i = 0; i < leaves.Length; i++)
            Assert.Equal([i], leaves[i].Grad.Values());
    }

    /// <summary>
    /// One fresh tensor as the gradient of a and b, another added to a's: if a's sum were made in place, b would see it.
    /// </summary>
    [Fact]
    public void OneGradientOfSeveralInputsIsNotChangedByTheSumOfAnother()
    {
        Tensor x = Exact.Leaf(1), y = Exact.Leaf(1);
        Tensor a = x * 1, b = y * 1;
        new LambdaFunction(inputs => inputs[0] * 1, (_, g, gx) =>
        {
            var shared = g * 1;
            gx[0] = shared;
            gx[1] = g * 100;
            gx[2] = shared;
        }).Apply(a, a, b).Backward();
        Assert.Equal([101], x.Grad.Values());
        Assert.Equal([1], y.Grad.Values());
    }

    [Fact]
    public void ABackwardPassMayRunABackwardPass()
    {
        // Gradient checkpointing: the inside is computed again when its gradient is needed.
        static Tensor Inside(Tensor x) => x * x * x;
        var x = Exact.Leaf(2, 3);
        var y = new LambdaFunction(
            inputs => Inside(inputs[0]),
            (function, g, gx) => gx[0] = Autograd.Vjp(Inside, function.Input(0).Detach(), g).Product).Apply(x * 1);
        (y * 2).Sum().Backward();
        Assert.Equal([24, 54], x.Grad.Values());
    }

    [Fact]
    public void AnExceptionInTheMiddleLeavesEverythingUsable()
    {
        var x = Exact.Leaf(2);
        var y = x * x;
        var seed = Exact.Constant(1);
        var bad = new LambdaFunction(inputs => inputs[0] * 1, (_, _, _) => throw new FormatException("broken")).Apply(y) + y;
        Assert.Throws<FormatException>(() => bad.Backward(seed));
        Assert.True(GradMode.IsEnabled);
        Assert.Null(MemoryScope.Current);
        Assert.Equal(0, seed.Storage.Holds);
        var again = x * x;
        again.Backward();
        Assert.Equal([4], x.Grad.Values());
    }

    [Fact]
    public void AFusedBackwardPassHasNoSecondDerivative()
    {
        var x = Exact.Leaf(2);
        var y = new LambdaFunction(inputs => inputs[0] * 2, (_, g, gx) => gx[0] = g * 2, createGraph: false).Apply(x);
        var thrown = Assert.Throws<InvalidOperationException>(() => Autograd.Grad(y, [x], retainGraph: true, createGraph: true));
        Assert.Contains("lambda has no second derivative", thrown.Message);
        Assert.Equal([2], Autograd.Grad(y, [x])[0].Values());
    }
}
