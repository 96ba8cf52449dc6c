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
        Points("eight-gaussians", "A DDPM on eight Gaussians on a circle. Needs no data."),
    ];

    /// <exception cref="ConfigException">There is none of this name.</exception>
    public static Preset Find(string name) => All.FirstOrDefault(preset => preset.Name == name)
        ?? throw new ConfigException("preset", $" {IO.FileFormatException.Quote(name)}; there are: {string.Join(", ", All.Select(p => p.Name))}", "unknown ");

    private static Preset Points(string name, string description) => new(name, description, "15 seconds and 150 MB", new RunConfig
    {
        Preset = name,
        Data = new DataConfig { Name = name },
        Model = new ModelConfig { Mlp = new MlpConfig() },
        Training = new TrainingConfig { Steps = 6000, Batch = 512, LearningRate = 2e-3, SampleEvery = 2000, CheckpointEvery = 2000 },
        Sampling = new SamplingConfig { Sampler = "ddpm", Steps = 250, Count = 10_000 },
    }, "", "--sampler ddim --sampling-steps 50 --seed 7");
}
