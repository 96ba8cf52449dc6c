using System.IO.Compression;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public sealed class IdxTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PlainAndCompressedFilesAreRead(bool compressed)
    {
        byte[] values = [1, 2, 3, 4, 5, 6];
        Write(MakeFile([2, 1, 3], values), compressed);
        var idx = Idx.Load(Path);
        Assert.Equal([2, 1, 3], idx.Extents);
        Assert.Equal(values, idx.Values);
    }

    public static TheoryData<byte[], string> Malformed => new()
    {
        { [], "ends before its first four bytes" },
        { [0, 0, 8], "ends before its first four bytes: 3 of 4" },
        { [0, 1, 8, 1, 0, 0, 0, 0], "begins with 00010801; this is no IDX file" },
        { [0, 0, 0x0D, 1, 0, 0, 0, 0], "type 0D" },
        { [0, 0, 8, 0], "0 axes" },
        { [0, 0, 8, 9], "9 axes" },
        { [0, 0, 8, 2, 0, 0, 0, 1, 0], "ends before its header: 5 of 8" },
        { [0, 0, 8, 1, 0xFF, 0xFF, 0xFF, 0xFF], "impossible extent 4294967295" },
        { [0, 0, 8, 1, 0x7F, 0xFF, 0xFF, 0xFF, 1], "too many for its size" },
        { [0, 0, 8, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1], "too many for its size" },
        { [0, 0, 8, 1, 0, 0, 0, 3, 1, 2], "ends before the 3 values that it says it holds: 2 of 3" },
        { [0, 0, 8, 1, 0, 0, 0, 1, 1, 2], "goes on after the 1 values" },
        { [0, 0, 8, 1, 0, 0, 0, 0, 2], "goes on after the 0 values" },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void AMalformedFileIsRefusedWithItsName(byte[] file, string reason)
    {
        foreach (bool compressed in new[] { false, true })
        {
            Write(file, compressed);
            string message = Assert.Throws<FileFormatException>(() => Idx.Load(Path)).Message;
            Assert.StartsWith($"{Path}: ", message);
            Assert.Contains(reason, message);
        }
    }

    [Fact]
    public void EveryTruncationOfACompressedFileIsRefused()
    {
        Write(MakeFile([40], Enumerable.Range(0, 40).Select(i => (byte)(i * i)).ToArray()), compressed: true);
        byte[] whole = File.ReadAllBytes(Path);
        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(Path, whole.AsSpan(0, length));
            Assert.Throws<FileFormatException>(() => Idx.Load(Path));
        }
    }

    [Fact]
    public void ADamagedByteOfACompressedFileIsNoticed()
    {
        Write(MakeFile([400], Enumerable.Range(0, 400).Select(i => (byte)(i * i)).ToArray()), compressed: true);
        byte[] whole = File.ReadAllBytes(Path);
        // The first ten bytes are gzip's own header, of which time and system are free to differ.
        for (int at = 10; at < whole.Length; at += 3)
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 0x10;
            File.WriteAllBytes(Path, damaged);
            Assert.Throws<FileFormatException>(() => Idx.Load(Path));
        }
    }

    [Fact]
    public void MnistIsReadFromItsFourFiles()
    {
        var random = new Random(1);
        byte[] pixels = new byte[3 * 28 * 28];
        random.NextBytes(pixels);
        WriteMnist("train", pixels, [7, 0, 9], compressed: true);
        WriteMnist("t10k", pixels[..784], [4], compressed: false);
        var train = Mnist.Load(_folder.Path, MnistSplit.Train);
        Assert.Equal((3, 28, 28, 1, 10), (train.Count, train.Height, train.Width, train.Channels, train.Classes));
        Assert.Equal(pixels, train.Pixels.ToArray());
        Assert.Equal([4], Mnist.Load(_folder.Path, MnistSplit.Test).LabelTensor().ToInt32Array());

        var images = train.ImageTensor();
        Assert.Equal(new Shape(3, 28, 28, 1), images.Shape);
        Assert.Equal(pixels.Select(pixel => (float)(pixel * 2.0 / 255 - 1)), images.ToArray());
        var batch = train.ImageTensor([2, 0], low: 0, high: 1);
        Assert.Equal(new Shape(2, 28, 28, 1), batch.Shape);
        Assert.Equal((float)(pixels[2 * 784] / 255.0), batch.ToArray()[0]);
        Assert.Equal([9, 7, 7], train.LabelTensor([2, 0, 0]).ToInt32Array());
        Assert.Contains("no image 3 in a set of 3", Assert.Throws<ArgumentOutOfRangeException>(() => train.LabelTensor([3])).Message);
    }

    [Fact]
    public void WhatIsMissingIsNamed()
    {
        string message = Assert.Throws<DirectoryNotFoundException>(() => Mnist.Load(_folder["none"], MnistSplit.Train)).Message;
        Assert.Contains(_folder["none"], message);
        Assert.Contains("train-images-idx3-ubyte.gz", message);
        WriteMnist("t10k", new byte[784], [1], compressed: true);
        File.Delete(_folder["t10k-labels-idx1-ubyte.gz"]);
        message = Assert.Throws<FileNotFoundException>(() => Mnist.Load(_folder.Path, MnistSplit.Test)).Message;
        Assert.Contains("t10k-labels-idx1-ubyte.gz", message);
        Assert.Contains(_folder.Path, message);
    }

    [Fact]
    public void FilesThatDoNotFitEachOtherAreRefused()
    {
        WriteMnist("train", new byte[2 * 784], [1], compressed: false);
        Assert.Contains("train-labels-idx1-ubyte: its values are 1, not one label for each of the 2 images", Refusal());
        WriteMnist("train", new byte[784], [10], compressed: false);
        Assert.Contains("train-labels-idx1-ubyte: it holds the label 10", Refusal());
        File.WriteAllBytes(_folder["train-images-idx3-ubyte"], MakeFile([1, 16, 49], new byte[784]));
        Assert.Contains("train-images-idx3-ubyte: its values are 1 x 16 x 49, not images of 28 x 28", Refusal());

        string Refusal() => Assert.Throws<FileFormatException>(() => Mnist.Load(_folder.Path, MnistSplit.Train)).Message;
    }

    private string Path => _folder["test-idx"];

    private void WriteMnist(string prefix, byte[] pixels, byte[] labels, bool compressed)
    {
        string extension = compressed ? ".gz" : "";
        Write(MakeFile([pixels.Length / 784, 28, 28], pixels), compressed, _folder[$"{prefix}-images-idx3-ubyte{extension}"]);
        Write(MakeFile([labels.Length], labels), compressed, _folder[$"{prefix}-labels-idx1-ubyte{extension}"]);
    }

    private static byte[] MakeFile(int[] extents, byte[] values) =>
        [0, 0, 8, (byte)extents.Length, .. extents.SelectMany(extent => BitConverter.GetBytes(extent).Reverse()), .. values];

    private void Write(byte[] file, bool compressed, string? path = null)
    {
        using Stream stream = File.Create(path ?? Path);
        using Stream target = compressed ? new GZipStream(stream, CompressionLevel.Optimal) : stream;
        // An empty GZipStream would write nothing at all.
        target.Write(file);
    }
}
