using RawDiffusion.Optim;

namespace RawDiffusion.Tests;

/// <summary>Parameters are changed in place; a backward pass that would read the new values instead of the old ones is refused.</summary>
public class InPlaceChangeTests
{
    private readonly Parameter _weight = new(Exact.Constant(2, 3));

    [Fact]
    public void AChangeBetweenForwardAndBackwardIsAnError()
    {
        var loss = (_weight * _weight).Sum();
        _weight.MarkChanged();
        var thrown = Assert.Throws<InvalidOperationException>(() => loss.Backward());
        Assert.Contains("mul", thrown.Message);
        Assert.Contains("changed in place", thrown.Message);
    }

    [Fact]
    public void AChangeBeforeTheForwardPassIsNot()
    {
        _weight.MarkChanged();
        (_weight * _weight).Sum().Backward();
        Assert.Equal([4, 6], _weight.Grad.Values());
    }

    [Fact]
    public void AViewSharesTheChange()
    {
        var loss = (_weight.Reshape(2, 1) * _weight.Reshape(2, 1)).Sum();
        _weight.MarkChanged();
        Assert.Throws<InvalidOperationException>(() => loss.Backward());
    }

    [Fact]
    public void AnOperationThatDoesNotReadItsInputsDoesNotMind()
    {
        var loss = new LambdaFunction(inputs => inputs[0].Sum(), (_, g, gx) => gx[0] = g.BroadcastTo([2]), reads: 0).Apply(_weight);
        _weight.MarkChanged();
        loss.Backward();
        Assert.Equal([1, 1], _weight.Grad.Values());
    }

    /// <summary>The derivative of exp reads what exp has made, which is no input of it.</summary>
    [Fact]
    public void WhatWasComputedCannotBeReplaced()
    {
        var y = _weight.Exp();
        Assert.Contains("computed by exp", Assert.Throws<InvalidOperationException>(() => y.CopyFrom([0.0, 0])).Message);
        Assert.Throws<InvalidOperationException>(() => y.CopyFrom(Exact.Constant(0, 0)));
        y.Sum().Backward();
        Assert.Equal(y.Values(), _weight.Grad.Values());
        using var noGrad = new NoGrad();
        _weight.Exp().CopyFrom([0.0, 0]);
        _weight.CopyFrom([5.0, 6]);
        Assert.Equal([5, 6], _weight.Values());
    }

    [Fact]
    public void AnOptimizerStepIsSuchAChange()
    {
        var optimizer = new Sgd([new("weight", _weight)], 0.5);
        var loss = (_weight * _weight).Sum();
        loss.Backward(retainGraph: true);
        optimizer.Step();
        Assert.Equal([0, 0], _weight.Values());
        Assert.Throws<InvalidOperationException>(() => loss.Backward());
    }
}
