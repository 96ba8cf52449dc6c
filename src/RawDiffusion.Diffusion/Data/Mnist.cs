using System.Buffers.Binary;
using System.Security.Cryptography;
using RawDiffusion.Diffusion.Data.Files;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Data;

public enum MnistSplit
{
    /// <summary>60,000 images to learn from.</summary>
    Train,

    /// <summary>10,000 images to be judged by.</summary>
    Test,
}

/// <summary>Handwritten digits (LeCun, Cortes, Burges 1998), 28 x 28 grey, and any other set in the same files.</summary>
public static class Mnist
{
    public const int Side = 28;
    public const int Classes = 10;

    private static readonly DataFileSet s_files = MakeFiles(
        "mnist", ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"],
        (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"));

    /// <summary>MD5 of what is in the four files: the same digits are also about in gzip files of other bytes.</summary>
    private static readonly string[] s_contents =
    [
        "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637",
    ];

    /// <summary>What the labels mean.</summary>
    public static LabelKind Digit { get; } = new("digit", ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);

    /// <summary>Finds or downloads the digits. Files that hold others are read too; the options' note then says so.</summary>
    /// <param name="maxShift">See <see cref="ImageData.MaxShift"/>.</param>
    /// <exception cref="IOException">A file is missing, or damaged, or not of this kind; the message names it.</exception>
    public static ImageData Open(DataOptions options, int maxShift = 0)
    {
        string folder = s_files.Provide(options);
        var data = Load("mnist", Digit, folder, maxShift);
        if (options.Note is { } note && !(ArePublished(data.Images, 0) && ArePublished(data.HeldOut.Images, 2)))
            note($"{folder} holds other images than the MNIST that was published");
        return data;
    }

    /// <summary>Reads one split from a folder with the four files, each as published or unzipped.</summary>
    /// <exception cref="FileNotFoundException">A file is missing; the message names it.</exception>
    /// <exception cref="FileFormatException">A file is damaged or not of this kind.</exception>
    public static LabelledImages Load(string folder, MnistSplit split)
    {
        int first = split == MnistSplit.Train ? 0 : 2;
        string imagePath = Find(folder, first), labelPath = Find(folder, first + 1);
        var images = Idx.Load(imagePath);
        if (images.Extents is not [_, Side, Side])
            throw new FileFormatException(imagePath, $"its values are {Describe(images)}, not images of {Side} x {Side}");
        var labels = Idx.Load(labelPath);
        if (labels.Extents is not [int count] || count != images.Extents[0])
        {
            throw new FileFormatException(
                labelPath, $"its values are {Describe(labels)}, not one label for each of the {images.Extents[0]} images beside it");
        }
        if (count == 0)
            throw new FileFormatException(imagePath, "it holds no images");
        byte largest = labels.Values.Max();
        if (largest >= Classes)
            throw new FileFormatException(labelPath, $"it holds the label {largest}; labels are 0 to {Classes - 1}");
        return new LabelledImages(images.Values, labels.Values, Side, Side, 1, Classes);
    }

    internal static ImageData Load(string name, LabelKind labels, string folder, int maxShift = 0) =>
        new(name, labels, Load(folder, MnistSplit.Train), Load(folder, MnistSplit.Test)) { MaxShift = maxShift };

    /// <summary>The four files of a set of this kind.</summary>
    /// <param name="addresses">Of folders, with a slash at the end.</param>
    /// <param name="files">Training images and labels, test images and labels.</param>
    internal static DataFileSet MakeFiles(string name, string[] addresses, params (long Bytes, string Sha256)[] files)
    {
        string[] names = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];
        return new DataFileSet(name, [.. names.Zip(files, (file, sum) =>
            new DataFile(file, sum.Bytes, sum.Sha256, [.. addresses.Select(address => address + file)]))]);
    }

    private static string Find(string folder, int file) => DataFileSet.Find(folder, s_files.Files[file])
        ?? throw new FileNotFoundException($"{folder}: {s_files.Files[file].Name} is not in this folder, neither as published nor unzipped");

    private static bool ArePublished(LabelledImages images, int file) =>
        ContentSum([images.Count, images.Height, images.Width], images.Pixels) == s_contents[file]
        && ContentSum([images.Count], images.Labels) == s_contents[file + 1];

    /// <summary>MD5 of an IDX file of bytes as it was before it was compressed.</summary>
    private static string ContentSum(ReadOnlySpan<int> extents, ReadOnlySpan<byte> values)
    {
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        md5.AppendData([0, 0, 8, (byte)extents.Length]);
        Span<byte> extent = stackalloc byte[4];
        foreach (int count in extents)
        {
            BinaryPrimitives.WriteInt32BigEndian(extent, count);
            md5.AppendData(extent);
        }
        md5.AppendData(values);
        return Convert.ToHexStringLower(md5.GetHashAndReset());
    }

    private static string Describe(Idx idx) => string.Join(" x ", idx.Extents);
}
