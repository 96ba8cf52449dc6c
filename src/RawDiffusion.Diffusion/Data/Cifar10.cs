using RawDiffusion.Diffusion.Data.Files;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// Small photographs (Krizhevsky 2009, "Learning multiple layers of features from tiny images"), 32 x 32 RGB, from the binary version:
/// six files of up to 10,000 records of a label and then the red, green and blue values of the pixels, plane by plane.
/// </summary>
/// <remarks>Half of the training images are mirrored left to right, others in every epoch, as in DDPM's experiments.</remarks>
public static class Cifar10
{
    public const int Side = 32;
    public const int Channels = 3;
    public const int Classes = 10;

    private const int PlaneBytes = Side * Side;
    private const int RecordBytes = 1 + Channels * PlaneBytes;
    private const int MostRecords = 10_000;

    // The archive holds 184 MB.
    private const long LargestArchive = 256 << 20;

    private static readonly string[] s_training = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
    private static readonly string[] s_test = ["test_batch.bin"];

    private static readonly DataFileSet s_files = new(
        "cifar10",
        new DataFile(
            "cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz"));

    /// <summary>What the labels mean.</summary>
    public static LabelKind Object { get; } = new(
        "object", ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]);

    /// <summary>Finds or downloads the images. A given folder may hold the archive, or what was unpacked from it.</summary>
    /// <exception cref="IOException">A file is missing, or damaged, or not of this kind; the message names it.</exception>
    public static ImageData Open(DataOptions options)
    {
        var batches = options.Directory is { } folder && FindUnpacked(folder) is { } unpacked
            ? ReadFolder(unpacked)
            : ReadArchive(s_files.Provide(options));
        return new ImageData("cifar10", Object, Join(batches, s_training), Join(batches, s_test)) { Mirror = true };
    }

    private static string? FindUnpacked(string folder) => new[] { folder, Path.Combine(folder, "cifar-10-batches-bin") }
        .FirstOrDefault(place => s_test.Concat(s_training).Any(name => File.Exists(Path.Combine(place, name))));

    private static Dictionary<string, byte[]> ReadFolder(string folder)
    {
        var batches = new Dictionary<string, byte[]>();
        foreach (string name in s_training.Concat(s_test))
        {
            string path = Path.Combine(folder, name);
            if (!File.Exists(path))
                throw new FileNotFoundException($"{folder}: {name} is not in this folder, but other files of cifar10 are");
            ExpectBatch(path, new FileInfo(path).Length);
            batches[name] = ExpectLabels(path, File.ReadAllBytes(path));
        }
        return batches;
    }

    private static Dictionary<string, byte[]> ReadArchive(string folder)
    {
        string path = DataFileSet.Find(folder, s_files.Files[0])!;
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        Span<byte> begin = stackalloc byte[2];
        bool isZipped = GzipReader.IsGzip(begin[..file.ReadAtLeast(begin, begin.Length, throwOnEndOfStream: false)]);
        file.Position = 0;
        if (!isZipped)
            return ReadTar(path, file);
        using var unzipped = new GzipReader(path, file);
        return ReadTar(path, unzipped);
    }

    private static Dictionary<string, byte[]> ReadTar(string path, Stream stream)
    {
        var batches = new Dictionary<string, byte[]>();
        var tar = new TarWalk(path, stream, LargestArchive);
        while (tar.MoveNext())
        {
            if (!s_training.Contains(tar.Name) && !s_test.Contains(tar.Name))
                continue;
            ExpectBatch(path, tar.Length);
            if (!batches.TryAdd(tar.Name, ExpectLabels(path, tar.Read())))
                throw new FileFormatException(path, $"it holds {tar.Name} twice");
        }
        foreach (string name in s_training.Concat(s_test))
        {
            if (!batches.ContainsKey(name))
                throw new FileFormatException(path, $"{name} is not in it");
        }
        return batches;
    }

    private static void ExpectBatch(string path, long length)
    {
        if (length % RecordBytes != 0 || length is < RecordBytes or > (long)RecordBytes * MostRecords)
            throw new FileFormatException(path, $"a batch of {length} bytes is not 1 to {MostRecords} records of {RecordBytes}");
    }

    private static byte[] ExpectLabels(string path, byte[] records)
    {
        for (int at = 0; at < records.Length; at += RecordBytes)
        {
            if (records[at] >= Classes)
                throw new FileFormatException(path, $"it holds the label {records[at]}; labels are 0 to {Classes - 1}");
        }
        return records;
    }

    /// <summary>Records of some batches one after the other, as images [height, width, channels].</summary>
    private static LabelledImages Join(Dictionary<string, byte[]> batches, string[] names)
    {
        int count = names.Sum(name => batches[name].Length / RecordBytes), image = 0;
        var (pixels, labels) = (new byte[count * Channels * PlaneBytes], new byte[count]);
        foreach (string name in names)
        {
            byte[] records = batches[name];
            for (int at = 0; at < records.Length; at += RecordBytes, image++)
            {
                labels[image] = records[at];
                var planes = records.AsSpan(at + 1, Channels * PlaneBytes);
                var target = pixels.AsSpan(image * Channels * PlaneBytes, Channels * PlaneBytes);
                for (int i = 0; i < PlaneBytes; i++)
                {
                    for (int c = 0; c < Channels; c++)
                        target[i * Channels + c] = planes[c * PlaneBytes + i];
                }
            }
        }
        return new LabelledImages(pixels, labels, Side, Side, Channels, Classes);
    }
}
