using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Editing;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion interpolate RUN</c>.</summary>
internal static class InterpolateCommand
{
    public static Command Create()
    {
        var command = new Command("interpolate", "Go from one image to another through the noise that the model of a run makes them from (DDIM). Shows the first image, the way and the second.");
        var options = new EditingOptions(command, 2, "Images on the way, both ends included.", draws: false);
        command.SetAction(parsed => options.Run(parsed, command.Name, task =>
        {
            if (task.Count < 2)
                throw new ArgumentException($"n must be at least 2, both ends of the way, not {task.Count}");
            double[] weights = [.. Enumerable.Range(0, task.Count).Select(i => i / (task.Count - 1.0))];
            Tensor first = task.Images.Slice(0, 0, 1), second = task.Images.Slice(0, 1, 1);
            var made = Interpolation.Between(task.Denoiser, first, second, weights, task.Times(), task.ClipX0, task.Watch);
            return (made, Tensor.Concat([first, made, second]));
        }));
        return command.WithExamples(
            "interpolate runs/mnist-1 --index 3 8", "interpolate runs/mnist-1 --image three.png eight.png --steps 200 --n 12 --out way");
    }
}
