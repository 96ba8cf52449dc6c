using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace RawDiffusion.Cuda;

/// <summary>
/// Compiled kernels on disk, one file per key. A file that is cut off, changed, of another program or of another key is taken for
/// missing. Files appear whole, by a rename in the same folder, so that several processes may use one folder.
/// </summary>
/// <remarks>A file: 8 bytes of magic, 32 of the key, 32 of the SHA-256 of the rest, 8 of its length; the rest: 4 bytes of the log's length, log, image.</remarks>
internal sealed class KernelCache(string folder)
{
    private const int HeaderBytes = 8 + 32 + 32 + 8;

    private static ReadOnlySpan<byte> Magic => "RDKERN\x00\x02"u8;

    /// <summary>
    /// What the cache's folder is when nobody says: RAWDIFFUSION_CACHE, else below XDG_CACHE_HOME or ~/.cache (on Windows the local application data).
    /// Null where the machine offers none.
    /// </summary>
    public static string? DefaultFolder
    {
        get
        {
            if (Environment.GetEnvironmentVariable("RAWDIFFUSION_CACHE") is { Length: > 0 } chosen)
                return Path.Combine(chosen, "kernels");
            string? root = OperatingSystem.IsWindows()
                ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                : Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg ? xdg
                : Environment.GetEnvironmentVariable("HOME") is { Length: > 0 } home ? Path.Combine(home, ".cache")
                : null;
            return string.IsNullOrEmpty(root) ? null : Path.Combine(root, "rawdiffusion", "kernels");
        }
    }

    public string Folder { get; } = folder;

    /// <summary>The key: everything that the result depends on.</summary>
    public static byte[] Key(KernelSource source, KernelTarget target, ReadOnlySpan<string> options, Version compiler)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        // Each part goes in with its length: parts cannot be shifted into one another.
        void Add(string text)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            hash.AppendData(BitConverter.GetBytes(bytes.Length));
            hash.AppendData(bytes);
        }
        Add(source.Name);
        Add(source.Text);
        Add(target.Architecture);
        Add(compiler.ToString());
        foreach (string option in options)
            Add(option);
        foreach (string name in source.Included())
        {
            Add(name);
            Add(source.Headers[name]);
        }
        return hash.GetHashAndReset();
    }

    public string PathOf(byte[] key, string name) =>
        Path.Combine(Folder, $"{Path.GetFileNameWithoutExtension(name)}-{Convert.ToHexStringLower(key)[..24]}.kernels");

    /// <summary>The entry of the key; null where there is none that can be believed.</summary>
    public (byte[] Image, string Log)? Read(byte[] key, string name)
    {
        byte[] file;
        try
        {
            file = File.ReadAllBytes(PathOf(key, name));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
        if (file.Length < HeaderBytes + 4 || !file.AsSpan(0, 8).SequenceEqual(Magic) || !file.AsSpan(8, 32).SequenceEqual(key))
            return null;
        var body = file.AsSpan(HeaderBytes);
        if (BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(72)) != body.Length || !SHA256.HashData(body).AsSpan().SequenceEqual(file.AsSpan(40, 32)))
            return null;
        int logBytes = BinaryPrimitives.ReadInt32LittleEndian(body);
        if (logBytes < 0 || logBytes > body.Length - 4)
            return null;
        return (body[(4 + logBytes)..].ToArray(), Encoding.UTF8.GetString(body.Slice(4, logBytes)));
    }

    /// <exception cref="IOException">The folder cannot be written to; so for <see cref="UnauthorizedAccessException"/>.</exception>
    public void Write(byte[] key, string name, byte[] image, string log)
    {
        byte[] text = Encoding.UTF8.GetBytes(log);
        byte[] file = new byte[HeaderBytes + 4 + text.Length + image.Length];
        var body = file.AsSpan(HeaderBytes);
        BinaryPrimitives.WriteInt32LittleEndian(body, text.Length);
        text.CopyTo(body[4..]);
        image.CopyTo(body[(4 + text.Length)..]);
        Magic.CopyTo(file);
        key.CopyTo(file, 8);
        SHA256.HashData(body, file.AsSpan(40, 32));
        BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(72), body.Length);

        Directory.CreateDirectory(Folder);
        string temporary = Path.Combine(Folder, $".{Guid.NewGuid():N}.tmp");
        try
        {
            File.WriteAllBytes(temporary, file);
            File.Move(temporary, PathOf(key, name), overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }
}
