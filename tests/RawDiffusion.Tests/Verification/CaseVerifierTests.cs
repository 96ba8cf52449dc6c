using RawDiffusion.Tests.Kernels;
using RawDiffusion.Verification;

namespace RawDiffusion.Tests;

public class CaseVerifierTests
{
    /// <summary>A fault belongs to the case whose kernel met it, also where nothing is read back that would have waited for the kernel.</summary>
    [SkippableFact]
    public void AFaultOfAKernelWhoseResultNobodyReadsFailsItsOwnCase()
    {
        var operationCase = new OperationCase
        {
            Operation = "exp",
            Description = "of what was never written, beside a result without elements",
            Inputs = [InputSpec.Normal(0)],
            Differentiable = false,
            Run = static t =>
            {
                Tensor.Empty([3], t[0].Device).Exp();
                return t[0];
            },
        };
        Assert.Contains("never written", CaseVerifier.CompareWithReference(operationCase, new Emulated().Device).Failure, StringComparison.Ordinal);
    }
}
