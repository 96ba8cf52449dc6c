using System.Globalization;
using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training.Records;

/// <summary>What there is to know about a file or folder that this project writes or reads.</summary>
/// <param name="Title">What it is.</param>
/// <param name="Facts">What holds for all of it.</param>
/// <param name="Columns">Headings of a table of its parts; empty where there is none.</param>
/// <param name="Rows">The table, each row as long as the headings.</param>
public sealed record Inspection(
    string Title, IReadOnlyList<(string Name, string Value)> Facts, IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows)
{
    /// <summary>Looks at a run, a checkpoint, a model folder or a single file.</summary>
    /// <exception cref="IOException">There is nothing, or it is damaged or none of these.</exception>
    public static Inspection Of(string path)
    {
        if (File.Exists(path))
        {
            var file = FileSummary.Read(path);
            return new Inspection(file.Description, file.Facts, file.Columns, file.Rows);
        }
        if (!Directory.Exists(path))
            throw new FileNotFoundException($"{path}: there is no such file or folder");
        if (File.Exists(Path.Combine(path, TrainingState.FileName)))
            return OfCheckpoint(path);
        if (File.Exists(Path.Combine(path, ModelFolder.WeightsFile)))
            return OfModelFolder(path);
        if (File.Exists(Path.Combine(path, "config.json")) && RunFolder.PresetOf(path) is not null)
            return OfRun(path);
        throw new FileFormatException(path, "this folder is no run, no checkpoint and no model folder");
    }

    private static Inspection OfRun(string path)
    {
        var config = StrictJson.ReadFile(RunFolder.ConfigPath(path));
        List<(string, string)> facts = [.. Leaves(config, "").Where(leaf => !leaf.Name.StartsWith("history", StringComparison.Ordinal))];
        var latest = new CheckpointFolder(path).Latest;
        if (latest is not null)
            facts.AddRange(OfCheckpoint(latest).Facts.Select(fact => ($"checkpoint {fact.Name}", fact.Value)));
        string metrics = Path.Combine(path, "metrics.json");
        if (File.Exists(metrics))
            facts.AddRange(Leaves(StrictJson.ReadFile(metrics), "metrics"));
        facts.Add(("state", File.Exists(metrics) ? "finished" : latest is null ? "no checkpoint yet" : "not finished; train --resume goes on with it"));
        return new Inspection("run", facts, ["file", "bytes"], Files(path));
    }

    private static Inspection OfCheckpoint(string path)
    {
        var facts = Leaves(StrictJson.ReadFile(Path.Combine(path, TrainingState.FileName)), "").ToList();
        return new Inspection("checkpoint", [("name", Path.GetFileName(Path.GetFullPath(path))), .. facts], ["file", "bytes"], Files(path));
    }

    private static Inspection OfModelFolder(string path)
    {
        var weights = FileSummary.Read(Path.Combine(path, ModelFolder.WeightsFile));
        var config = StrictJson.ReadFile(Path.Combine(path, ModelFolder.ConfigFile));
        return new Inspection("model folder", [.. Leaves(config, ""), .. weights.Facts], weights.Columns, weights.Rows);
    }

    /// <summary>The values in an object under dotted names; lists on one line.</summary>
    private static IEnumerable<(string Name, string Value)> Leaves(JsonObject source, string path)
    {
        foreach (var (key, value) in source)
        {
            string name = path.Length == 0 ? key : $"{path}.{key}";
            if (value is JsonObject inner)
            {
                foreach (var leaf in Leaves(inner, name))
                    yield return leaf;
            }
            else if (value is not null)
            {
                yield return (FileFormatException.OneLine(name), FileFormatException.OneLine(value.ToJsonString().Trim('"')));
            }
        }
    }

    private static IReadOnlyList<IReadOnlyList<string>> Files(string folder) =>
    [
        .. new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).OrderBy(file => file.FullName, StringComparer.Ordinal)
            .Select(file => (IReadOnlyList<string>)[FileFormatException.OneLine(Path.GetRelativePath(folder, file.FullName)), file.Length.ToString("N0", CultureInfo.InvariantCulture)]),
    ];
}
