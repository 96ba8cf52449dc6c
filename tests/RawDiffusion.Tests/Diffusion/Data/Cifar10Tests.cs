using System.Formats.Tar;
using System.IO.Compression;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public sealed class Cifar10Tests : IDisposable
{
    private const int RecordBytes = 3073;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("cifar-10-binary.tar.gz")]
    [InlineData("cifar-10-binary.tar")]
    [InlineData(".")]
    [InlineData("cifar-10-batches-bin")]
    public void ImagesAreReadFromTheArchiveOrFromWhatItUnpacksTo(string place)
    {
        var batches = MakeBatches();
        if (place.StartsWith("cifar-10-binary", StringComparison.Ordinal))
        {
            WriteArchive(place, batches);
        }
        else
        {
            Directory.CreateDirectory(_folder[place]);
            foreach (var (name, records) in batches)
                File.WriteAllBytes(Path.Combine(_folder[place], name), records);
        }
        var data = Open();
        Assert.Equal((10, "cifar10", true), (data.Images.Count, data.Name, data.Mirror));
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], data.Images.Labels.ToArray());
        Assert.Equal([3, 4], data.HeldOut.Images.Labels.ToArray());
        Assert.False(data.HeldOut.Mirror);
        // Red, green and blue of pixel (1, 2) of the second image of the third batch.
        byte[] record = batches["data_batch_3.bin"][RecordBytes..];
        int pixel = 1 * 32 + 2;
        Assert.Equal([record[1 + pixel], record[1 + 1024 + pixel], record[1 + 2048 + pixel]], data.Images.Pixels.Slice(5 * 3072 + 3 * pixel, 3).ToArray());
    }

    [Fact]
    public void WhatDoesNotFitIsRefused()
    {
        var batches = MakeBatches();
        Assert.Contains("data_batch_4.bin is not in it", Refusal(batches.Where(batch => batch.Key != "data_batch_4.bin")));
        Assert.Contains("holds test_batch.bin twice", Refusal([.. batches, new("test_batch.bin", batches["test_batch.bin"])]));
        Assert.Contains("a batch of 3074 bytes is not", Refusal([new("data_batch_1.bin", new byte[RecordBytes + 1])]));
        Assert.Contains("a batch of 0 bytes is not", Refusal([new("data_batch_1.bin", [])]));
        Assert.Contains("a batch of 30733073 bytes is not", Refusal([new("data_batch_1.bin", new byte[10_001 * RecordBytes])]));
        byte[] labelled = [.. batches["data_batch_2.bin"]];
        labelled[RecordBytes] = 10;
        Assert.Contains("it holds the label 10", Refusal([new("data_batch_2.bin", labelled)]));

        byte[] whole = File.ReadAllBytes(_folder["cifar-10-binary.tar.gz"]);
        File.WriteAllBytes(_folder["cifar-10-binary.tar.gz"], whole[..^20]);
        Assert.Throws<FileFormatException>(Open);

        string Refusal(IEnumerable<KeyValuePair<string, byte[]>> entries)
        {
            WriteArchive("cifar-10-binary.tar.gz", entries);
            string message = Assert.Throws<FileFormatException>(Open).Message;
            Assert.StartsWith(_folder["cifar-10-binary.tar.gz"], message);
            return message;
        }
    }

    /// <summary>An archive that unpacks to far more than CIFAR-10 is left before it fills anything.</summary>
    [Fact]
    public void AnArchiveThatSwellsIsRefused()
    {
        using (var zeros = new FileStream(_folder["zeros"], FileMode.Create))
        using (var file = new FileStream(_folder["cifar-10-binary.tar.gz"], FileMode.Create))
        using (var gzip = new GZipStream(file, CompressionLevel.Fastest))
        using (var writer = new TarWriter(gzip, TarEntryFormat.Ustar))
        {
            // No block of the disk is taken by what was never written.
            zeros.SetLength(300_000_000);
            writer.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, "huge") { DataStream = zeros });
        }
        Assert.InRange(new FileInfo(_folder["cifar-10-binary.tar.gz"]).Length, 0, 3_000_000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("there are more than 268435456 bytes in it", Assert.Throws<FileFormatException>(Open).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    [Fact]
    public void AMissingFileIsNamed()
    {
        Assert.Contains("cifar10 needs cifar-10-binary.tar.gz in this folder", Assert.Throws<FileNotFoundException>(Open).Message);
        File.WriteAllBytes(_folder["test_batch.bin"], MakeBatches()["test_batch.bin"]);
        Assert.Contains("data_batch_1.bin is not in this folder, but other files of cifar10 are", Assert.Throws<FileNotFoundException>(Open).Message);
    }

    private ImageData Open() => Cifar10.Open(new DataOptions { Directory = _folder.Path });

    /// <summary>Two records in each batch.</summary>
    private static Dictionary<string, byte[]> MakeBatches()
    {
        var random = new Random(1);
        var batches = new Dictionary<string, byte[]>();
        for (int batch = 1; batch <= 6; batch++)
        {
            var records = new byte[2 * RecordBytes];
            random.NextBytes(records);
            (records[0], records[RecordBytes]) = batch == 6 ? ((byte)3, (byte)4) : ((byte)(2 * batch - 2), (byte)(2 * batch - 1));
            batches[batch == 6 ? "test_batch.bin" : $"data_batch_{batch}.bin"] = records;
        }
        return batches;
    }

    private void WriteArchive(string file, IEnumerable<KeyValuePair<string, byte[]>> entries)
    {
        using var archive = new MemoryStream();
        using (var writer = new TarWriter(archive, TarEntryFormat.Ustar, leaveOpen: true))
        {
            writer.WriteEntry(new UstarTarEntry(TarEntryType.Directory, "cifar-10-batches-bin/"));
            foreach (var (name, contents) in entries.Append(new("readme.html", [60])))
                writer.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, $"cifar-10-batches-bin/{name}") { DataStream = new MemoryStream(contents) });
        }
        File.WriteAllBytes(_folder[file], file.EndsWith(".gz", StringComparison.Ordinal) ? IdxBytes.Gzip(archive.ToArray()) : archive.ToArray());
    }
}
