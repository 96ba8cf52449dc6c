namespace RawDiffusion.Verification.Bench;

/// <summary>An operation that can be benchmarked at any shape, written as text.</summary>
public sealed record BenchOperation
{
    /// <summary>As it is given on the command line, and as its ladder is called.</summary>
    public required string Name { get; init; }

    /// <summary>What it computes, in a few words.</summary>
    public required string What { get; init; }

    /// <summary>How shapes are written.</summary>
    public required string Form { get; init; }

    /// <summary>The shapes that are taken where none are given: those of the UNets, and squares.</summary>
    public required IReadOnlyList<string> Shapes { get; init; }

    /// <summary>Shapes for the emulator, which takes some nanoseconds for each instruction of a warp.</summary>
    public required IReadOnlyList<string> SmallShapes { get; init; }

    /// <summary>Makes the case of a shape.</summary>
    public required Func<ShapeText, BenchCase> Create { get; init; }

    /// <summary>Whether it multiplies matrices, so that tensor cores and tf32 are of use to it.</summary>
    public bool IsProduct { get; init; }

    /// <summary>Whether it is computed in bfloat16 too; random numbers, the noise schedule and optimizers are not.</summary>
    public bool HasBFloat16 { get; init; } = true;

    /// <summary>The case of a shape.</summary>
    /// <exception cref="ArgumentException">The text is no shape; the message shows the form and an example.</exception>
    public BenchCase At(string shape)
    {
        try
        {
            var text = new ShapeText(shape);
            var made = Create(text);
            text.End();
            foreach (var tensor in made.Tensors)
            {
                if (tensor.Count is < 1 or > int.MaxValue)
                    throw new FormatException($"{tensor.Name} would have {tensor.Count} elements");
            }
            return made with { Operation = Name, Shape = shape };
        }
        catch (FormatException e)
        {
            throw new ArgumentException($"{Name}: '{shape}' is no shape: {e.Message}; expected {Form}, for example {Shapes[0]}");
        }
        catch (OverflowException)
        {
            throw new ArgumentException($"{Name}: '{shape}' is too large; arrays have fewer than 2^31 elements");
        }
    }
}
