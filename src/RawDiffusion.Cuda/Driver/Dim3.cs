namespace RawDiffusion.Cuda;

/// <summary>The size of a grid in blocks or of a block in threads; x varies fastest.</summary>
public readonly record struct Dim3(int X, int Y = 1, int Z = 1)
{
    /// <summary>X * Y * Z.</summary>
    public long Count => (long)X * Y * Z;

    public static implicit operator Dim3(int x) => new(x);

    public static implicit operator Dim3((int X, int Y) size) => new(size.X, size.Y);

    public static implicit operator Dim3((int X, int Y, int Z) size) => new(size.X, size.Y, size.Z);

    public override string ToString() => $"({X},{Y},{Z})";
}
