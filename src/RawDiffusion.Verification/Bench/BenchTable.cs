namespace RawDiffusion.Verification.Bench;

/// <summary>
/// Every operation that is benchmarked. Default shapes are those of the two UNets that the project measures itself by (MNIST: 32, 64 and 64
/// channels at 28, 14 and 7 pixels; CIFAR: 128 to 512 channels at 32 to 4 pixels; batches of 128) and square matrix products.
/// </summary>
public static class BenchTable
{
    public static IReadOnlyList<BenchOperation> All { get; } =
    [
        .. Operations.Products.All(),
        .. Operations.Convolutions.All(),
        .. Operations.Attentions.All(),
        .. Operations.Normalizations.All(),
        .. Operations.Elements.All(),
        .. Operations.Diffusions.All(),
        .. Operations.Optimizers.All(),
    ];

    /// <exception cref="ArgumentException">There is no such operation; the message lists those there are.</exception>
    public static BenchOperation Find(string name) =>
        All.FirstOrDefault(operation => operation.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
        ?? throw new ArgumentException($"no operation is called '{name}'; {NearestName.Hint(name, All.Select(operation => operation.Name))}there are: {string.Join(", ", All.Select(operation => operation.Name))}");
}
