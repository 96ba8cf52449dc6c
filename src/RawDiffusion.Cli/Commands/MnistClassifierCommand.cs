using System.CommandLine;
using System.Globalization;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion train mnist-classifier</c>.</summary>
internal static class MnistClassifierCommand
{
    private const string Preset = "mnist-classifier";

    public static Command Create()
    {
        var defaults = new MnistClassifierOptions { DataDirectory = "" };
        var command = new Command(
            Preset,
            "A convolutional classifier of MNIST's digits. Example: train mnist-classifier --data-dir ~/mnist --seed 7");
        var dataDirectory = new Option<string>("--data-dir")
        {
            Description = "Folder with the four IDX files of MNIST, plain or with .gz.",
            Required = true,
        };
        command.Options.Add(dataDirectory);
        var common = new CommonOptions(command, defaults.Steps, defaults.Batch, defaults.LearningRate);
        command.SetAction(parsed =>
        {
            var options = new MnistClassifierOptions
            {
                DataDirectory = parsed.GetValue(dataDirectory)!,
                Seed = parsed.GetValue(common.Seed),
                Steps = parsed.GetValue(common.Steps),
                Batch = parsed.GetValue(common.Batch),
                LearningRate = parsed.GetValue(common.LearningRate),
            };
            options.Check();
            var device = common.Device(parsed);
            return Run(options, common.Folder(parsed, Preset), device);
        });
        return command;
    }

    private static int Run(MnistClassifierOptions options, RunFolder folder, Backends.Backend device)
    {
        var reporter = ConsoleReporter.ForStandardOutput();
        reporter.Line($"{Preset} on {device.Name}, seed {options.Seed} -> {folder.Path}");
        var metrics = MnistClassifierRun.Execute(options, folder, device, reporter);
        reporter.Table("Result",
        [
            ("test accuracy", Text($"{100 * (double)metrics["testAccuracy"]:0.00}% of {metrics["testImages"]} digits")),
            ("parameters", Text($"{metrics["parameters"]:#,0}")),
            ("time", Text($"{metrics["totalSeconds"]} s, of which training {metrics["trainingSeconds"]} s")),
        ]);
        return 0;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
