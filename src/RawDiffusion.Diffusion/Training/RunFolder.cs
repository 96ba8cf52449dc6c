using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using RawDiffusion.Backends;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// What a run leaves behind: <c>config.json</c> (everything needed to repeat it), <c>log.csv</c>, <c>samples/step-N.png</c>,
/// <c>samples.safetensors</c>, <c>metrics.json</c>, <c>checkpoints/step-N/</c> and <c>checkpoints/latest</c>. Files are written
/// atomically; a run that is stopped leaves whole files or none.
/// </summary>
public sealed class RunFolder
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private int _logColumns;

    /// <exception cref="IOException">The folder holds an earlier run, or cannot be made.</exception>
    public RunFolder(string path)
    {
        Path = System.IO.Path.GetFullPath(path);
        if (File.Exists(Path))
            throw new IOException($"{path} is a file; a run needs a folder");
        if (File.Exists(InFolder("config.json")))
            throw new IOException($"{path} already holds a run; choose another folder with --out or remove it");
        Directory.CreateDirectory(InFolder("samples"));
    }

    /// <summary>The folder, as a full path.</summary>
    public string Path { get; }

    /// <summary>A folder <c>runs/NAME-N</c> with the smallest N that is not there yet.</summary>
    public static RunFolder New(string name)
    {
        int number = 1;
        while (Directory.Exists(System.IO.Path.Combine("runs", $"{name}-{number}")))
            number++;
        return new RunFolder(System.IO.Path.Combine("runs", $"{name}-{number}"));
    }

    /// <summary>The path of a file in this folder.</summary>
    public string InFolder(params ReadOnlySpan<string> parts) => System.IO.Path.Combine([Path, .. parts]);

    /// <summary>Writes <c>config.json</c>: the options, the command line, versions and the device.</summary>
    public void WriteConfiguration(string preset, object options, Backend device)
    {
        WriteJson("config.json", new Dictionary<string, object?>
        {
            ["preset"] = preset,
            ["options"] = options,
            ["commandLine"] = Environment.GetCommandLineArgs().Skip(1).ToArray(),
            ["device"] = device.Name,
            ["version"] = typeof(Tensor).Assembly.GetName().Version?.ToString(),
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["os"] = RuntimeInformation.OSDescription,
            ["started"] = DateTimeOffset.UtcNow.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture),
        });
    }

    /// <summary>Writes <c>metrics.json</c>.</summary>
    public void WriteMetrics(IReadOnlyDictionary<string, object> metrics) => WriteJson("metrics.json", metrics);

    /// <summary>Begins <c>log.csv</c> with its header.</summary>
    public void BeginLog(params ReadOnlySpan<string> columns)
    {
        _logColumns = columns.Length;
        File.WriteAllText(InFolder("log.csv"), string.Join(',', columns.ToArray()) + "\n");
    }

    /// <summary>Adds a line to <c>log.csv</c>, so that a run can be watched while it goes.</summary>
    public void Log(params ReadOnlySpan<double> values)
    {
        if (values.Length != _logColumns)
            throw new ArgumentException($"log.csv has {_logColumns} columns, not {values.Length}");
        var line = new StringBuilder();
        for (int i = 0; i < values.Length; i++)
            line.Append(i == 0 ? "" : ",").Append(values[i].ToString("G9", CultureInfo.InvariantCulture));
        File.AppendAllText(InFolder("log.csv"), line.Append('\n').ToString());
    }

    /// <summary>
    /// Writes <c>checkpoints/step-N/</c> with one safetensors file per part, then points <c>checkpoints/latest</c> (a file that
    /// holds the folder's name) at it: a reader never sees half a checkpoint.
    /// </summary>
    public void WriteCheckpoint(int step, params ReadOnlySpan<(string Part, IReadOnlyDictionary<string, Tensor> Tensors)> parts)
    {
        string name = $"step-{step}";
        string unfinished = InFolder("checkpoints", name + ".unfinished");
        if (Directory.Exists(unfinished))
            Directory.Delete(unfinished, recursive: true);
        Directory.CreateDirectory(unfinished);
        var metadata = new Dictionary<string, string> { ["step"] = step.ToString(CultureInfo.InvariantCulture) };
        foreach (var (part, tensors) in parts)
            Safetensors.Save(System.IO.Path.Combine(unfinished, part + ".safetensors"), tensors.Select(t => (t.Key, t.Value)), metadata);
        Directory.Move(unfinished, InFolder("checkpoints", name));
        AtomicFile.WriteAllText(InFolder("checkpoints", "latest"), name + "\n");
    }

    private void WriteJson(string file, object value) =>
        AtomicFile.Write(InFolder(file), stream => JsonSerializer.Serialize(stream, value, s_json));
}
