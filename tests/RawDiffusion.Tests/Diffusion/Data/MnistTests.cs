using RawDiffusion.Diffusion.Data;
using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public sealed class MnistTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

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
        var batch = train.ImageTensor([new ImagePick(2), new ImagePick(0)], low: 0, high: 1);
        Assert.Equal(new Shape(2, 28, 28, 1), batch.Shape);
        Assert.Equal((float)(pixels[2 * 784] / 255.0), batch.ToArray()[0]);
        Assert.Equal([9, 7, 7], train.LabelTensor([new ImagePick(2), new ImagePick(0), new ImagePick(0)]).ToInt32Array());
        Assert.Contains("no image 3 in a set of 3", Assert.Throws<ArgumentOutOfRangeException>(() => train.LabelTensor([new ImagePick(3)])).Message);
    }

    [Fact]
    public void WhatIsMissingIsNamed()
    {
        string message = Assert.Throws<DirectoryNotFoundException>(() => Mnist.Open(new DataOptions { Directory = _folder["none"] })).Message;
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
        File.WriteAllBytes(_folder["train-images-idx3-ubyte"], IdxBytes.Make([1, 16, 49], new byte[784]));
        Assert.Contains("train-images-idx3-ubyte: its values are 1 x 16 x 49, not images of 28 x 28", Refusal());

        string Refusal() => Assert.Throws<FileFormatException>(() => Mnist.Load(_folder.Path, MnistSplit.Train)).Message;
    }

    private void WriteMnist(string prefix, byte[] pixels, byte[] labels, bool compressed)
    {
        Write($"{prefix}-images-idx3-ubyte", IdxBytes.Make([pixels.Length / 784, 28, 28], pixels));
        Write($"{prefix}-labels-idx1-ubyte", IdxBytes.Make([labels.Length], labels));

        void Write(string name, byte[] file) =>
            File.WriteAllBytes(_folder[compressed ? name + ".gz" : name], compressed ? IdxBytes.Gzip(file) : file);
    }
}
