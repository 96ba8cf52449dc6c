using System.CommandLine;
using System.Globalization;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion train eight-gaussians</c>.</summary>
internal static class EightGaussiansCommand
{
    private const string Preset = "eight-gaussians";

    public static Command Create()
    {
        var defaults = new EightGaussiansOptions();
        var command = new Command(
            Preset,
            "A DDPM on eight Gaussians on a circle. Needs no data. Example: train eight-gaussians --sampler ddim --sampling-steps 50 --seed 7");
        var common = new CommonOptions(command, defaults.Steps, defaults.Batch, defaults.LearningRate);
        var schedule = new Option<string>("--schedule") { Description = "Noise schedule: linear or cosine.", DefaultValueFactory = _ => defaults.Schedule };
        var sampler = new Option<string>("--sampler") { Description = "ddpm (ancestral) or ddim.", DefaultValueFactory = _ => defaults.Sampler };
        var samplingSteps = new Option<int>("--sampling-steps") { Description = "Steps of the sampler.", DefaultValueFactory = _ => defaults.SamplingSteps };
        var eta = new Option<double>("--eta") { Description = "DDIM's eta: 0 deterministic, 1 like ddpm.", DefaultValueFactory = _ => defaults.Eta };
        var samples = new Option<int>("--samples") { Description = "Samples drawn and judged at the end.", DefaultValueFactory = _ => defaults.Samples };
        foreach (var option in new Option[] { schedule, sampler, samplingSteps, eta, samples })
            command.Options.Add(option);
        command.SetAction(parsed =>
        {
            var options = new EightGaussiansOptions
            {
                Seed = parsed.GetValue(common.Seed),
                Steps = parsed.GetValue(common.Steps),
                Batch = parsed.GetValue(common.Batch),
                LearningRate = parsed.GetValue(common.LearningRate),
                Schedule = parsed.GetValue(schedule)!,
                Sampler = parsed.GetValue(sampler)!,
                SamplingSteps = parsed.GetValue(samplingSteps),
                Eta = parsed.GetValue(eta),
                Samples = parsed.GetValue(samples),
            };
            options.Check();
            var device = common.Device(parsed);
            return Run(options, common.Folder(parsed, Preset), device);
        });
        return command;
    }

    private static int Run(EightGaussiansOptions options, RunFolder folder, Backends.Backend device)
    {
        var reporter = ConsoleReporter.ForStandardOutput();
        reporter.Line($"eight-gaussians on {device.Name}, seed {options.Seed} -> {folder.Path}");
        var metrics = EightGaussiansRun.Execute(options, folder, device, reporter);
        var shares = (double[])metrics["modeShares"];
        reporter.Table("Result",
        [
            ("sliced Wasserstein", Text($"{metrics["slicedWasserstein"]:0.0000}, {metrics["slicedWassersteinRatio"]:0.00} x the floor of {metrics["slicedWassersteinFloor"]:0.0000} between two fresh data sets")),
            ("modes found", Text($"{metrics["modesFound"]} of {shares.Length}")),
            ("share per mode", string.Join(" ", shares.Select(s => Text($"{100 * s:0.0}%")))),
            ("strays", Text($"{100 * (double)metrics["strayShare"]:0.00}%")),
            ("picture", folder.InFolder("samples", $"step-{options.Steps}.png")),
            ("time", Text($"{metrics["totalSeconds"]} s, of which training {metrics["trainingSeconds"]} s")),
        ]);
        return 0;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
