using System.CommandLine;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Cli.Commands;

/// <summary>The options that every training preset has, with the preset's own defaults.</summary>
internal sealed class CommonOptions
{
    private readonly Option<string?> _out = new("--out") { Description = "Folder for the run; by default runs/PRESET-N." };

    public CommonOptions(Command command, int steps, int batch, double learningRate)
    {
        Steps = new("--steps") { Description = "Optimizer steps.", DefaultValueFactory = _ => steps };
        Batch = new("--batch") { Description = "Samples per step.", DefaultValueFactory = _ => batch };
        LearningRate = new("--lr") { Description = "Largest learning rate.", DefaultValueFactory = _ => learningRate };
        foreach (var option in new Option[] { Seed, Steps, Batch, LearningRate, _out, DeviceName })
            command.Options.Add(option);
    }

    public Option<ulong> Seed { get; } = new("--seed") { Description = "Seed of all random numbers; the same seed gives the same bits.", DefaultValueFactory = _ => 0 };

    public Option<int> Steps { get; }

    public Option<int> Batch { get; }

    public Option<double> LearningRate { get; }

    public Option<string> DeviceName { get; } = new("--device") { Description = "Where to compute: cpu, or reference (float64, slow).", DefaultValueFactory = _ => "cpu" };

    public RunFolder Folder(ParseResult parsed, string preset) =>
        parsed.GetValue(_out) is { } path ? new RunFolder(path) : RunFolder.New(preset);

    public Backends.Backend Device(ParseResult parsed) => RawDiffusion.Device.Parse(parsed.GetValue(DeviceName)!);
}
