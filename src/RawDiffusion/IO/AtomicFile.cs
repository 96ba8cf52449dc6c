using System.Runtime.InteropServices;

namespace RawDiffusion.IO;

/// <summary>
/// Writes files so that a reader, or the same program after a crash, sees either the old contents or all of the new ones:
/// temporary file in the same folder, flush to the disk, rename, flush of the folder.
/// </summary>
public static partial class AtomicFile
{
    /// <summary>
    /// Replaces <paramref name="path"/> by what <paramref name="write"/> writes. If that throws, or the disk is full, the old file
    /// stays as it was.
    /// </summary>
    /// <exception cref="IOException">The folder does not exist or cannot be written, or there is no room.</exception>
    public static void Write(string path, Action<Stream> write) =>
        Write(path, write, static temporary => new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16));

    /// <param name="create">Makes the temporary file; it must not be there yet.</param>
    internal static void Write(string path, Action<Stream> write, Func<string, FileStream> create)
    {
        string full = Path.GetFullPath(path);
        string folder = Path.GetDirectoryName(full) ?? throw new IOException($"{path}: this is a folder, not a file.");
        string temporary = Path.Combine(folder, $".{Path.GetFileName(full)}.{Guid.NewGuid():N}.tmp");
        try
        {
            using (var stream = create(temporary))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            MoveIntoPlace(temporary, full);
        }
        catch (Exception e)
        {
            TryDelete(temporary);
            // The system's words about a full disk name the temporary file or none; a file too large for it is an argument's fault to .NET.
            if (e.GetType() == typeof(IOException) || e is ArgumentOutOfRangeException)
                throw new IOException($"{path}: it cannot be written: {e.Message}", e);
            throw;
        }
    }

    /// <summary>Gives a finished file of the same folder, already flushed, the name <paramref name="path"/>, durably; a file of that name is replaced.</summary>
    public static void MoveIntoPlace(string temporary, string path)
    {
        File.Move(temporary, path, overwrite: true);
        FlushFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Replaces <paramref name="path"/> by a text in UTF-8.</summary>
    public static void WriteAllText(string path, string text) =>
        Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));

    /// <summary>What went wrong before matters to the caller, not that nothing could be tidied up after it.</summary>
    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    /// <summary>
    /// Removes the temporary files that writes to a folder left there when their process was killed. Only for a folder that nobody
    /// writes to at the moment.
    /// </summary>
    public static void RemoveLeftovers(string folder)
    {
        foreach (string file in Directory.EnumerateFiles(folder, ".*.tmp"))
        {
            string[] parts = Path.GetFileName(file).Split('.');
            if (parts.Length >= 4 && Guid.TryParseExact(parts[^2], "N", out _))
                File.Delete(file);
        }
    }

    /// <summary>
    /// Makes the renames in a folder durable. Some file systems refuse fsync on a folder; the file is then whole all the same, so
    /// the answer is not looked at.
    /// </summary>
    public static void FlushFolder(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        int descriptor = Open(folder, flags: 0);
        if (descriptor < 0)
            return;
        _ = FSync(descriptor);
        _ = Close(descriptor);
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int FSync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
