using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Data;

public enum MnistSplit
{
    /// <summary>60,000 digits to learn from.</summary>
    Train,

    /// <summary>10,000 digits to be judged by.</summary>
    Test,
}

/// <summary>
/// Handwritten digits (LeCun, Cortes, Burges 1998), 28 x 28 grey. Any set in the same files, such as Fashion-MNIST, is read as well.
/// </summary>
public static class Mnist
{
    public const int Side = 28;
    public const int Classes = 10;

    /// <summary>What the labels mean.</summary>
    public static LabelKind Digit { get; } = new("digit", ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);

    /// <summary>Both splits of a folder as a data set.</summary>
    /// <param name="maxShift">See <see cref="ImageData.MaxShift"/>.</param>
    /// <inheritdoc cref="Load"/>
    public static ImageData Open(string folder, int maxShift = 0) =>
        new("mnist", Digit, Load(folder, MnistSplit.Train), Load(folder, MnistSplit.Test)) { MaxShift = maxShift };

    /// <summary>Reads one split from a folder with the original files, each plain or with ".gz".</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such folder; the message says what to put there.</exception>
    /// <exception cref="FileNotFoundException">A file is missing; the message names it.</exception>
    /// <exception cref="FileFormatException">A file is damaged or not MNIST's.</exception>
    public static LabelledImages Load(string folder, MnistSplit split)
    {
        string prefix = split == MnistSplit.Train ? "train" : "t10k";
        string imageName = $"{prefix}-images-idx3-ubyte", labelName = $"{prefix}-labels-idx1-ubyte";
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"{folder}: there is no such folder; MNIST needs one with {imageName}.gz and {labelName}.gz");
        string imagePath = Find(folder, imageName), labelPath = Find(folder, labelName);
        var images = Idx.Load(imagePath);
        if (images.Extents is not [_, Side, Side])
            throw new FileFormatException(imagePath, $"its values are {Describe(images)}, not images of {Side} x {Side}");
        var labels = Idx.Load(labelPath);
        if (labels.Extents is not [int count] || count != images.Extents[0])
        {
            throw new FileFormatException(
                labelPath, $"its values are {Describe(labels)}, not one label for each of the {images.Extents[0]} images in {imageName}");
        }
        byte largest = labels.Values.DefaultIfEmpty().Max();
        if (largest >= Classes)
            throw new FileFormatException(labelPath, $"it holds the label {largest}; labels are 0 to {Classes - 1}");
        return new LabelledImages(images.Values, labels.Values, Side, Side, 1, Classes);
    }

    private static string Find(string folder, string name)
    {
        string plain = Path.Combine(folder, name), compressed = plain + ".gz";
        if (File.Exists(compressed))
            return compressed;
        return File.Exists(plain)
            ? plain
            : throw new FileNotFoundException($"{folder}: neither {name}.gz nor {name} is in this folder; put one of them there");
    }

    private static string Describe(Idx idx) => string.Join(" x ", idx.Extents);
}
