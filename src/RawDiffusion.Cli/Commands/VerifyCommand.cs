using System.CommandLine;
using System.Globalization;
using RawDiffusion.Backends;
using RawDiffusion.Cli.Output;
using RawDiffusion.Verification;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion verify</c>: whether a device computes every operation right.</summary>
internal static class VerifyCommand
{
    private const int ShownFailures = 3;

    public static Command Create()
    {
        var command = new Command("verify", "Compare every operation and its gradients on a device with the naive definitions in float64.");
        var device = new DeviceOption();
        var operation = new Option<string[]>("--operation")
        {
            Description = "Only the cases whose name contains this: an operation, or part of its name and shapes. May be given several times.",
        };
        var seed = new Option<ulong>("--seed") { Description = "Another seed gives the inputs other values." };
        var precision = new Option<string>("--precision")
        {
            Description = "Compare what a GPU computes in fp32, tf32 or bf16, with the tolerance of that.",
            DefaultValueFactory = _ => Precision.Float32.Name(),
        };
        device.AddTo(command);
        command.Options.Add(precision);
        command.Options.Add(operation);
        command.Options.Add(seed);
        command.SetAction(parsed =>
        {
            var cases = Select(parsed.GetValue(operation) ?? [], parsed.GetValue(seed));
            return Run(cases, device.Open(parsed), Precisions.Parse(parsed.GetValue(precision)!));
        });
        return command.WithExamples("verify", "verify --device cpu --operation conv2d", "verify --device cuda:1 --seed 7", "verify --device emulated:checked,seed=3", "verify --device emulated --precision bf16");
    }

    private static List<OperationCase> Select(string[] filters, ulong seed)
    {
        foreach (string filter in filters)
        {
            if (!OperationTable.All.Any(row => Matches(row, filter)))
            {
                string[] names = [.. OperationTable.All.Select(row => row.Operation).Distinct()];
                throw new ArgumentException($"no operation is called '{filter}'; {NearestName.Hint(filter, names)}there are: {string.Join(", ", names)}");
            }
        }
        return [.. OperationTable.All.Where(row => filters.Length == 0 || filters.Any(filter => Matches(row, filter))).Select(row => row with { Seed = seed })];
    }

    private static bool Matches(OperationCase row, string filter) => row.ToString().Contains(filter, StringComparison.OrdinalIgnoreCase);

    private static int Run(List<OperationCase> all, Backend device, Precision precision)
    {
        if (!device.Precisions.Contains(precision))
            throw new ArgumentException($"the {device.Name} device does not compute in {precision.Name()}; it does in {string.Join(", ", device.Precisions.Select(p => p.Name()))}");
        device.AllowTf32 = precision == Precision.Tf32;
        var cases = precision == Precision.BFloat16 ? all.FindAll(row => row.HasBFloat16) : all;
        var reporter = ConsoleReporter.ForStandardOutput();
        reporter.Line($"{cases.Count} cases on {device.Name} in {precision.Name()} against reference");
        if (cases.Count < all.Count)
            reporter.Line($"{all.Count - cases.Count} cases are of operations that are float32 in every precision: random numbers, the noise schedule, losses");
        reporter.Begin("verify", cases.Count, unit: "cases");
        var report = VerificationReport.Run(Watched(), device, precision);
        reporter.End();

        IEnumerable<OperationCase> Watched()
        {
            for (int i = 0; i < cases.Count && !Devices.IsLost(device); i++)
            {
                yield return cases[i];
                reporter.Report(i + 1);
            }
        }

        Grid.Write(
            ["operation", "cases", "output", "gradients", ""],
            [.. report.Operations.Select(row => new[]
            {
                row.Operation, Text($"{row.Cases}"), Worst(row.Output), row.Differentiable ? Worst(row.Gradients) : "-",
                row.Failures.Count == 0 ? "ok" : Text($"{row.Failures.Count} failed"),
            })]);
        reporter.Line("output, gradients: the largest error in parts of what is allowed ("
            + precision switch
            {
                Precision.BFloat16 => "1.6e-2 of the value, and of the root mean square of all)",
                Precision.Tf32 => "5e-3 of the value, and of the root mean square of all)",
                _ => "PyTorch's float32 tolerance, times the root of the terms summed)",
            });
        foreach (var row in report.Operations)
            ShowFailures(row, reporter);
        if (report.Cases < cases.Count)
            reporter.Line($"{device.Name} is lost after {report.Cases} of {cases.Count} cases");
        bool passed = report.Passed && report.Cases == cases.Count;
        reporter.Line(Text($"{device.Name}: {report.Operations.Count(row => row.Failures.Count == 0)} of {report.Operations.Count} operations {(passed ? "agree" : "agree; FAILED")}, {report.Cases} cases in {report.Elapsed.TotalSeconds:0.0} s"));
        return passed ? 0 : 1;
    }

    private static void ShowFailures(OperationReport row, Diffusion.Training.IRunReporter reporter)
    {
        foreach (string failure in row.Failures.Take(ShownFailures))
        {
            // A stack trace is for who debugs a backend, and the tests show it; here the report of the failure is enough.
            foreach (string line in failure.Split('\n').Where(line => !line.StartsWith("   at ", StringComparison.Ordinal)))
                reporter.Line(line.TrimEnd());
        }
        if (row.Failures.Count > ShownFailures)
            reporter.Line($"{row.Operation}: {row.Failures.Count - ShownFailures} more failed");
    }

    private static string Worst(CheckResult result) => double.IsFinite(result.Worst) ? Text($"{result.Worst:0.000}") : "not comparable";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
