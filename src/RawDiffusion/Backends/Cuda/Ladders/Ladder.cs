namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>The rungs of an operation, from the naive one up. Which of them the backend takes by itself depends on shape, type and device.</summary>
public sealed class Ladder
{
    /// <param name="operation">The operation as the table of operations calls it.</param>
    public Ladder(string operation, params Rung[] rungs)
    {
        Operation = operation;
        Rungs = rungs;
        foreach (var rung in rungs)
            rung.Operation = operation;
    }

    public string Operation { get; }

    public IReadOnlyList<Rung> Rungs { get; }

    /// <exception cref="ArgumentException">There is no such rung; the message lists those there are.</exception>
    public Rung this[string name] => Rungs.FirstOrDefault(rung => rung.Name == name)
        ?? throw new ArgumentException($"{Operation} has no rung '{name}'; there are: {string.Join(", ", Rungs.Select(rung => rung.Name))}");
}
