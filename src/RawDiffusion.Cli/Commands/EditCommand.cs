using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Editing;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion edit RUN</c>.</summary>
internal static class EditCommand
{
    public static Command Create()
    {
        var command = new Command("edit", "Give an image noise and have the model of a run take it away again (SDEdit): a rough drawing becomes what the model knows. Shows the image and what was made of it.");
        var options = new EditingOptions(command, 1, "How many times.");
        var strength = new Option<double>("--strength")
        {
            Description = "Which part of the process is gone through: near 0 the image stays as it is, with 1 it is forgotten.",
            DefaultValueFactory = _ => 0.5,
        };
        command.Options.Add(strength);
        command.SetAction(parsed => options.Run(parsed, command.Name, task =>
        {
            var made = SdEdit.Edit(task.Denoiser, task.Copies, task.Times(parsed.GetValue(strength)), task.Noise, task.ClipX0, task.Watch);
            return (made, Tensor.Concat([task.Images, made]));
        }));
        return command.WithExamples("edit runs/mnist-1 --image drawing.png --strength 0.6", "edit runs/mnist-conditional-1 --image drawing.png --label 3 --guidance 2");
    }
}
