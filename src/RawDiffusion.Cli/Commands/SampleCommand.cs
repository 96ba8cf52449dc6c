using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion sample RUN</c>.</summary>
internal static class SampleCommand
{
    public static Command Create()
    {
        var command = new Command("sample", "Draw samples of a trained run: a picture and a safetensors file.");
        var options = new SamplingOptions(command);
        var label = new Option<int?>("--label") { Description = "The class of all samples; by default the classes take turns." };
        var attribute = new Option<string[]>("--attribute")
        {
            Description = "What all samples are to be, of a model that is told attributes: colour=red style=italic; any for not telling it.",
            AllowMultipleArgumentsPerToken = true,
        };
        var trajectory = new Option<string?>("--trajectory") { Description = "Also write the way from noise to samples: an animated GIF." };
        var output = new Option<string?>("--out") { Description = "Name of the two files, without end; by default RUN/samples/sample-N." };
        command.Options.Add(label);
        command.Options.Add(attribute);
        command.Options.Add(trajectory);
        command.Options.Add(output);
        command.SetAction(parsed => options.Run(parsed, (run, config) => Pictures.Count(run.Model, config), (run, config) =>
        {
            string? gif = parsed.GetValue(trajectory);
            string name = parsed.GetValue(output) is { } wanted ? OutputFiles.WithoutEnd(wanted) : OutputFiles.NextName(run.Folder, "sample");
            OutputFiles.ExpectFree(gif, name + ".png", name + ".safetensors");
            var attributes = NamedValues.Read("attribute", parsed.GetValue(attribute) ?? [], "colour=red");
            return Sample(run, config, parsed.GetValue(label), attributes, name, gif);
        }));
        return command.WithExamples(
            "sample runs/mnist-1",
            "sample runs/mnist-1 --n 100 --sampler ddim --steps 50 --seed 7 --out digits",
            "sample runs/mnist-1 --label 3 --guidance 2 --trajectory threes.gif",
            "sample runs/mnist-2 --label 3 --classifier-guidance 8",
            "sample runs/colour-digits-1 --attribute digit=3 colour=red style=italic --guidance 2 --guidance-of colour=1",
            "sample runs/eight-gaussians-1/checkpoints/step-4000 --eta 0.5 --sampler ddim");
    }

    private static int Sample(TrainedRun run, RunConfig config, int? label, IReadOnlyDictionary<string, string> attributes, string name, string? gif)
    {
        var reporter = ConsoleReporter.ForStandardOutput();
        using var signals = new StopSignals(Console.Error);
        var pictures = Pictures.For(run.Model, config);
        var trajectory = gif is null ? null : new Trajectory(config.Sampling.Steps, (time, x) => pictures.Draw(x, FormattableString.Invariant($"t = {time:0.00}")));
        SampleSet samples;
        try
        {
            samples = run.Sample(config.Sampling, config.Seed, reporter, label, trajectory is null ? null : trajectory.Add, signals.Token, attributes, config.Data);
        }
        catch (OperationCanceledException) when (signals.ExitCode != 0)
        {
            return signals.ExitCode;
        }
        samples.Save(name + ".safetensors");
        pictures.Draw(samples.X, $"{config.Sampling.Sampler}, {config.Sampling.Steps} steps").Save(name + ".png");
        if (gif is not null)
            trajectory!.Save(gif);
        List<(string, string)> rows = [("picture", name + ".png"), ("samples", name + ".safetensors")];
        if (gif is not null)
            rows.Add(("trajectory", gif));
        reporter.Table($"{config.Sampling.Count} samples of step {run.Step}", rows);
        return 0;
    }
}
