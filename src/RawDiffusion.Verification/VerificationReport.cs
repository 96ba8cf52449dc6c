using System.Diagnostics;
using RawDiffusion.Backends;

namespace RawDiffusion.Verification;

/// <summary>How one operation came out on a device, over all its cases.</summary>
public sealed class OperationReport(string operation)
{
    public string Operation { get; } = operation;

    public int Cases { get; private set; }

    /// <summary>Whether any case has gradients.</summary>
    public bool Differentiable { get; private set; }

    /// <summary>The worst output: |device - reference| / tolerance, up to 1 passes.</summary>
    public CheckResult Output { get; private set; }

    /// <summary>The worst gradient.</summary>
    public CheckResult Gradients { get; private set; }

    /// <summary>One message per failed case.</summary>
    public List<string> Failures { get; } = [];

    internal void Add(OperationCase operationCase, CaseComparison comparison)
    {
        Cases++;
        Differentiable |= operationCase.Differentiable;
        Output = Output.And(comparison.Output);
        Gradients = Gradients.And(comparison.Gradients);
        if (comparison.Both.Failure is { } failure)
            Failures.Add(failure);
    }
}

/// <summary>A device compared with Reference, operation by operation.</summary>
public sealed class VerificationReport
{
    private VerificationReport(Backend device) => Device = device;

    public Backend Device { get; }

    /// <summary>In the order of the cases.</summary>
    public List<OperationReport> Operations { get; } = [];

    public TimeSpan Elapsed { get; private set; }

    public int Cases => Operations.Sum(operation => operation.Cases);

    /// <summary>Whether every case passed; of no cases, every one has.</summary>
    public bool Passed => Operations.TrueForAll(operation => operation.Failures.Count == 0);

    /// <summary>Compares every case; none of them throws.</summary>
    /// <param name="cases">Enumerated one by one: they may end early, when a device is lost.</param>
    public static VerificationReport Run(IEnumerable<OperationCase> cases, Backend device, Precision precision = Precision.Float32)
    {
        var report = new VerificationReport(device);
        var byName = new Dictionary<string, OperationReport>();
        var clock = Stopwatch.StartNew();
        foreach (var operationCase in cases)
        {
            if (!byName.TryGetValue(operationCase.Operation, out var operation))
            {
                byName.Add(operationCase.Operation, operation = new OperationReport(operationCase.Operation));
                report.Operations.Add(operation);
            }
            operation.Add(operationCase, CaseVerifier.Compare(operationCase, device, precision));
        }
        report.Elapsed = clock.Elapsed;
        return report;
    }
}
