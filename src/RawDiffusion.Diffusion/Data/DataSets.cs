using RawDiffusion.Diffusion.Data.Files;

namespace RawDiffusion.Diffusion.Data;

/// <summary>Where data sets that come in files are found, and who is told of it.</summary>
public sealed record DataOptions
{
    /// <summary>A folder that holds the files; they are then looked for nowhere else. Null for the cache folder.</summary>
    public string? Directory { get; init; }

    /// <summary>What is not in the cache folder is not downloaded.</summary>
    public bool Offline { get; init; }

    /// <summary>The cache folder; null for that of <see cref="IO.CacheFolder"/>.</summary>
    public string? CacheDirectory { get; init; }

    public DownloadSettings Download { get; init; } = new();

    /// <summary>Told after every piece of a download.</summary>
    public Action<DownloadProgress>? Progress { get; init; }

    /// <summary>Told, in a line, what is odd about files that can be read all the same.</summary>
    public Action<string>? Note { get; init; }

    /// <summary>Ends a download; what has come is kept for the next.</summary>
    public CancellationToken Stop { get; init; }
}

/// <summary>What is known of a data set before it is opened.</summary>
/// <param name="Name">As written on a command line.</param>
/// <param name="Description">What it shows, half a line.</param>
/// <param name="SampleShape">Of one sample: [2] or [height, width, channels].</param>
/// <param name="Classes">Number of classes; 0 where the data are not labelled.</param>
/// <param name="Size">How many samples there are.</param>
/// <param name="Source">Where they come from.</param>
public sealed record DataSetInfo(string Name, string Description, Shape SampleShape, int Classes, string Size, string Source)
{
    /// <summary>Whether it comes in files.</summary>
    public bool HasFiles { get; init; }

    /// <summary>Reads or makes it.</summary>
    public required Func<DataOptions, ITrainingData> Open { get; init; }
}

/// <summary>The data sets by name.</summary>
public static class DataSets
{
    /// <summary>All of them: points of the plane first, then images.</summary>
    public static IReadOnlyList<DataSetInfo> All { get; } =
    [
        Points("eight-gaussians", "eight round clusters on a circle", new EightGaussians()),
        Points("two-moons", "two interleaved half circles", new TwoMoons()),
        Points("checkerboard", "the dark squares of a 4 x 4 board", new Checkerboard()),
        Points("swiss-roll", "a spiral of one and a half turns", new SwissRoll()),
        Points("pinwheel", "five curved arms", new Pinwheel()),
        Digits("digits", "digits as if written by hand", colored: false),
        Digits("colour-digits", "the same in ten colours", colored: true),
        Files("mnist", "handwritten digits", [28, 28, 1], "60,000 and 10,000 held out", "LeCun, Cortes, Burges 1998; 12 MB", static options => Mnist.Open(options)),
        Files("fashion-mnist", "articles of clothing", [28, 28, 1], "60,000 and 10,000 held out", "Xiao, Rasul, Vollgraf 2017; 31 MB", FashionMnist.Open),
        Files("cifar10", "small photographs", [32, 32, 3], "50,000 and 10,000 held out", "Krizhevsky 2009; 170 MB", Cifar10.Open),
    ];

    /// <exception cref="ArgumentException">No such data set; the message lists those there are.</exception>
    public static DataSetInfo Find(string name) => All.FirstOrDefault(info => info.Name == name)
        ?? throw new ArgumentException($"unknown data set '{name}'; there are: {string.Join(", ", All.Select(info => info.Name))}");

    /// <summary>Opens a data set.</summary>
    /// <exception cref="ArgumentException">No such data set; the message lists those there are.</exception>
    /// <exception cref="IOException">Its files cannot be found or read; the message says which.</exception>
    public static ITrainingData Open(string name, DataOptions? options = null) => Find(name).Open(options ?? new DataOptions());

    private static DataSetInfo Points(string name, string description, IPointDistribution distribution) =>
        Drawn(name, description, [2], 0, () => new PointData(name, distribution));

    private static DataSetInfo Digits(string name, string description, bool colored) =>
        Drawn(name, description, new DigitData(colored).SampleShape, Mnist.Classes, () => new DigitData(colored));

    private static DataSetInfo Drawn(string name, string description, Shape shape, int classes, Func<ITrainingData> make) =>
        new(name, description, shape, classes, "endless", "made on the fly") { Open = _ => make() };

    private static DataSetInfo Files(
        string name, string description, Shape shape, string size, string source, Func<DataOptions, ITrainingData> open) =>
        new(name, description, shape, 10, size, source) { HasFiles = true, Open = open };
}
