namespace RawDiffusion.Cli.Output;

/// <summary>Files that a command is asked to write.</summary>
internal static class OutputFiles
{
    /// <exception cref="IOException">A file is there already, or its folder is not. Null is passed over.</exception>
    public static void ExpectFree(params string?[] paths)
    {
        foreach (string? path in paths)
        {
            if (File.Exists(path) || Directory.Exists(path))
                throw new IOException($"{path} is there already; choose another name or remove it");
            if (path is not null && !Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(path))))
                throw new DirectoryNotFoundException($"{path}: there is no such folder to write to");
        }
    }
}
