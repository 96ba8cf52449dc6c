using System.Diagnostics;
using RawDiffusion.Backends;

namespace RawDiffusion.Verification;

/// <summary>What the checks found for one operation, over all its cases.</summary>
public sealed class OperationReport(string operation)
{
    public string Operation { get; } = operation;

    public int Cases { get; internal set; }

    public bool Differentiable { get; internal set; }

    public bool SecondOrder { get; internal set; }

    /// <summary>Largest |device - reference| / tolerance over outputs and gradients; up to 1 passes.</summary>
    public CheckResult Comparison { get; internal set; }

    /// <summary>Largest |analytic - numeric| / tolerance of the first-order gradcheck.</summary>
    public CheckResult FirstOrderCheck { get; internal set; }

    public CheckResult SecondOrderCheck { get; internal set; }

    /// <summary>One message per failed check.</summary>
    public List<string> Failures { get; } = [];

    internal void Add(OperationCase operationCase, Backend device)
    {
        Cases++;
        Differentiable |= operationCase.Differentiable;
        SecondOrder |= operationCase.SecondOrder;
        Comparison = Note(Comparison, CaseVerifier.CompareWithReference(operationCase, device));
        Note(default, CaseVerifier.Repeats(operationCase, device));
        if (operationCase.Differentiable)
            FirstOrderCheck = Note(FirstOrderCheck, GradCheck.FirstOrder(operationCase));
        if (operationCase.SecondOrder)
            SecondOrderCheck = Note(SecondOrderCheck, GradCheck.SecondOrder(operationCase));
    }

    private CheckResult Note(CheckResult worst, CheckResult result)
    {
        if (result.Failure is not null)
            Failures.Add(result.Failure);
        return worst.And(result);
    }
}

/// <summary>All checks of all cases on one device, operation by operation.</summary>
public sealed class VerificationReport
{
    private VerificationReport(Backend device) => Device = device;

    public Backend Device { get; }

    /// <summary>In the order of the table.</summary>
    public List<OperationReport> Operations { get; } = [];

    public TimeSpan Elapsed { get; private set; }

    public int Cases => Operations.Sum(operation => operation.Cases);

    public bool Passed => Operations.TrueForAll(operation => operation.Failures.Count == 0);

    /// <summary>Runs every check of every case.</summary>
    /// <param name="progress">Called before each case.</param>
    public static VerificationReport Run(IEnumerable<OperationCase> cases, Backend device, Action<OperationCase>? progress = null)
    {
        var report = new VerificationReport(device);
        var byName = new Dictionary<string, OperationReport>();
        var clock = Stopwatch.StartNew();
        foreach (var operationCase in cases)
        {
            progress?.Invoke(operationCase);
            if (!byName.TryGetValue(operationCase.Operation, out var operation))
            {
                byName.Add(operationCase.Operation, operation = new OperationReport(operationCase.Operation));
                report.Operations.Add(operation);
            }
            operation.Add(operationCase, device);
        }
        report.Elapsed = clock.Elapsed;
        return report;
    }
}
