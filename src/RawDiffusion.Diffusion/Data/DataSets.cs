namespace RawDiffusion.Diffusion.Data;

/// <summary>Where data sets that come in files are found.</summary>
public sealed record DataOptions
{
    /// <summary>The folder that holds the files.</summary>
    public string? Directory { get; init; }
}

/// <summary>What is known of a data set before it is opened.</summary>
/// <param name="Name">As written on a command line.</param>
/// <param name="Description">What it shows, half a line.</param>
/// <param name="SampleShape">Of one sample: [2] or [height, width, channels].</param>
/// <param name="Classes">Number of classes; 0 where the data are not labelled.</param>
/// <param name="Size">How many samples there are, and where from.</param>
public sealed record DataSetInfo(string Name, string Description, Shape SampleShape, int Classes, string Size)
{
    /// <summary>Whether it comes in files.</summary>
    public bool HasFiles { get; init; }

    /// <summary>Reads or makes it.</summary>
    public required Func<DataOptions, ITrainingData> Open { get; init; }
}

/// <summary>The data sets by name.</summary>
public static class DataSets
{
    private const string Drawn = "endless, made on the fly";

    /// <summary>All of them: the plane first, then images.</summary>
    public static IReadOnlyList<DataSetInfo> All { get; } =
    [
        Points("eight-gaussians", "eight round clusters on a circle", new EightGaussians()),
        Points("two-moons", "two interleaved half circles", new TwoMoons()),
        Points("checkerboard", "the dark squares of a 4 x 4 board", new Checkerboard()),
        Points("swiss-roll", "a spiral of one and a half turns", new SwissRoll()),
        Points("pinwheel", "five curved arms", new Pinwheel()),
        Digits("digits", "digits as if written by hand", colored: false),
        Digits("colour-digits", "the same in ten colours", colored: true),
        new("mnist", "handwritten digits", [Mnist.Side, Mnist.Side, 1], Mnist.Classes, "60,000 and 10,000 to be judged by")
        {
            HasFiles = true,
            Open = static options => Mnist.Open(options.Directory ?? throw new ArgumentException("mnist needs a folder with its files")),
        },
    ];

    /// <exception cref="ArgumentException">No such data set; the message lists those there are.</exception>
    public static DataSetInfo Find(string name) => All.FirstOrDefault(info => info.Name == name)
        ?? throw new ArgumentException($"unknown data set '{name}'; there are: {string.Join(", ", All.Select(info => info.Name))}");

    /// <summary>Opens a data set.</summary>
    /// <exception cref="ArgumentException">No such data set; the message lists those there are.</exception>
    /// <exception cref="IOException">Its files cannot be found or read; the message says which.</exception>
    public static ITrainingData Open(string name, DataOptions? options = null) => Find(name).Open(options ?? new DataOptions());

    private static DataSetInfo Points(string name, string description, IPointDistribution distribution) =>
        new(name, description, [2], 0, Drawn) { Open = _ => new PointData(name, distribution) };

    private static DataSetInfo Digits(string name, string description, bool colored)
    {
        var data = new DigitData(colored);
        return new DataSetInfo(name, description, data.SampleShape, Mnist.Classes, Drawn) { Open = _ => data };
    }
}
