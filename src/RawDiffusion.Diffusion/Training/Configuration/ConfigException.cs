namespace RawDiffusion.Diffusion.Training.Configuration;

/// <summary>
/// A setting that makes no sense. The message names it by its key; whoever knows under which name the user gave it (an option, a
/// file) can say it again with <see cref="Describe"/>.
/// </summary>
/// <param name="key">The setting's place in <c>config.json</c>: <c>training.steps</c>.</param>
/// <param name="after">What the sentence says after the name: "must be at least 1, not 0".</param>
/// <param name="before">What it says before the name.</param>
public sealed class ConfigException(string key, string after, string before = "") : ArgumentException($"{before}{key}{after}")
{
    public string Key { get; } = key;

    /// <summary>The message with another name for the setting.</summary>
    public string Describe(string name) => $"{before}{name}{after}";
}
