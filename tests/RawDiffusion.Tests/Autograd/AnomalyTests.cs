namespace RawDiffusion.Tests;

/// <summary>Under <see cref="DetectAnomaly"/> the first operation that makes values that are not finite is named.</summary>
public class AnomalyTests
{
    [Fact]
    public void TheOperationThatMakesAnInfinityIsNamedWithItsInputs()
    {
        var x = Tensor.From([1.0, 2, 0, 4], [2, 2], Device.Reference).RequireGrad();
        var thrown = Watch(() => (x * 2).Log().Sum());
        Assert.Equal("log", thrown.Operation);
        Assert.Equal("forward", thrown.Pass);
        Assert.Contains("[2, 2] has 0 NaN and 1 infinite of 4 values, the first -Infinity at [1, 0]", thrown.Message);
        Assert.Contains("input 0 [2, 2] is finite, 0 to 8", thrown.Message);
    }

    [Fact]
    public void AnOperationThatIsNotRecordedIsWatchedToo()
    {
        var thrown = Watch(() => Exact.Constant(0).Log());
        Assert.Equal("log", thrown.Operation);
    }

    /// <summary>The square root of 0 is finite, its derivative is not.</summary>
    [Fact]
    public void AGradientThatIsNotFiniteIsNamedWithItsOperation()
    {
        var x = Exact.Leaf(0, 1);
        var thrown = Watch(() => (x.Sqrt() * 3).Sum().Backward());
        Assert.Equal("sqrt", thrown.Operation);
        Assert.Equal("backward", thrown.Pass);
        Assert.Contains("the gradient of input 0 [2] has 0 NaN and 1 infinite of 2 values", thrown.Message);
        Assert.Contains("the gradient it received [2] is finite, 3 to 3", thrown.Message);
    }

    /// <summary>0 * inf: the well-known trap of choosing between branches after computing both.</summary>
    [Fact]
    public void ANaNThatOnlyTheGradientHasIsFound()
    {
        var x = Exact.Leaf(0, 1);
        var thrown = Watch(() => F.Where(x.Detach().Gt(0), x.Sqrt(), x).Sum().Backward());
        Assert.Equal(("sqrt", "backward"), (thrown.Operation, thrown.Pass));
    }

    [Fact]
    public void AParameterThatIsNotFiniteIsToldFromAnOperationThatMadeIt()
    {
        var weight = Exact.Leaf(1, double.PositiveInfinity);
        var thrown = Watch(() => _ = weight + 1);
        Assert.Contains("input 0 [2] has 0 NaN and 1 infinite", thrown.Message);
    }

    [Fact]
    public void AMaskOfInfinitiesIsNoAnomaly()
    {
        var x = Exact.Leaf(1, 2, 3);
        var mask = Exact.Constant(0, double.NegativeInfinity, 0);
        using var anomaly = new DetectAnomaly();
        F.Softmax((x + mask).Reshape([1, 3])).Square().Sum().Backward();
        Assert.All(x.Grad.Values(), g => Assert.True(double.IsFinite(g)));
    }

    [Fact]
    public void WhatIsFiniteGivesTheSameBitsAsUnwatched()
    {
        static double[] Gradient()
        {
            var x = Tensor.Randn(new Generator(1), [8, 4], Device.Cpu).RequireGrad();
            F.LayerNorm(F.Silu(x)).Square().Mean().Backward();
            return x.Grad!.ToDoubleArray();
        }

        double[] plain = Gradient();
        using (new DetectAnomaly())
            Assert.Equal(plain, Gradient());
    }

    [Fact]
    public void ItEndsWithItsScope()
    {
        using (new DetectAnomaly())
        {
            Assert.True(AnomalyMode.IsEnabled);
            using (new DetectAnomaly(enabled: false))
                Assert.Equal([double.NegativeInfinity], Exact.Leaf(0).Log().Values());
            Assert.True(AnomalyMode.IsEnabled);
        }
        Assert.False(AnomalyMode.IsEnabled);
        Assert.Equal([double.NegativeInfinity], Exact.Leaf(0).Log().Values());
    }

    private static AnomalyException Watch(Action action)
    {
        using var anomaly = new DetectAnomaly();
        return Assert.Throws<AnomalyException>(action);
    }
}
