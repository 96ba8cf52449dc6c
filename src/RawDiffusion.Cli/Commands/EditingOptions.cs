using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Editing;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Cli.Commands;

/// <summary>What a command that changes images works with.</summary>
/// <param name="Denoiser">The run's model, told the class that the user named, or nothing.</param>
/// <param name="Images">The images that were named, [k, height, width, channels].</param>
/// <param name="Noise">Where noise comes from.</param>
/// <param name="Watch">Is to be told of every step of a sampler.</param>
internal sealed record EditingTask(TrainedRun Run, RunConfig Config, Denoiser Denoiser, Tensor Images, Generator Noise, Action<SamplerProgress> Watch)
{
    public int Count => Config.Sampling.Count;

    public double ClipX0 => Config.Sampling.ClipX0 ?? double.PositiveInfinity;

    /// <summary>As many falling times as the user wants steps, from a part of the process on.</summary>
    /// <exception cref="ArgumentException">No signal is left where they begin.</exception>
    public double[] Times(double strength = 1)
    {
        double[] times = SdEdit.Times(Run.Model.Process, strength, Config.Sampling.Steps);
        return double.IsFinite(Run.Model.Process.NoiseToSignal(times[0]))
            ? times
            : throw new ArgumentException($"images are changed by way of noise with some signal left, and the schedule {Config.Process.Schedule} of this run ends without; only edit with a --strength below 1 can");
    }

    /// <summary>The first image, as often as samples are wanted.</summary>
    public Tensor Copies => Images.Slice(0, 0, 1).BroadcastTo([Count, .. Run.Model.SampleShape.ToArray()]);
}

/// <summary>The options of commands that change images with the model of a run, and what these commands have in common.</summary>
internal sealed class EditingOptions
{
    private const int DefaultCount = 8, Zoom = 4;

    private readonly int _images;
    private readonly bool _draws;
    private readonly ConfigOptions _config;
    private readonly DeviceOption _device = new();
    private readonly Argument<string> _run = new("RUN") { Description = "Folder of a run of images, or of one of its checkpoints." };
    private readonly Option<string[]> _image = new("--image") { AllowMultipleArgumentsPerToken = true };
    private readonly Option<int[]> _index = new("--index") { AllowMultipleArgumentsPerToken = true };
    private readonly Option<int?> _label = new("--label") { Description = "The class of the images, for a model that is told classes; by default none." };
    private readonly Option<string?> _output = new("--out") { Description = "Name of the two files, without end; by default RUN/samples/COMMAND-N." };

    /// <param name="images">How many images the user is to name.</param>
    /// <param name="count">What the number of samples means.</param>
    /// <param name="draws">Whether the command draws noise, so that a seed changes what it makes.</param>
    public EditingOptions(Command command, int images, string count, bool draws = true)
    {
        (_images, _draws) = (images, draws);
        string each = images == 1 ? "A PNG file of the size of the run's samples" : $"{images} PNG files of the size of the run's samples";
        _image.Description = $"{each}; or see --index.";
        _index.Description = $"Instead of --image: {(images == 1 ? "the number of an image" : $"the numbers of {images} images")} of the run's held-out data, from 0.";
        command.Arguments.Add(_run);
        foreach (var option in new Option[] { _image, _index })
            command.Options.Add(option);
        _config = new ConfigOptions(command, null)
            .Add<int>("n", "sampling.count", count)
            .Add<int>("steps", "sampling.steps", "Steps of the sampler; by default the run's.")
            .Add<double>("guidance", "sampling.guidance", "Scale of classifier-free guidance; 1 for none.")
            .Add<string>("data-dir", "data.directory", "Folder with the files of the data, for --index.");
        if (draws)
            _config.Add<ulong>("seed", "seed", "Seed of the noise; by default the run's.");
        foreach (var option in new Option[] { _label, _output })
            command.Options.Add(option);
        _device.AddTo(command);
    }

    /// <summary>Opens the run, reads the images, lets the command make others of them, and writes these.</summary>
    /// <param name="edit">Gives the images that it made, and what is shown: those and what they were made of.</param>
    public int Run(ParseResult parsed, string name, Func<EditingTask, (Tensor Made, Tensor Shown)> edit) => _config.Explain(parsed, () =>
    {
        string device = _device.Name(parsed);
        var run = TrainedRun.Open(parsed.GetValue(_run)!, Device.Parse(device));
        if (run.Model.SampleShape.Rank != 3)
            throw new ArgumentException($"{name} is for images, and {run.Folder} makes points");
        var config = run.Config with { Device = device };
        var given = _config.Given(parsed);
        config = (config with { Sampling = config.Sampling with { Count = DefaultCount } }).With(given);
        config.Check();
        config.ExpectUsed(given);
        int? label = parsed.GetValue(_label);
        if (label is null && given["sampling"]?["guidance"] is not null)
            throw new ArgumentException("--guidance leads to a class; say to which with --label");
        if (given["data"] is not null && parsed.GetValue(_index) is not { Length: > 0 })
            throw new ArgumentException("--data-dir is for --index, which takes images from the run's data");
        run.Model.Network.Eval();
        var denoiser = run.Model.Denoiser(label, config.Sampling.Guidance);
        string output = parsed.GetValue(_output) is { } wanted ? OutputFiles.WithoutEnd(wanted) : OutputFiles.NextName(run.Folder, name);
        OutputFiles.ExpectFree(output + ".png", output + ".safetensors");
        var reporter = ConsoleReporter.ForStandardOutput();
        reporter.Line($"step {run.Step} of {run.Folder} on {run.Device.Name}{(_draws ? $", seed {config.Seed}" : "")}");
        var images = Images(parsed, run, config, reporter);
        using var signals = new StopSignals(Console.Error);
        bool begun = false;
        try
        {
            using var noGrad = new NoGrad();
            var (made, shown) = edit(new EditingTask(run, config, denoiser, images, new Generator(config.Seed), at =>
            {
                signals.Token.ThrowIfCancellationRequested();
                if (!begun)
                    reporter.Begin(name, at.Steps);
                begun = true;
                reporter.Report(at.Step);
            }));
            new SampleSet(made, null).Save(output + ".safetensors");
            new ImageGrid { Zoom = Zoom, Columns = shown.Shape[0] }.Save(shown, output + ".png");
        }
        catch (OperationCanceledException) when (signals.ExitCode != 0)
        {
            return signals.ExitCode;
        }
        finally
        {
            if (begun)
                reporter.End();
        }
        reporter.Table(name, [("picture", output + ".png"), ("images", output + ".safetensors")]);
        return 0;
    });

    private Tensor Images(ParseResult parsed, TrainedRun run, RunConfig config, IRunReporter reporter)
    {
        string[] files = parsed.GetValue(_image) ?? [];
        int[] numbers = parsed.GetValue(_index) ?? [];
        if (files.Length > 0 == numbers.Length > 0)
            throw new ArgumentException($"either --image or --index says {(_images == 1 ? "which image" : "which images")}; give one of them");
        if (Math.Max(files.Length, numbers.Length) != _images)
            throw new ArgumentException($"--{(files.Length > 0 ? "image" : "index")} needs {_images} of them, not {Math.Max(files.Length, numbers.Length)}");
        if (files.Length > 0)
            return Tensor.Concat([.. files.Select(file => PictureFiles.LoadImage(file, run.Model.SampleShape, run.Device))]);
        var heldOut = DataSets.Open(config.Data.Name, DownloadReport.Options(config.Data.Directory, config.Data.Offline, reporter, default)).HeldOut;
        foreach (int number in numbers)
        {
            if (number < 0 || number >= heldOut.Count)
                throw new ArgumentException($"index must be in [0, {heldOut.Count - 1}], not {number}");
        }
        return Tensor.Concat([.. numbers.Select(number => heldOut.Draw(number, 1, 0, run.Device).X)]);
    }
}
