using System.CommandLine;
using System.Globalization;
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
        var quick = new Option<bool>("--quick") { Description = "Fewer samples and steps and one seed: to see whether everything works." };
        var models = new Option<string?>("--models") { Description = "Folder for networks of images, which several studies share; by default models beside the studies' folders." };
        var data = new Option<string?>("--data-dir") { Description = $"Folder with the four files of MNIST. {DataCommand.WhereElse}" };
        var offline = new Option<bool>("--offline") { Description = DataCommand.OfflineHelp };
        var device = new DeviceOption();
        command.Arguments.Add(name);
        command.Options.Add(output);
        command.Options.Add(quick);
        command.Options.Add(models);
        command.Options.Add(data);
        command.Options.Add(offline);
        device.AddTo(command);
        command.SetAction(parsed =>
        {
            string wanted = parsed.GetValue(name)!;
            IReadOnlyList<Study> studies = wanted == "all" ? AllStudies.List : [AllStudies.Find(wanted)];
            string root = parsed.GetValue(output) ?? "studies";
            return Run(studies, study => parsed.GetValue(output) is not null && studies.Count == 1 ? root : Path.Combine(root, study.Name), new StudySettings
            {
                Device = device.Open(parsed),
                Quick = parsed.GetValue(quick),
                ModelsFolder = parsed.GetValue(models),
                DataDirectory = parsed.GetValue(data),
                Offline = parsed.GetValue(offline),
            });
        });
        return command.WithExamples("study samplers", "study all --quick", "study likelihood --out likelihood");
    }

    private static int Run(IReadOnlyList<Study> studies, Func<Study, string> folder, StudySettings settings)
    {
        var reporter = ConsoleReporter.ForStandardOutput();
        using var signals = new StopSignals(Console.Error);
        settings = settings with { Reporter = reporter, Stop = signals.Token };
        var rows = new List<string[]>();
        bool passed = true;
        try
        {
            foreach (var study in studies)
            {
                reporter.Line($"{study.Name}: {study.Lesson}");
                var result = study.Run(folder(study), settings);
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
