using System.Globalization;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training.Records;

/// <summary>
/// The checkpoints of a run: <c>checkpoints/step-N/</c>, and <c>checkpoints/latest</c>, a file with the name of the one to go on from.
/// Whatever happens while one is written, the one before it stays whole: a checkpoint is written under another name, renamed when all
/// of it is on the disk, then named in <c>latest</c>, and only then may an older one go. What goes is renamed first.
/// </summary>
public sealed class CheckpointFolder
{
    public const string Name = "checkpoints";

    private const string Prefix = "step-", Unfinished = ".unfinished", LatestFile = "latest";

    private readonly string _path;

    /// <param name="run">The folder of the run.</param>
    public CheckpointFolder(string run) => _path = System.IO.Path.Combine(run, Name);

    /// <summary>The checkpoint to go on from, or null where there is none.</summary>
    public string? Latest
    {
        get
        {
            string file = System.IO.Path.Combine(_path, LatestFile);
            if (File.Exists(file) && StepOf(File.ReadAllText(file).Trim()) is { } named && IsCheckpoint(PathOf(named)))
                return PathOf(named);
            int newest = Steps().LastOrDefault(-1);
            return newest < 0 ? null : PathOf(newest);
        }
    }

    /// <summary>Writes a checkpoint, makes it the latest and removes the oldest beyond <paramref name="keep"/>.</summary>
    /// <param name="write">Writes all files into the folder that it is given.</param>
    public void Save(int step, int keep, Action<string> write)
    {
        string unfinished = PathOf(step) + Unfinished;
        Directory.CreateDirectory(_path);
        Remove(unfinished);
        Directory.CreateDirectory(unfinished);
        try
        {
            write(unfinished);
        }
        catch
        {
            Directory.Delete(unfinished, recursive: true);
            throw;
        }
        AtomicFile.FlushFolder(unfinished);
        // There is one of this step if the run was told to go on from an earlier one.
        if (Directory.Exists(PathOf(step)))
            Remove(PathOf(step));
        Directory.Move(unfinished, PathOf(step));
        AtomicFile.FlushFolder(_path);
        AtomicFile.WriteAllText(System.IO.Path.Combine(_path, LatestFile), $"{Prefix}{step}\n");
        foreach (int old in Steps().Where(other => other < step).Reverse().Skip(keep - 1))
            Remove(PathOf(old));
    }

    /// <summary>Removes what a crash left of checkpoints that were being written or removed.</summary>
    public void Sweep()
    {
        if (!Directory.Exists(_path))
            return;
        foreach (string leftover in Directory.EnumerateDirectories(_path, $"{Prefix}*{Unfinished}"))
            Directory.Delete(leftover, recursive: true);
        AtomicFile.RemoveLeftovers(_path);
    }

    private static bool IsCheckpoint(string path) =>
        StepOf(System.IO.Path.GetFileName(path)) is not null && File.Exists(System.IO.Path.Combine(path, TrainingState.FileName));

    private static int? StepOf(string name) =>
        name.StartsWith(Prefix, StringComparison.Ordinal) && int.TryParse(name.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int step)
            ? step
            : null;

    private string PathOf(int step) => System.IO.Path.Combine(_path, $"{Prefix}{step}");

    /// <summary>The steps of all whole checkpoints, rising.</summary>
    private IEnumerable<int> Steps()
    {
        if (!Directory.Exists(_path))
            return [];
        return Directory.EnumerateDirectories(_path).Where(IsCheckpoint).Select(path => StepOf(System.IO.Path.GetFileName(path))!.Value).Order();
    }

    /// <summary>Removes a folder so that at no time a part of it looks like a checkpoint.</summary>
    private static void Remove(string path)
    {
        if (!Directory.Exists(path))
            return;
        string doomed = path;
        if (!path.EndsWith(Unfinished, StringComparison.Ordinal))
        {
            doomed = $"{path}-{Guid.NewGuid():N}{Unfinished}";
            Directory.Move(path, doomed);
        }
        Directory.Delete(doomed, recursive: true);
    }
}
