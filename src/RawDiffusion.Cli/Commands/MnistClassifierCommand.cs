using System.CommandLine;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion train mnist-classifier</c>.</summary>
internal static class MnistClassifierCommand
{
    public static Command Create()
    {
        var defaults = new MnistClassifierConfig();
        var command = new Command(MnistClassifierRun.Preset, "A convolutional classifier of MNIST's digits, which judges generated digits. Takes 40 seconds and 300 MB on two cores.");
        var dataDirectory = new Option<string?>("--data-dir") { Description = $"Folder with the four files of MNIST, as published or unzipped. {DataCommand.WhereElse}" };
        var offline = new Option<bool>("--offline") { Description = DataCommand.OfflineHelp };
        var seed = new Option<ulong>("--seed") { Description = "Seed of all random numbers; the same seed gives the same bits.", DefaultValueFactory = _ => defaults.Seed };
        var steps = new Option<int>("--steps") { Description = "Optimizer steps.", DefaultValueFactory = _ => defaults.Training.Steps };
        var batch = new Option<int>("--batch") { Description = "Images per step.", DefaultValueFactory = _ => defaults.Training.Batch };
        var learningRate = new Option<double>("--lr") { Description = "Largest learning rate.", DefaultValueFactory = _ => defaults.Training.LearningRate };
        var folder = new Option<string?>("--out") { Description = "Folder for the run; by default runs/PRESET-N." };
        var device = new DeviceOption();
        foreach (var option in new Option[] { dataDirectory, offline, seed, steps, batch, learningRate, folder })
            command.Options.Add(option);
        device.AddTo(command);
        command.SetAction(parsed =>
        {
            var options = new MnistClassifierConfig
            {
                DataDirectory = parsed.GetValue(dataDirectory),
                Offline = parsed.GetValue(offline),
                Seed = parsed.GetValue(seed),
                Device = device.Name(parsed),
                Training = defaults.Training with
                {
                    Steps = parsed.GetValue(steps),
                    Batch = parsed.GetValue(batch),
                    LearningRate = parsed.GetValue(learningRate),
                },
            };
            return RunCommand.Execute((reporter, stop) => MnistClassifierRun.Start(options, () => TrainOptions.Folder(parsed, folder, options.Preset), reporter, stop));
        });
        return command.WithExamples("train mnist-classifier", "train mnist-classifier --data-dir ~/mnist", "train mnist-classifier --data-dir ~/fashion-mnist --seed 7");
    }
}
