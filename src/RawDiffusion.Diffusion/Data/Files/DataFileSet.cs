using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Data.Files;

/// <summary>The files of a data set, and where they are found.</summary>
/// <param name="Name">Of the data set, and of its folder in the cache.</param>
internal sealed record DataFileSet(string Name, params IReadOnlyList<DataFile> Files)
{
    /// <summary>The path of a file in a folder, as it was published or unzipped; null where there is neither.</summary>
    public static string? Find(string folder, DataFile file)
    {
        string path = Path.Combine(folder, file.Name), unzipped = Unzipped(path);
        return File.Exists(path) ? path : File.Exists(unzipped) ? unzipped : null;
    }

    /// <summary>The folder that holds all the files: the one that the options name, else that of the cache, where what is missing is downloaded.</summary>
    /// <exception cref="IOException">
    /// A file is missing and cannot or must not be downloaded; the message says why and what to put where, in one line.
    /// </exception>
    /// <exception cref="OperationCanceledException">The options' token came first.</exception>
    public string Provide(DataOptions options)
    {
        if (options.Directory is { } given)
        {
            if (!Directory.Exists(given))
                throw new DirectoryNotFoundException($"{given}: there is no such folder; {Name} needs one with {Names(Files)}");
            return Missing(given) is { Count: > 0 } absent
                ? throw new FileNotFoundException($"{given}: {Name} needs {Names(absent)} in this folder, as published or unzipped")
                : given;
        }
        string folder = Path.Combine(options.CacheDirectory ?? CacheFolder.Find(), "data", Name);
        var missing = Missing(folder);
        if (missing.Count == 0)
            return folder;
        if (options.Offline)
            throw new FileNotFoundException($"{Name} is not in {folder} and is not to be downloaded; {Advice(folder, missing)}");
        using var downloader = new Downloader(options.Download);
        try
        {
            foreach (var file in missing)
                downloader.Fetch(file, folder, options.Progress, options.Stop);
        }
        catch (DownloadException e)
        {
            throw new DownloadException($"{e.Message}; {Advice(folder, Missing(folder))}");
        }
        return folder;
    }

    private static string Unzipped(string path) => path.EndsWith(".gz", StringComparison.Ordinal) ? path[..^3] : path;

    private static string Names(IEnumerable<DataFile> files) => string.Join(", ", files.Select(file => file.Name));

    private static string Advice(string folder, IEnumerable<DataFile> missing) =>
        $"put into {folder}, or into a folder named with --data-dir: {string.Join(", ", missing)}";

    private List<DataFile> Missing(string folder) => [.. Files.Where(file => Find(folder, file) is null)];
}
