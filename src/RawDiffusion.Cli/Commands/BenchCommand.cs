using System.CommandLine;
using System.Globalization;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;
using RawDiffusion.Cli.Bench;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Studies;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.IO;
using RawDiffusion.Verification;
using RawDiffusion.Verification.Bench;
using RawDiffusion.Verification.Bench.Output;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion bench</c>: how fast each operation is, in each way there is to compute it; on the emulated GPU, what its kernels do.</summary>
internal static class BenchCommand
{
    private static readonly Dictionary<string, Func<BenchReport, string>> s_formats = new()
    {
        ["markdown"] = MarkdownPage.Write,
        ["csv"] = CsvTable.Write,
        ["json"] = report => report.ToJson() + "\n",
        ["html"] = HtmlPage.Write,
    };

    /// <summary>Of the emulator: from there on the user is told how long it will take.</summary>
    private const double LongSeconds = 120;

    /// <summary>What <c>--out</c> writes, and as what.</summary>
    private static readonly (string File, string Format)[] s_files = [("bench.md", "markdown"), ("bench.csv", "csv"), ("bench.json", "json"), ("bench.html", "html")];

    public static Command Create()
    {
        var command = new Command("bench", "Measure operations against the peaks of the device, and the rungs of their ladders side by side. On the emulated GPU it counts what the kernels do.");
        var operations = new Argument<string[]>("OPERATION")
        {
            Description = $"Which; by default all. There are: {string.Join(", ", BenchTable.All.Select(operation => operation.Name))}.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var device = new DeviceOption();
        var shapes = new Option<string[]>("--shapes")
        {
            Description = "Shapes for the one operation that is named, such as 4096x4096x4096 for matmul or 128x32x32x128k3 for conv2d; a wrong one shows the form.",
            AllowMultipleArgumentsPerToken = true,
        };
        var rungs = new Option<string[]>("--rung")
        {
            Description = $"Only these rungs of the ladders; '{BenchRow.Chosen}' is what the device takes by itself, '{BenchRow.Cublas}' NVIDIA's library. By default all.",
            AllowMultipleArgumentsPerToken = true,
        };
        var precisions = new Option<string[]>("--precision") { Description = "Only fp32, tf32 or bf16. By default all that the device has.", AllowMultipleArgumentsPerToken = true };
        var format = new Option<string>("--format") { Description = $"What is written to standard output: table, {string.Join(", ", s_formats.Keys)}.", DefaultValueFactory = _ => "table" };
        var folder = new Option<string?>("--out") { Description = $"A folder for {string.Join(", ", s_files.Select(file => file.File))}; made where it is not there." };
        var seconds = new Option<double>("--seconds") { Description = "How long each row is repeated.", DefaultValueFactory = _ => 0.25 };
        command.Arguments.Add(operations);
        device.AddTo(command);
        foreach (var option in new Option[] { shapes, rungs, precisions, format, folder, seconds })
            command.Options.Add(option);
        command.SetAction(parsed =>
        {
            string kind = parsed.GetValue(format)!;
            if (kind != "table" && !s_formats.ContainsKey(kind))
                throw new ArgumentException($"unknown format '{kind}'; there are: table, {string.Join(", ", s_formats.Keys)}");
            if (parsed.GetValue(seconds) is not (>= 0 and <= 3600))
                throw new ArgumentException("--seconds must be from 0 to 3600");
            OutputFiles.ExpectFree([.. s_files.Select(file => parsed.GetValue(folder) is { } to && Directory.Exists(to) ? Path.Combine(to, file.File) : null)]);
            var cases = Select(parsed.GetValue(operations) ?? [], [.. (parsed.GetValue(shapes) ?? []).Distinct()]);
            string[] variants = CheckRungs(parsed.GetValue(rungs) ?? []);
            Precision[] wanted = [.. (parsed.GetValue(precisions) ?? []).Select(Precisions.Parse).Distinct()];
            using var target = Open(device.Name(parsed), parsed.GetValue(seconds));
            var plan = new BenchPlan([.. cases.SelectMany(each => Cases(each, target.CountsOnly))], variants, wanted.Length > 0 ? wanted : target.Device.Precisions);
            foreach (var precision in plan.Precisions.Except(target.Device.Precisions))
                throw new ArgumentException($"the {target.Device.Name} device does not compute in {precision.Name()}; it does in {string.Join(", ", target.Device.Precisions.Select(p => p.Name()))}");
            PrepareFolder(parsed.GetValue(folder));
            var facts = Facts(target, parsed.Tokens.Select(token => token.Value));
            using var signals = new StopSignals(Console.Error);
            var report = Run(target, plan, facts, kind == "table" ? ConsoleReporter.ForStandardOutput() : new PlainReporter(Console.Error), signals.Token);
            Show(report, kind, parsed.GetValue(folder));
            return signals.ExitCode != 0 ? signals.ExitCode : report.Passed && !target.IsLost ? 0 : 1;
        });
        return command.WithExamples(
            "bench", "bench matmul --device cuda --out results/h100", "bench matmul --shapes 4096x4096x4096 --rung chosen cublas --precision bf16",
            "bench conv2d --device cpu --shapes 128x32x32x128k3 64x28x28x1to32k3", "bench matmul --device emulated --format markdown");
    }

    /// <summary>Makes the folder and tries to write to it: after an hour of measuring is too late to find that it cannot be done.</summary>
    private static void PrepareFolder(string? folder)
    {
        if (folder is null)
            return;
        if (File.Exists(folder))
            throw new IOException($"--out {folder} is a file; it takes a folder, which is made where it is not there");
        Directory.CreateDirectory(folder);
        using var probe = new FileStream(Path.Combine(folder, $".{Guid.NewGuid():N}"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
    }

    /// <summary>Opens what a device's name says, with the means to measure it.</summary>
    internal static BenchTarget Open(string name, double seconds)
    {
        if (name == Devices.Emulated || name.StartsWith(Devices.Emulated + ":", StringComparison.Ordinal))
        {
            var options = Devices.ParseEmulated(name[Devices.Emulated.Length..].TrimStart(':'));
            RawDiffusion.Cuda.CudaLibraries.Nvrtc.Load();
            return CountingTarget.Open(options);
        }
        return Device.Parse(name) switch
        {
            CudaBackend cuda => new CudaTarget(cuda, seconds),
            var cpu when cpu == Device.Cpu => new CpuTarget(seconds),
            var other => throw new ArgumentException($"the {other.Name} device is a definition, not to be timed; bench measures cpu, cuda and {Devices.Emulated}"),
        };
    }

    private static List<(BenchOperation Operation, string[] Shapes)> Select(string[] names, string[] shapes)
    {
        List<BenchOperation> chosen = names.Length == 0 ? [.. BenchTable.All] : [.. names.Select(BenchTable.Find).Distinct()];
        if (shapes.Length > 0 && chosen.Count != 1)
            throw new ArgumentException("--shapes needs one operation that they are shapes of: rawdiffusion bench matmul --shapes 1024x1024x1024");
        // Tells what is wrong with a shape before anything is measured.
        foreach (string shape in shapes)
            chosen[0].At(shape);
        return [.. chosen.Select(operation => (operation, shapes))];
    }

    private static IEnumerable<(BenchOperation, BenchCase)> Cases((BenchOperation Operation, string[] Shapes) chosen, bool small)
    {
        var operation = chosen.Operation;
        var shapes = chosen.Shapes.Length > 0 ? chosen.Shapes : small ? operation.SmallShapes : operation.Shapes;
        return shapes.Select(shape => (operation, operation.At(shape)));
    }

    private static string[] CheckRungs(string[] names)
    {
        string[] known = [BenchRow.Chosen, BenchRow.Cublas, .. Ladders.All.SelectMany(ladder => ladder.Rungs).Select(rung => rung.Name).Distinct()];
        foreach (string name in names)
        {
            if (!known.Contains(name))
                throw new ArgumentException($"no rung is called '{name}'; {NearestName.Hint(name, known)}there are: {string.Join(", ", known)}");
        }
        return names;
    }

    private static List<BenchFact> Facts(BenchTarget target, IEnumerable<string> arguments) =>
    [
        new("date", DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)),
        .. target.Facts.Select(fact => new BenchFact(fact.Name, fact.Value)),
        new("commit", SourceVersion.Commit),
        new("command", $"rawdiffusion {string.Join(' ', arguments)}"),
    ];

    /// <param name="stop">Ends the run after the row that is measured; what was measured until then is a report.</param>
    private static BenchReport Run(BenchTarget target, BenchPlan plan, List<BenchFact> facts, IRunReporter reporter, CancellationToken stop)
    {
        var runner = new BenchRunner(target);
        int count = runner.Count(plan);
        if (count == 0)
        {
            throw new ArgumentException($"there is nothing to measure: {string.Join(", ", plan.Cases.Select(each => each.Operation.Name).Distinct())} on {target.Device.Name} in "
                + $"{string.Join(", ", plan.Precisions.Select(precision => precision.Name()))} {(plan.Variants.Count == 0 ? "is not computed" : $"has none of the rungs {string.Join(", ", plan.Variants)}")}"
                + (plan.Variants.Contains(BenchRow.Cublas) && target.WhyNoCublas is { } missing ? $"; {missing}" : ""));
        }
        var remarks = new List<string>();
        if (target.CountsOnly)
        {
            remarks.Add("An emulator executed the kernels: these are counts of what they do, never times of a GPU.");
            if (CountingTarget.EstimateSeconds(runner, plan) is > LongSeconds and var seconds)
            {
                reporter.Line(FormattableString.Invariant($"this takes about {Math.Ceiling(seconds / 60)} minutes on this machine. ")
                    + "What is counted for each multiply-add hardly depends on the size, so smaller --shapes tell the same sooner, or fewer --rung and --precision; Ctrl-C ends with what was counted until then");
            }
        }
        if (plan.Wants(BenchRow.Cublas) && plan.Cases.Any(each => each.Case.Product is not null) && target.WhyNoCublas is { } why)
            remarks.Add($"cuBLAS is not measured beside: {why.ReplaceLineEndings(" ")}");
        foreach (string remark in remarks)
            reporter.Line(remark);
        var peaks = target.MeasurePeaks();
        var rows = new List<BenchRow>();
        reporter.Begin("bench", count, unit: "rows");
        foreach (var row in runner.Run(plan))
        {
            rows.Add(row);
            reporter.Report(rows.Count);
            if (target.IsLost)
            {
                remarks.Add($"The device was lost after {row.Operation} {row.Shape} {row.Variant}; nothing was measured from there on.");
                break;
            }
            if (stop.IsCancellationRequested && rows.Count < count)
            {
                remarks.Add($"Stopped after {rows.Count} of {count} rows.");
                break;
            }
        }
        reporter.End();
        if (peaks is not null && !target.IsLost && !stop.IsCancellationRequested)
            peaks = BenchPeaks.Best(peaks, target.MeasurePeaks()!);
        return new BenchReport { Facts = facts, Peaks = peaks, Rows = rows, Remarks = remarks };
    }

    private static void Show(BenchReport report, string kind, string? folder)
    {
        if (kind == "table")
            ShowTable(report, ConsoleReporter.ForStandardOutput());
        else
            Console.Out.Write(s_formats[kind](report));
        if (folder is null)
            return;
        foreach (var (file, format) in s_files)
            AtomicFile.WriteAllText(Path.Combine(folder, file), s_formats[format](report));
        (kind == "table" ? Console.Out : Console.Error).WriteLine($"written: {string.Join(", ", s_files.Select(file => Path.Combine(folder, file.File)))}");
    }

    private static void ShowTable(BenchReport report, IRunReporter reporter)
    {
        reporter.Table("Run", [.. report.Facts.Select(fact => (fact.Name, fact.Value))]);
        if (report.Peaks is not null)
            reporter.Table("Peaks, measured in this run", BenchTableText.Peaks(report));
        // The last column tells what went wrong, in whole sentences: they follow below.
        Grid.Write([.. BenchTableText.Columns(report).SkipLast(1), ""], [.. report.Rows.Select(row => (string[])
            [.. BenchTableText.Cells(report, row).SkipLast(1), row.Outcome switch { BenchOutcome.Wrong => "WRONG", BenchOutcome.Failed => "FAILED", BenchOutcome.Unsupported => "not done", _ => "" }])]);
        reporter.Table("What the numbers mean", MarkdownPage.Legend(report));
        foreach (var row in report.Rows.Where(row => row.Outcome is BenchOutcome.Wrong or BenchOutcome.Failed or BenchOutcome.Unsupported))
            reporter.Line($"{row.Operation} {row.Shape} {row.Variant} {row.Precision}: {row.Outcome switch { BenchOutcome.Wrong => "WRONG, not measured: ", BenchOutcome.Failed => "FAILED: ", _ => "" }}{row.Note.ReplaceLineEndings(" ")}");
        foreach (string remark in report.Remarks)
            reporter.Line(remark);
    }
}
