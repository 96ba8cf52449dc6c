using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>A number for every step of a chain, worked out in float64 and looked up on the device, where the steps of a batch differ.</summary>
internal sealed class StepTable
{
    private readonly Tensor _values;

    /// <param name="first">Where the numbers begin: 0, or 1 where the data itself has none and asking for it gives NaN.</param>
    public StepTable(int steps, int first, Func<int, double> value, Backend? device)
    {
        var values = new double[steps + 1];
        values[0] = double.NaN;
        for (int t = first; t <= steps; t++)
            values[t] = value(t);
        _values = Tensor.From(values, [steps + 1, 1], device);
    }

    /// <summary>The numbers of the steps t, Int32 [n] or [1], shaped to broadcast over samples of a rank: [n, 1, ...].</summary>
    public Tensor At(Tensor t, int rank)
    {
        Span<int> extents = stackalloc int[rank];
        extents.Fill(1);
        extents[0] = t.Count;
        return F.Embedding(t, _values).Reshape(new Shape(extents));
    }
}
