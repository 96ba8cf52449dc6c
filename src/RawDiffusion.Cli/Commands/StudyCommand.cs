using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Studies;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion study NAME</c>, <c>study all</c>, and <c>study --table FOLDER</c>.</summary>
internal static class StudyCommand
{
    private const string All = "all";

    public static Command Create()
    {
        var command = new Command("study", "A lesson of the theory: measurements, figures and a verdict against what is known exactly.");
        var name = new Argument<string?>("name") { Description = $"{All}, or one of: {Names}.", Arity = ArgumentArity.ZeroOrOne };
        var output = new Option<string?>("--out")
        {
            Description = $"Folder for the figures and {StudyRecord.FileName} of one study, or for the folders of all; by default studies/NAME. A table of all studies beside it is written as {StudyTable.FileName}.",
        };
        var quick = new Option<bool>("--quick") { Description = "Fewer samples and steps and one seed: to see whether everything works." };
        var table = new Option<string?>("--table") { Description = $"Runs nothing: writes {StudyTable.FileName} of a folder anew from the studies that are in it." };
        var models = new Option<string?>("--models") { Description = "Folder for networks of images, which several studies share; by default models beside the studies' folders." };
        var data = new Option<string?>("--data-dir") { Description = $"Folder with the four files of MNIST. {DataCommand.WhereElse}" };
        var offline = new Option<bool>("--offline") { Description = DataCommand.OfflineHelp };
        var device = new DeviceOption();
        command.Arguments.Add(name);
        command.Options.Add(output);
        command.Options.Add(quick);
        command.Options.Add(table);
        command.Options.Add(models);
        command.Options.Add(data);
        command.Options.Add(offline);
        device.AddTo(command);
        command.SetAction(parsed =>
        {
            string? wanted = parsed.GetValue(name), folder = parsed.GetValue(output);
            if (parsed.GetValue(table) is { } existing)
            {
                if (wanted is not null)
                    throw new ArgumentException($"--table runs no study; '{wanted}' is one too many");
                if (command.Options.FirstOrDefault(option => option != table && parsed.GetResult(option) is { Implicit: false }) is { } idle)
                    throw new ArgumentException($"--table runs no study, so {idle.Name} does not apply");
                return WriteTable(existing);
            }
            if (wanted is null)
                throw new ArgumentException($"study needs a name: {All}, or one of: {Names}");
            IReadOnlyList<Study> studies = wanted == All ? AllStudies.List : [AllStudies.Find(wanted)];
            if (!studies.Any(study => study.NeedsImages) && new Option[] { models, data, offline }.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } imageOption)
                throw new ArgumentException($"{imageOption.Name} is for studies of images, and {wanted} is none");
            bool ownFolder = folder is not null && studies.Count == 1;
            string root = folder ?? "studies";
            return Run(studies, root, study => ownFolder ? root : Path.Combine(root, study.Name), new StudySettings
            {
                Device = device.Open(parsed),
                Quick = parsed.GetValue(quick),
                ModelsFolder = parsed.GetValue(models),
                DataDirectory = parsed.GetValue(data),
                Offline = parsed.GetValue(offline),
            });
        });
        return command.WithExamples("study samplers", "study all --quick", "study likelihood --out likelihood", "study --table studies");
    }

    private static string Names => string.Join(", ", AllStudies.List.Select(study => study.Name));

    private static int WriteTable(string folder)
    {
        var (path, summary) = StudyTable.Write(folder);
        Console.WriteLine($"{summary} -> {Path.GetFullPath(path)}");
        return 0;
    }

    private static int Run(IReadOnlyList<Study> studies, string root, Func<Study, string> folder, StudySettings settings)
    {
        using var signals = new StopSignals(Console.Error);
        settings = settings with { Reporter = ConsoleReporter.ForStandardOutput(), Stop = signals.Token };
        try
        {
            var results = AllStudies.Run(studies, root, folder, settings);
            Grid.Write(["study", "criterion", "measured", "bound", ""], [.. results.SelectMany(Rows)]);
            Console.WriteLine($"the table: {Path.GetFullPath(Path.Combine(root, StudyTable.FileName))}");
            return results.All(result => result.Passed) ? 0 : 1;
        }
        catch (OperationCanceledException) when (signals.ExitCode != 0)
        {
            return signals.ExitCode;
        }
    }

    private static IEnumerable<string[]> Rows(StudyResult result) => result.Error is { } error
        ? [[result.Name, "(the study itself)", error.ReplaceLineEndings(" "), "to come to its end", "FAILED"]]
        : result.Criteria.Select(c => new[] { result.Name, c.What, c.Measured, c.Bound, c.Met ? "met" : "FAILED" });
}
