using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training.Records;

/// <summary>
/// What a run leaves behind: <c>config.json</c> (everything needed to repeat it), <c>log.csv</c>, <c>events.out.tfevents.*</c>,
/// <c>samples/step-N.png</c>, <c>samples.safetensors</c>, <c>metrics.json</c>, <c>checkpoints/step-N/</c> and
/// <c>checkpoints/latest</c>, and for images <c>classifier/</c>, which judged the samples. Files are written atomically; a run that
/// is stopped leaves whole files or none. While a run goes on, its folder is locked.
/// </summary>
public sealed class RunFolder : IDisposable
{
    private const string ConfigFile = "config.json", LockFile = ".lock", SamplesFolder = "samples";

    private const string MetricsFile = "metrics.json", SamplesFile = "samples.safetensors";

    private static readonly string[] s_contents =
        [ConfigFile, RunLog.FileName, MetricsFile, SamplesFile, SamplesFolder, CheckpointFolder.Name, Judge.FolderName];

    private readonly FileStream _lock;

    private RunFolder(string path)
    {
        Path = System.IO.Path.GetFullPath(path);
        try
        {
            _lock = new FileStream(InFolder(LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
        }
        catch (IOException e) when (File.Exists(InFolder(LockFile)))
        {
            throw new IOException($"{path}: another process is working on this run", e);
        }
    }

    /// <summary>The folder, as a full path.</summary>
    public string Path { get; }

    /// <summary>Makes the folder of a new run.</summary>
    /// <exception cref="IOException">The folder holds an earlier run or a part of one, or cannot be made.</exception>
    public static RunFolder Create(string path)
    {
        ExpectFree(path);
        Directory.CreateDirectory(path);
        var folder = new RunFolder(path);
        try
        {
            // Once more, now that the folder is ours.
            ExpectFree(path);
            Directory.CreateDirectory(folder.InFolder(SamplesFolder));
            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>Makes a folder <c>runs/NAME-N</c> with the smallest N that is not there yet.</summary>
    public static RunFolder CreateNext(string name)
    {
        int number = 1;
        while (Directory.Exists(System.IO.Path.Combine("runs", $"{name}-{number}")))
            number++;
        return Create(System.IO.Path.Combine("runs", $"{name}-{number}"));
    }

    /// <summary>Opens the folder of a run to go on with it, and removes what a crash left of files that were being written.</summary>
    /// <exception cref="IOException">There is no run in it, or another process is working on it.</exception>
    public static RunFolder Open(string path)
    {
        _ = ConfigPath(path);
        var folder = new RunFolder(path);
        AtomicFile.RemoveLeftovers(folder.Path);
        AtomicFile.RemoveLeftovers(folder.InFolder(SamplesFolder));
        return folder;
    }

    /// <summary>The configuration file of the run in a folder.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">There is no run in it.</exception>
    public static string ConfigPath(string path)
    {
        if (!Directory.Exists(path))
            throw new DirectoryNotFoundException($"{path}: there is no such folder");
        string config = System.IO.Path.Combine(path, ConfigFile);
        return File.Exists(config) ? config : throw new FileNotFoundException($"{path}: this folder holds no run: there is no {ConfigFile} in it");
    }

    /// <summary>The preset that the run in a folder began as.</summary>
    /// <exception cref="IOException">There is no run in it, or its configuration is damaged.</exception>
    public static string? PresetOf(string path) =>
        StrictJson.ReadFile(ConfigPath(path))["preset"] is System.Text.Json.Nodes.JsonValue value && value.TryGetValue(out string? name) ? name : null;

    /// <summary>The path of a file in this folder.</summary>
    public string InFolder(params ReadOnlySpan<string> parts) => System.IO.Path.Combine([Path, .. parts]);

    /// <summary>The path of the picture of a step.</summary>
    public string Picture(int step) => InFolder(SamplesFolder, $"step-{step}.png");

    /// <summary>Writes <c>config.json</c>.</summary>
    public void WriteConfig(object config) => StrictJson.WriteFile(InFolder(ConfigFile), config);

    /// <summary>Writes <c>metrics.json</c>.</summary>
    public void WriteMetrics(IReadOnlyDictionary<string, object> metrics) => StrictJson.WriteFile(InFolder(MetricsFile), metrics);

    /// <summary>Writes <c>samples.safetensors</c>.</summary>
    public void WriteSamples(SampleSet samples) => samples.Save(InFolder(SamplesFile));

    /// <summary>Unlocks the folder.</summary>
    public void Dispose() => _lock.Dispose();

    private static void ExpectFree(string path)
    {
        if (File.Exists(path))
            throw new IOException($"{path} is a file; a run needs a folder");
        foreach (string name in s_contents)
        {
            string file = System.IO.Path.Combine(path, name);
            if (File.Exists(file) || Directory.Exists(file))
                throw new IOException($"{path} already holds a run ({name}); choose another folder with --out or remove it");
        }
    }
}
