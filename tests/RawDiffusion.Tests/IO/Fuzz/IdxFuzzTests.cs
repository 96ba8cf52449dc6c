using System.Buffers.Binary;
using System.IO.Compression;
using RawDiffusion.IO;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

public class IdxFuzzTests(ITestOutputHelper output)
{
    private static readonly byte[][] s_whole =
    [
        IdxBytes.Make([3, 4, 5], Enumerable.Range(0, 60).Select(i => (byte)(i * i)).ToArray()),
        IdxBytes.Make([20], Enumerable.Range(0, 20).Select(i => (byte)i).ToArray()),
        IdxBytes.Make([2, 1, 1, 1, 1, 1, 1, 3], [1, 2, 3, 4, 5, 6]),
        IdxBytes.Make([0], []),
    ];

    [Fact]
    public void DamagedFilesAreReadOrRefused() => Fuzz.Run(
        output, DamageIdx, file => Idx.Read("x", new MemoryStream(file)), (file, idx) => Check(file, idx), file => Fuzz.Slack + 2L * file.Length,
        "ends before its first four bytes", "this is no IDX file", "holds values of type", "axes", "ends before its header",
        "impossible extent", "too many for its size", "ends before the", "goes on after the");

    private static byte[] DamageIdx(Random random)
    {
        byte[] file = random.Pick<byte[]>(s_whole);
        if (random.Next(3) > 0)
            return Damage.Bytes(random, file);
        // The number of axes, or the extent of one.
        byte[] damaged = [.. file];
        int axis = random.Next(-1, file[3]);
        if (axis < 0)
            damaged[3] = (byte)random.Next(12);
        else
            BinaryPrimitives.WriteUInt32BigEndian(damaged.AsSpan(4 + 4 * axis), random.Next(2) == 0 ? (uint)random.Extreme() : (uint)random.Next(70));
        return damaged;
    }

    /// <summary>Extents and values stand where they must, and nothing is left over.</summary>
    internal static void Check(byte[] file, Idx idx)
    {
        Assert.Equal([0, 0, 8, (byte)idx.Extents.Count], file[..4]);
        for (int axis = 0; axis < idx.Extents.Count; axis++)
            Assert.Equal(idx.Extents[axis], BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(4 + 4 * axis)));
        Assert.Equal(idx.Extents.Aggregate(1, (product, extent) => product * extent), idx.Values.Length);
        Assert.True(file.AsSpan(4 + 4 * idx.Extents.Count).SequenceEqual(idx.Values));
    }

    public class Compressed(ITestOutputHelper output)
    {
        private static readonly byte[][] s_compressed = Array.ConvertAll(s_whole, IdxBytes.Gzip);

        [Fact]
        public void DamagedFilesAreReadOrRefused() => Fuzz.Run(
            output, MakeDamaged, file => Idx.Read("x", new MemoryStream(file)), CheckCompressed,
            // What deflate can make of the file.
            file => Fuzz.Slack + 1032L * file.Length,
            "compressed data are damaged", "compressed data are cut short", "something follows it", "but says that it holds", "checksum does not fit",
            "it is cut short", "another method", "no known meaning", "checksum of its header",
            "too many for its size", "ends before the", "goes on after the", "this is no IDX file");

        private static byte[] MakeDamaged(Random random)
        {
            byte[] file = random.Pick<byte[]>(s_compressed);
            switch (random.Next(6))
            {
                case 0:
                    return Damage.Bytes(random, file);
                case 1:
                    // The header: flags, and what they say that follows.
                    byte[] flagged = [.. file[..10], .. Damage.Bytes(random, new byte[random.Next(1, 9)]), .. file[10..]];
                    flagged[3] = (byte)random.Next(random.Next(2) == 0 ? 32 : 256);
                    return flagged;
                case 2:
                    // The trailer: checksum and length.
                    return [.. file[..^8], .. Damage.Bytes(random, file[^8..])];
                case 3:
                    return [.. file[..10], .. Damage.Bytes(random, file[10..^8]), .. file[^8..]];
                default:
                    // Damage before compression, in blocks that are stored as they are, sealed with the right trailer.
                    return IdxBytes.GzipStored(DamageIdx(random));
            }
        }

        private static void CheckCompressed(byte[] file, Idx idx)
        {
            if (!GzipReader.IsGzip(file))
            {
                Check(file, idx);
                return;
            }
            var contents = new MemoryStream();
            using (var gzip = new GZipStream(new MemoryStream(file), CompressionMode.Decompress))
                gzip.CopyTo(contents);
            Check(contents.ToArray(), idx);
        }
    }
}
