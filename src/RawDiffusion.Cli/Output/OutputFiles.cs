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

    /// <summary>The name of a picture and of a safetensors file beside it, whichever of the two the user named.</summary>
    public static string WithoutEnd(string path) =>
        Path.GetExtension(path) is ".png" or ".safetensors" ? Path.ChangeExtension(path, null) : path;

    /// <summary>The first of RUN/samples/KIND-1, KIND-2, ... of which there is no picture and no safetensors file.</summary>
    public static string NextName(string run, string kind)
    {
        int number = 1;
        string Name() => Path.Combine(run, "samples", $"{kind}-{number}");
        while (File.Exists(Name() + ".png") || File.Exists(Name() + ".safetensors"))
            number++;
        return Name();
    }
}
