namespace RawDiffusion.Tests;

/// <summary>Autograd.Grad, Vjp, Jvp and derivatives of derivatives against closed forms.</summary>
public class DerivativeTests
{
    [Fact]
    public void GradAnswersForLeavesIntermediatesAndWhatIsNotUsed()
    {
        Tensor x = Exact.Leaf(2, 3), unused = Exact.Leaf(1);
        var y = x * x;
        var gradients = Autograd.Grad((y * y).Sum(), [x, y, unused]);
        Assert.Equal([32, 108], gradients[0].Values());
        Assert.Equal([8, 18], gradients[1].Values());
        Assert.Null(gradients[2]);
        Assert.Null(x.Grad);
    }

    [Fact]
    public void GradOfAnOutputForItselfIsTheGivenGradient()
    {
        var y = Exact.Leaf(2) * 3;
        Assert.Equal([7], Autograd.Grad(y, [y], Exact.Constant(7))[0].Values());
    }

    [Fact]
    public void GradForOneInputAskedTwiceIsGivenTwice()
    {
        var x = Exact.Leaf(5);
        var gradients = Autograd.Grad(x * x, [x, x]);
        Assert.Equal([10], gradients[0].Values());
        Assert.Equal([10], gradients[1].Values());
    }

    [Fact]
    public void GradForNothingTouchesNothing()
    {
        var x = Exact.Leaf(5);
        Assert.Empty(Autograd.Grad(x * x, []));
        Assert.Null(x.Grad);
    }

    [Fact]
    public void GradFreesOnlyWhatItWalked()
    {
        var x = Exact.Leaf(2);
        var h = x * 3;
        Assert.Equal([12], Autograd.Grad(h * h, [h])[0].Values());
        (h * 5).Backward();
        Assert.Equal([15], x.Grad.Values());
        // The tape below h is gone now: h itself is still an answer, x is not.
        Assert.Equal([5], Autograd.Grad(h * 5, [h])[0].Values());
        Assert.Throws<InvalidOperationException>(() => Autograd.Grad(h * 5, [h, x]));
    }

    [Fact]
    public void ThirdDerivativeOfAPolynomial()
    {
        // y = x^4: 4 x^3, 12 x^2, 24 x.
        var x = Exact.Leaf(2, -3);
        var derivative = x * x * x * x;
        double[][] expected = [[32, -108], [48, 108], [48, -72]];
        foreach (double[] values in expected)
        {
            derivative = Autograd.Grad(derivative.Sum(), [x], createGraph: true)[0]!;
            Assert.Equal(values, derivative.Values());
        }
    }

    [Fact]
    public void DerivativesOfAReciprocal()
    {
        // y = 1 / x: -1 / x^2, 2 / x^3, -6 / x^4, exact at x = 2.
        var x = Exact.Leaf(2);
        var y = 1 / x;
        foreach (double expected in (double[])[-0.25, 0.25, -0.375])
        {
            y = Autograd.Grad(y, [x], createGraph: true)[0]!;
            Assert.Equal(expected, y.Item(), 1e-15);
        }
    }

    [Fact]
    public void AGradientPenaltyReachesTheParameters()
    {
        // R1: |d(w x^2)/dx|^2 = 4 w^2 x^2, whose derivative for w is 8 w x^2.
        Tensor x = Exact.Leaf(3), w = Exact.Leaf(5);
        var slope = Autograd.Grad(w * x * x, [x], createGraph: true)[0]!;
        (slope * slope).Sum().Backward();
        Assert.Equal([8 * 5 * 9], w.Grad.Values());
        Assert.Equal([8 * 25 * 3], x.Grad.Values());
    }

    [Fact]
    public void BackwardWithCreateGraphLeavesAGradientThatCanBeDifferentiated()
    {
        var x = Exact.Leaf(3);
        (x * x * x).Backward(createGraph: true);
        var gradient = x.Grad!;
        Assert.Equal([27], gradient.Values());
        x.ZeroGrad();
        gradient.Backward();
        Assert.Equal([18], x.Grad.Values());
        Assert.Equal([27], gradient.Values());
    }

    [Fact]
    public void APlainGradientAddedToARecordedOneLeavesTheGraphAlone()
    {
        var x = Exact.Leaf(3);
        (x * x * x).Backward(createGraph: true);
        var recorded = x.Grad!;
        (x * 2).Backward();
        Assert.Equal([29], x.Grad.Values());
        Assert.Equal([27], recorded.Values());
    }

    [Fact]
    public void VjpOfAQuadraticForm()
    {
        // f(x) = (x0^2, x0 x1): v^T J = (2 x0 v0 + x1 v1, x0 v1).
        var (output, product) = Autograd.Vjp(Quadratic, Exact.Constant(2, 3), Exact.Constant(10, 1));
        Assert.Equal([4, 6], output.Values());
        Assert.Equal([43, 2], product.Values());
        Assert.False(output.RequiresGrad);
        Assert.False(product.RequiresGrad);
    }

    [Fact]
    public void JvpOfAQuadraticForm()
    {
        // J v = (2 x0 v0, x1 v0 + x0 v1).
        var (output, product) = Autograd.Jvp(Quadratic, Exact.Constant(2, 3), Exact.Constant(10, 1));
        Assert.Equal([4, 6], output.Values());
        Assert.Equal([40, 32], product.Values());
    }

    [Fact]
    public void VjpAndJvpWorkUnderNoGrad()
    {
        using var noGrad = new NoGrad();
        Assert.Equal([43, 2], Autograd.Vjp(Quadratic, Exact.Constant(2, 3), Exact.Constant(10, 1)).Product.Values());
        Assert.Equal([40, 32], Autograd.Jvp(Quadratic, Exact.Constant(2, 3), Exact.Constant(10, 1)).Product.Values());
        Assert.False(GradMode.IsEnabled);
    }

    [Fact]
    public void JvpOfFunctionsThatAreLinearConstantOrTheIdentity()
    {
        Tensor x = Exact.Constant(2, 3), v = Exact.Constant(5, 7), c = Exact.Constant(1, 4);
        Assert.Equal([5, 28], Autograd.Jvp(t => t * c, x, v).Product.Values());
        Assert.Equal([5, 7], Autograd.Jvp(t => t, x, v).Product.Values());
        Assert.Equal([0, 0], Autograd.Jvp(_ => c, x, v).Product.Values());
        Assert.Equal([12], Autograd.Jvp(t => t.Sum(), x, v).Product.Values());
        // A linear part beside one that is not: d(x^2 + 3 x) v = (2 x + 3) v.
        Assert.Equal([35, 63], Autograd.Jvp(t => t * t + t * 3, x, v).Product.Values());
    }

    [Fact]
    public void VjpOfFunctionsThatAreConstantOrTheIdentity()
    {
        Tensor x = Exact.Constant(2, 3), v = Exact.Constant(5, 7), c = Exact.Constant(1, 4);
        Assert.Equal([0, 0], Autograd.Vjp(_ => c, x, v).Product.Values());
        Assert.Equal([5, 7], Autograd.Vjp(t => t, x, v).Product.Values());
    }

    [Fact]
    public void VjpCanBeDifferentiatedAgain()
    {
        var x = Exact.Leaf(2);
        var (_, product) = Autograd.Vjp(t => t * t * t, x, Exact.Constant(1), createGraph: true);
        product.Backward();
        Assert.Equal([12], x.Grad.Values());
    }

    [Fact]
    public void VectorsOfTheWrongShapeAreRefused()
    {
        Assert.Contains("[3]", Assert.Throws<ArgumentException>(() => Autograd.Jvp(Quadratic, Exact.Constant(1, 2), Exact.Constant(1, 2, 3))).Message);
        Assert.Contains("[3]", Assert.Throws<ArgumentException>(() => Autograd.Vjp(Quadratic, Exact.Constant(1, 2), Exact.Constant(1, 2, 3))).Message);
    }

    /// <summary>
    /// E[z^T J z] is the trace of J for z of independent signs (Hutchinson 1990). Over all 2^n sign vectors the mean is exact,
    /// because the mean of z_i z_j is 0 for different i and j.
    /// </summary>
    [Fact]
    public void HutchinsonsEstimateOverAllSignsIsTheTrace()
    {
        var matrix = Tensor.From([1.0, 2, 3, 4, 5, 6, 7, 8, 10], [3, 3], Device.Reference);
        double sum = 0;
        for (int signs = 0; signs < 8; signs++)
        {
            var z = Exact.Constant(1 - 2 * (signs & 1), 1 - (signs & 2), 1 - (signs & 4) / 2);
            var (_, product) = Autograd.Vjp(x => (matrix * x).Sum(1), Exact.Constant(7, -1, 2), z);
            sum += (product * z).Sum().Item();
        }
        Assert.Equal(16, sum / 8);
    }

    private static Tensor Quadratic(Tensor x) => x * x.Slice(0, 0, 1);
}
