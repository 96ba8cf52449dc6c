using System.CommandLine;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion train PRESET</c>.</summary>
internal static class TrainCommand
{
    public static Command Create() => new("train", "Train a preset, judge it and write a run folder.")
    {
        EightGaussiansCommand.Create(),
        MnistClassifierCommand.Create(),
    };
}
