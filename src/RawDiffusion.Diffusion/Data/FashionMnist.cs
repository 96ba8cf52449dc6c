using RawDiffusion.Diffusion.Data.Files;

namespace RawDiffusion.Diffusion.Data;

/// <summary>Articles of clothing (Xiao, Rasul, Vollgraf 2017), 28 x 28 grey, in files like MNIST's.</summary>
public static class FashionMnist
{
    // The sums are those that TorchVision and several other projects check independently; the README of the data set gives MD5 only.
    private static readonly DataFileSet s_files = Mnist.MakeFiles(
        "fashion-mnist",
        [
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
        ],
        (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"));

    /// <summary>What the labels mean.</summary>
    public static LabelKind Article { get; } = new(
        "article", ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]);

    /// <summary>Finds or downloads the images.</summary>
    /// <exception cref="IOException">A file is missing, or damaged, or not of this kind; the message names it.</exception>
    public static ImageData Open(DataOptions options) => Mnist.Load("fashion-mnist", Article, s_files.Provide(options));
}
