using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

/// <summary>The checks find what is wrong, and say where.</summary>
[Collection(nameof(WorkersTests))]
public class VerifierTests
{
    [Fact]
    public void ARightOperationPassesEveryCheck()
    {
        var square = Case((x, _) => x * x);
        Check.Passes(CaseVerifier.CompareWithReference(square, Device.Cpu));
        Check.Passes(CaseVerifier.Repeats(square, Device.Cpu));
        Check.Passes(GradCheck.FirstOrder(square));
        Check.Passes(GradCheck.SecondOrder(square));
    }

    [Fact]
    public void AWrongDerivativeFailsGradcheck()
    {
        var wrong = Case((x, _) => new LambdaFunction(t => t[0] * t[0], (f, g, gx) => gx[0] = g * f.Input(0) * 2.01).Apply(x));
        string failure = GradCheck.FirstOrder(wrong).Failure!;
        Assert.Contains("op a case: gradient of input 0 [3, 5], element", failure);
    }

    [Fact]
    public void AWrongDerivativeOfALargeInputFailsGradcheck()
    {
        var wrong = Case((x, _) => new LambdaFunction(t => t[0] * t[0], (f, g, gx) => gx[0] = g * f.Input(0) * 2.01).Apply(x), [400, 50]);
        Assert.Contains("input 0 [400, 50]", GradCheck.FirstOrder(wrong).Failure);
    }

    [Fact]
    public void AGradientThatMissesAnInputFailsGradcheck()
    {
        var wrong = Case((x, y) => x * y.Detach());
        Check.Passes(CaseVerifier.CompareWithReference(wrong, Device.Cpu));
        Assert.Contains("input 1", GradCheck.FirstOrder(wrong).Failure);
    }

    [Fact]
    public void AWrongSecondDerivativeFailsOnlyTheSecondOrderCheck()
    {
        // The gradient is right in value but hides that it depends on x.
        var wrong = Case((x, _) => new LambdaFunction(t => t[0] * t[0], (f, g, gx) => gx[0] = g * f.Input(0).Detach() * 2).Apply(x));
        Check.Passes(GradCheck.FirstOrder(wrong));
        Assert.Contains("second-order gradient of input 0", GradCheck.SecondOrder(wrong).Failure);
    }

    [Fact]
    public void ADeviceThatDiffersIsFoundWithTheElementAndBothValues()
    {
        var wrong = Case((x, _) => x.Device == Device.Cpu ? x * 1.001 : x);
        string failure = CaseVerifier.CompareWithReference(wrong, Device.Cpu).Failure!;
        Assert.Matches(@"op a case: output on cpu: element \d+ is \S+, expected \S+; the error", failure);
    }

    [Fact]
    public void AGradientThatDiffersIsFound()
    {
        var wrong = Case((x, _) => new LambdaFunction(t => t[0] * 1, (_, g, gx) => gx[0] = g.Device == Device.Cpu ? g * 1.001 : g).Apply(x));
        Assert.Contains("gradient of input 0 [3, 5] on cpu", CaseVerifier.CompareWithReference(wrong, Device.Cpu).Failure);
    }

    [Fact]
    public void AResultThatChangesFromRunToRunIsFound()
    {
        int run = 0;
        var wrong = Case((x, _) => x * (1 + 1e-6 * run++));
        Assert.Contains("second run", CaseVerifier.Repeats(wrong, Device.Cpu).Failure);
    }

    [Fact]
    public void AnExceptionIsAFailureOfTheCase() =>
        Assert.Contains("broken", CaseVerifier.CompareWithReference(Case((_, _) => throw new FormatException("broken")), Device.Cpu).Failure);

    [Theory]
    [InlineData(double.NaN, double.NaN, true)]
    [InlineData(double.NaN, 1, false)]
    [InlineData(1, double.NaN, false)]
    [InlineData(double.PositiveInfinity, double.PositiveInfinity, true)]
    [InlineData(double.PositiveInfinity, double.NegativeInfinity, false)]
    [InlineData(double.PositiveInfinity, 1e300, false)]
    [InlineData(1, double.PositiveInfinity, false)]
    [InlineData(-0.0, 0.0, true)]
    [InlineData(1.00001, 1, true)]
    [InlineData(1.00002, 1, false)]
    public void SpecialValuesMustAgree(double actual, double expected, bool passes) =>
        Assert.Equal(passes, Tolerance.Float32(1, 1).Compare("x", [actual], [expected]).Failure is null);

    [Fact]
    public void TheToleranceGrowsWithTheRootOfTheReductionLength() =>
        Assert.Equal(10 * Tolerance.Float32(1, 1).At(3), Tolerance.Float32(100, 1).At(3), 1e-15);

    [Fact]
    public void InputsAreFloat32NumbersFromTheNameAlone()
    {
        double[] first = CaseInputs.Values(Case((x, _) => x), 0), again = CaseInputs.Values(Case((x, _) => -x), 0);
        Assert.Equal(first, again);
        Assert.All(first, value => Assert.Equal((float)value, value));
        // FNV-1a of "a", as published with the algorithm.
        Assert.Equal(0xAF63DC4C8601EC8C, CaseInputs.StableHash("a"));
    }

    [Fact]
    public void TheReportNamesEveryFailedCheckOfAnOperation()
    {
        var report = VerificationReport.Run([Case((x, _) => x * x), Case((x, y) => x * y.Detach())], Device.Cpu);
        var operation = Assert.Single(report.Operations);
        Assert.Equal(2, operation.Cases);
        Assert.False(report.Passed);
        // First order, and second order, of the second case.
        Assert.Equal(2, operation.Failures.Count);
        Assert.InRange(operation.Comparison.Worst, 0, 1);
    }

    private static OperationCase Case(Func<Tensor, Tensor, Tensor> run, params int[] shape)
    {
        if (shape.Length == 0)
            shape = [3, 5];
        return new OperationCase
        {
            Operation = "op",
            Description = "a case",
            Inputs = [InputSpec.Normal(shape), InputSpec.Normal(shape)],
            Run = inputs => run(inputs[0], inputs[1]),
            SecondOrder = true,
        };
    }
}
