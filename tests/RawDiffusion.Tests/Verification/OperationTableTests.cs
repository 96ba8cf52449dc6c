using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

/// <summary>
/// Every row of the table of operations. Tolerances against Reference are PyTorch's for float32 (1.3e-6 relative, 1e-5 absolute)
/// times the square root of the reduction length; gradcheck steps by 1e-6 and allows 1e-5 absolute, 1e-3 relative.
/// Run one operation with <c>--filter "DisplayName~conv2d"</c>.
/// </summary>
public class OperationTableTests
{
    private static readonly Dictionary<string, OperationCase> s_cases = OperationTable.All
        .GroupBy(operationCase => operationCase.ToString())
        .ToDictionary(group => group.Key, group => group.First());

    public static TheoryData<string> All => Names(_ => true);

    public static TheoryData<string> Differentiable => Names(operationCase => operationCase.Differentiable);

    public static TheoryData<string> InBFloat16 => Names(operationCase => operationCase.HasBFloat16);

    /// <summary>What tensor cores may multiply.</summary>
    public static TheoryData<string> Products => Names(operationCase => operationCase.Operation is "matmul" or "linear" or "conv2d" or "scaledDotProductAttention");

    public static TheoryData<string> SecondOrder => Names(operationCase => operationCase.SecondOrder);

    [Theory]
    [MemberData(nameof(All))]
    public void CpuAgreesWithReference(string name) => Check.Passes(CaseVerifier.CompareWithReference(s_cases[name], Device.Cpu));

    [Theory]
    [MemberData(nameof(Differentiable))]
    public void GradientsAgreeWithDifferences(string name) => Check.Passes(GradCheck.FirstOrder(s_cases[name]));

    [Theory]
    [MemberData(nameof(SecondOrder))]
    public void SecondGradientsAgreeWithDifferences(string name) => Check.Passes(GradCheck.SecondOrder(s_cases[name]));

    /// <summary>The names of tests, and the seeds of their values, are the names of the cases.</summary>
    [Fact]
    public void NamesAreUnique()
    {
        string[] repeated = [.. OperationTable.All.GroupBy(c => c.ToString()).Where(group => group.Count() > 1).Select(group => group.Key)];
        Assert.Empty(repeated);
    }

    internal static OperationCase Case(string name) => s_cases[name];

    private static TheoryData<string> Names(Func<OperationCase, bool> filter)
    {
        var names = new TheoryData<string>();
        foreach (var (name, operationCase) in s_cases)
        {
            if (filter(operationCase))
                names.Add(name);
        }
        return names;
    }
}

/// <summary>Changes the number of threads, as the tests of the pool of threads do, so they do not run at the same time.</summary>
[Collection(nameof(WorkersTests))]
public class DeterminismTests
{
    public static TheoryData<string> All => OperationTableTests.All;

    [Theory]
    [MemberData(nameof(All))]
    public void RunsTwiceAndOnAnyNumberOfThreadsToTheSameBits(string name) =>
        Check.Passes(CaseVerifier.Repeats(OperationTableTests.Case(name), Device.Cpu));
}
