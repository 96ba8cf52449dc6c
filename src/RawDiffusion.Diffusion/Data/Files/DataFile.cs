using System.Globalization;

namespace RawDiffusion.Diffusion.Data.Files;

/// <summary>A file of a data set as it was published.</summary>
/// <param name="Name">Its name, also in a folder here.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Sha256">Its SHA-256, in lower-case hexadecimal digits.</param>
/// <param name="Addresses">Where it can be had, the best first.</param>
public sealed record DataFile(string Name, long Bytes, string Sha256, params IReadOnlyList<string> Addresses)
{
    /// <summary>For messages: name, length and sum.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name} ({Bytes:#,0} bytes, sha256 {Sha256})");
}

/// <summary>How far the download of a file has come.</summary>
/// <param name="Name">Of the file.</param>
/// <param name="Received">Bytes that are here, those of an earlier attempt included.</param>
/// <param name="Total">Bytes in all.</param>
public readonly record struct DownloadProgress(string Name, long Received, long Total);

/// <summary>A file cannot be had from any of its addresses. The message is one line and says for each of them why.</summary>
public sealed class DownloadException(string message) : IOException(message);
