namespace RawDiffusion.Backends;

// Memory, elementwise operations and reductions.
public sealed partial class ProfilingBackend
{
    public override void Upload(ReadOnlySpan<float> source, Storage destination)
    {
        using var call = Begin(Count(destination), 0, Bytes(destination));
        inner.Upload(source, destination);
    }

    public override void Upload(ReadOnlySpan<double> source, Storage destination)
    {
        using var call = Begin(Count(destination), 0, Bytes(destination));
        inner.Upload(source, destination);
    }

    public override void Upload(ReadOnlySpan<int> source, Storage destination)
    {
        using var call = Begin(Count(destination), 0, Bytes(destination));
        inner.Upload(source, destination);
    }

    public override void Download(Storage source, Span<float> destination)
    {
        using var call = Begin(Count(source), 0, Bytes(source));
        inner.Download(source, destination);
    }

    public override void Download(Storage source, Span<double> destination)
    {
        using var call = Begin(Count(source), 0, Bytes(source));
        inner.Download(source, destination);
    }

    public override void Download(Storage source, Span<int> destination)
    {
        using var call = Begin(Count(source), 0, Bytes(source));
        inner.Download(source, destination);
    }

    public override void Copy(Storage x, Storage y)
    {
        using var call = Begin(Count(x), 0, Bytes(x, y));
        inner.Copy(x, y);
    }

    public override void Cast(Storage x, Storage y)
    {
        using var call = Begin(Count(x), 0, Bytes(x, y));
        inner.Cast(x, y);
    }

    public override void Fill(Storage y, double value)
    {
        using var call = Begin(Count(y), 0, Bytes(y));
        inner.Fill(y, value);
    }

    public override void Unary<TOp>(Storage x, Storage y, double a, double b)
    {
        using var call = Begin($"{TOp.Name}, {Count(x)}", 0, Bytes(x, y));
        inner.Unary<TOp>(x, y, a, b);
    }

    public override void Binary<TOp>(in BroadcastGeometry g, Storage x, Storage y, Storage z, double a)
    {
        using var call = Begin($"{TOp.Name}, {Count(x)} and {Count(y)}", 0, Bytes(x, y, z));
        inner.Binary<TOp>(in g, x, y, z, a);
    }

    public override void Where(Storage condition, Storage x, Storage y, Storage z)
    {
        using var call = Begin(Count(z), 0, Bytes(condition, x, y, z));
        inner.Where(condition, x, y, z);
    }

    public override void Broadcast(in BroadcastGeometry g, Storage x, Storage y)
    {
        using var call = Begin($"{Count(x)} to {Count(y)}", 0, Bytes(x, y));
        inner.Broadcast(in g, x, y);
    }

    public override void Reduce(ReduceOp op, in ReduceGeometry g, Storage x, Storage y)
    {
        using var call = Begin($"{op}, {g.Outer} x [{g.Reduce}] x {g.Inner}", 0, Bytes(x, y));
        inner.Reduce(op, in g, x, y);
    }

    public override void ArgMax(in ReduceGeometry g, Storage x, Storage y)
    {
        using var call = Begin($"{g.Outer} x [{g.Reduce}] x {g.Inner}", 0, Bytes(x, y));
        inner.ArgMax(in g, x, y);
    }

    private static string Count(Storage storage) => $"{storage.Length:N0}";
}
