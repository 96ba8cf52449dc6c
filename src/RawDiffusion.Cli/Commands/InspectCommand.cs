using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Training.Records;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion inspect PATH</c>.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        var command = new Command("inspect", "Show what is in a run, a checkpoint, a model folder, or a safetensors, PNG, IDX or JSON file.");
        var path = new Argument<string>("PATH") { Description = "A file or folder." };
        command.Arguments.Add(path);
        command.SetAction(parsed =>
        {
            var inspection = Inspection.Of(parsed.GetValue(path)!);
            ConsoleReporter.ForStandardOutput().Table(inspection.Title, inspection.Facts);
            if (inspection.Columns.Count > 0)
                Grid.Write(inspection.Columns, inspection.Rows);
            return 0;
        });
        return command.WithExamples(
            "inspect runs/mnist-1",
            "inspect runs/mnist-1/checkpoints/step-500/ema",
            "inspect runs/mnist-1/samples.safetensors");
    }
}
