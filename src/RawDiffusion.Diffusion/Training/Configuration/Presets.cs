using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;

namespace RawDiffusion.Diffusion.Training.Configuration;

/// <summary>A configuration with a name.</summary>
/// <param name="Description">What is trained, in a sentence.</param>
/// <param name="Needs">Time and memory on two cores.</param>
/// <param name="Examples">Options worth a try, a command line each.</param>
public sealed record Preset(string Name, string Description, string Needs, RunConfig Config, params IReadOnlyList<string> Examples);

/// <summary>What <c>rawdiffusion train</c> knows by name.</summary>
public static class Presets
{
    public static IReadOnlyList<Preset> All { get; } =
    [
        .. DataSets.All.Where(data => data.SampleShape.Rank == 1).Select(Points),
        .. DataSets.All.Where(data => data.SampleShape.Rank == 3).Select(Images),
    ];

    /// <exception cref="ConfigException">There is none of this name.</exception>
    public static Preset Find(string name) => All.FirstOrDefault(preset => preset.Name == name)
        ?? throw new ConfigException("preset", $" {IO.FileFormatException.Quote(name)}; there are: {string.Join(", ", All.Select(p => p.Name))}", "unknown ");

    private static Preset Points(DataSetInfo data) => new(data.Name, $"Points of the plane: {data.Description}. Needs no files.", "15 seconds and 150 MB", new RunConfig
    {
        Preset = data.Name,
        Data = new DataConfig { Name = data.Name },
        Model = new ModelConfig { Mlp = new MlpConfig() },
        Training = new TrainingConfig { Steps = 6000, Batch = 512, LearningRate = 2e-3, SampleEvery = 2000, CheckpointEvery = 2000 },
        Sampling = new SamplingConfig { Sampler = "ddpm", Steps = 250, Count = 10_000 },
    }, "", "--sampler ddim --sampling-steps 50 --seed 7");

    private static Preset Images(DataSetInfo data)
    {
        bool drawn = !data.HasFiles; // Cleaner shapes than handwriting: learned sooner.
        string files = data.HasFiles ? $"Files are downloaded once ({data.Source}) or come from --data-dir." : "Needs no files.";
        var config = new RunConfig
        {
            Preset = data.Name,
            Data = new DataConfig { Name = data.Name },
            Model = new ModelConfig
            {
                Unet2d = new UNet2DConfig
                {
                    BlockOutChannels = [32, 64, 64],
                    DownBlockTypes = ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"],
                    UpBlockTypes = ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
                    NormNumGroups = 8,
                },
            },
            // Velocity: at equal time the samples were better by every figure than those of a network that predicts the noise.
            Process = new ProcessConfig { Schedule = "cosine", Parameterisation = "velocity" },
            Training = new TrainingConfig { Steps = drawn ? 2400 : 4000, Batch = 64, EmaDecay = 0.999, SampleEvery = 500, CheckpointEvery = 250 },
            Sampling = new SamplingConfig { Sampler = "ddim", Steps = 50, Count = 1000, ClipX0 = 1 },
        };
        return new Preset(
            data.Name, $"Images: {data.Description}. {files}", drawn ? "15 minutes and 1 GB" : "25 minutes and 1 GB", config,
            "", data.HasFiles ? $"--data-dir ~/{data.Name} --conditional --guidance 2" : "--conditional --attributes --guidance 2", "--time-limit 10", "--fast-dev-run");
    }
}
