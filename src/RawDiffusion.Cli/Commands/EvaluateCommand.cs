using System.CommandLine;
using RawDiffusion.Cli.Output;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion evaluate RUN</c>.</summary>
internal static class EvaluateCommand
{
    public static Command Create()
    {
        var command = new Command("evaluate", "Sample a trained run and judge the samples as at its end. Writes nothing, unless a classifier is trained to guide by.");
        var options = new SamplingOptions(command);
        command.SetAction(parsed => options.Run(parsed, null, (run, config) =>
        {
            // A distance between sets needs a spread on both sides.
            if (run.Model.SampleShape.Rank == 3 && config.Sampling.Count < 2)
                throw new ArgumentException($"n must be at least 2 where images are judged, not {config.Sampling.Count}");
            var reporter = ConsoleReporter.ForStandardOutput();
            using var signals = new StopSignals(Console.Error);
            try
            {
                var samples = run.Sample(config.Sampling, config.Seed, reporter, stop: signals.Token, data: config.Data);
                var evaluation = run.Evaluate(samples, config, reporter, signals.Token);
                reporter.Table($"{config.Sampling.Count} samples of step {run.Step}", evaluation.Rows);
                return 0;
            }
            catch (OperationCanceledException) when (signals.ExitCode != 0)
            {
                return signals.ExitCode;
            }
        }));
        return command.WithExamples(
            "evaluate runs/eight-gaussians-1",
            "evaluate runs/eight-gaussians-1 --sampler ddim --steps 10",
            "evaluate runs/eight-gaussians-1/checkpoints/step-4000 --n 2000");
    }
}
