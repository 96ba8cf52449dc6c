using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Editing;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.IO;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion inpaint RUN</c>.</summary>
internal static class InpaintCommand
{
    private const string Replacement = "replacement", RePaint = "repaint", Gradient = "gradient";

    public static Command Create()
    {
        var command = new Command("inpaint", "Fill in the part of an image that a mask leaves open, with the model of a run. Shows the image, what is known of it, and what was made.");
        var options = new EditingOptions(command, 1, "How many ways to fill it in.");
        var mask = new Option<string>("--mask")
        {
            Description = "A PNG file of the size of the image: what is white is kept, what is black or transparent is filled in; greys count as the nearer of the two.",
            Required = true,
        };
        var method = new Option<string>("--method")
        {
            Description = $"{Replacement} (the known part with its noise at every step), {RePaint} (the same, back and forth) or {Gradient} (reconstruction guidance).",
            DefaultValueFactory = _ => RePaint,
        };
        var jump = new Option<int>("--jump") { Description = $"For {RePaint}: steps that are undone at a time.", DefaultValueFactory = _ => 10 };
        var resamplings = new Option<int>("--resamplings") { Description = $"For {RePaint}: how often each stretch is walked.", DefaultValueFactory = _ => 10 };
        var weight = new Option<double>("--weight") { Description = $"For {Gradient}: how strongly the known part pulls.", DefaultValueFactory = _ => 2 };
        foreach (var option in new Option[] { mask, method, jump, resamplings, weight })
            command.Options.Add(option);
        command.SetAction(parsed =>
        {
            string wanted = parsed.GetValue(method)!;
            if (wanted is not (Replacement or RePaint or Gradient))
                throw new ArgumentException($"unknown method '{wanted}'; there are: {Replacement}, {RePaint}, {Gradient}");
            foreach (var (option, whose) in new (Option, string)[] { (jump, RePaint), (resamplings, RePaint), (weight, Gradient) })
            {
                if (whose != wanted && parsed.GetResult(option) is { Implicit: false })
                    throw new ArgumentException($"{option.Name} is for the method {whose}, not for {wanted}");
            }
            return options.Run(parsed, command.Name, task =>
            {
                var model = task.Run.Model;
                string maskFile = parsed.GetValue(mask)!;
                var known = new KnownPart(task.Copies, PictureFiles.LoadMask(maskFile, model.SampleShape, task.Run.Device));
                if (known.Mask.Min().Item() == 1)
                    throw new FileFormatException(maskFile, "it keeps the whole image, so there is nothing to fill in");
                var start = Sampler.Prior(model.Process, known.X.Shape, task.Noise, task.Run.Device);
                var made = wanted switch
                {
                    Replacement => Inpainting.Replacement(task.Denoiser, known, start, task.Times(), task.Noise, task.ClipX0, task.Watch),
                    RePaint => Inpainting.RePaint(
                        task.Denoiser, known, start, task.Times(), task.Noise, parsed.GetValue(jump), parsed.GetValue(resamplings), task.ClipX0, task.Watch),
                    _ => Inpainting.Guided(task.Denoiser, known, start, task.Times(), task.Noise, parsed.GetValue(weight), task.ClipX0, task.Watch),
                };
                // What is to be filled in is shown grey.
                var left = known.X.Slice(0, 0, 1);
                return (made, Tensor.Concat([task.Images, left, made]));
            });
        });
        return command.WithExamples(
            "inpaint runs/mnist-1 --image digit.png --mask mask.png",
            "inpaint runs/mnist-1 --index 7 --mask mask.png --method replacement --steps 250 --out filled",
            "inpaint runs/mnist-1 --index 7 --mask mask.png --resamplings 20 --jump 5");
    }
}
