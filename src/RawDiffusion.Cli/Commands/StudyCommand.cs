using System.CommandLine;
using System.Globalization;
using RawDiffusion.Backends;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Studies;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion study NAME</c>, and <c>study all</c>.</summary>
internal static class StudyCommand
{
    public static Command Create()
    {
        var command = new Command("study", "A lesson of the theory: measurements, figures and a verdict against what is known exactly.");
        var name = new Argument<string>("name") { Description = $"all, or one of: {string.Join(", ", AllStudies.List.Select(study => study.Name))}." };
        var output = new Option<string?>("--out") { Description = "Folder for the figures and metrics.json; by default studies/NAME." };
        var quick = new Option<bool>("--quick") { Description = "Fewer samples and one seed." };
        var device = new DeviceOption();
        command.Arguments.Add(name);
        command.Options.Add(output);
        command.Options.Add(quick);
        device.AddTo(command);
        command.SetAction(parsed =>
        {
            string wanted = parsed.GetValue(name)!;
            IReadOnlyList<Study> studies = wanted == "all" ? AllStudies.List : [AllStudies.Find(wanted)];
            string root = parsed.GetValue(output) ?? "studies";
            return Run(studies, study => parsed.GetValue(output) is not null && studies.Count == 1 ? root : Path.Combine(root, study.Name), device.Open(parsed), parsed.GetValue(quick));
        });
        return command.WithExamples("study samplers", "study all --quick", "study likelihood --out likelihood");
    }

    private static int Run(IReadOnlyList<Study> studies, Func<Study, string> folder, Backend device, bool quick)
    {
        var reporter = ConsoleReporter.ForStandardOutput();
        using var signals = new StopSignals(Console.Error);
        var rows = new List<string[]>();
        bool passed = true;
        try
        {
            foreach (var study in studies)
            {
                reporter.Line($"{study.Name}: {study.Lesson}");
                var result = study.Run(folder(study), device, reporter, quick, signals.Token);
                passed &= result.Passed;
                rows.AddRange(result.Criteria.Select(c => new[] { study.Name, c.What, c.Measured, c.Bound, c.Met ? "met" : "FAILED" }));
                reporter.Line(string.Create(CultureInfo.InvariantCulture, $"{study.Name}: {result.Elapsed.TotalSeconds:0.0} s -> {Path.GetFullPath(folder(study))}"));
            }
        }
        catch (OperationCanceledException) when (signals.ExitCode != 0)
        {
            return signals.ExitCode;
        }
        Grid.Write(["study", "criterion", "measured", "bound", ""], rows);
        return passed ? 0 : 1;
    }
}
