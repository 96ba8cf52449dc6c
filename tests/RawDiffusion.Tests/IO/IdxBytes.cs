using System.IO.Compression;

namespace RawDiffusion.Tests;

/// <summary>Makes IDX files of unsigned bytes.</summary>
internal static class IdxBytes
{
    public static byte[] Make(int[] extents, byte[] values) =>
        [0, 0, 8, (byte)extents.Length, .. extents.SelectMany(extent => BitConverter.GetBytes(extent).Reverse()), .. values];

    public static byte[] Gzip(byte[] file)
    {
        var compressed = new MemoryStream();
        using (var gzip = new GZipStream(compressed, CompressionLevel.Optimal))
            gzip.Write(file);
        return compressed.ToArray();
    }

    /// <summary>The same without compression, which is quick to make.</summary>
    public static byte[] GzipStored(byte[] file)
    {
        byte[] trailer = [.. BitConverter.GetBytes(PngBytes.Crc(file)), .. BitConverter.GetBytes(file.Length)];
        return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, .. PngBytes.StoredBlock(file), .. trailer];
    }
}
