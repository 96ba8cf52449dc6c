using System.Runtime.CompilerServices;

namespace RawDiffusion.Backends.Cpu;

/// <summary>A <see cref="ConvEpilogue"/> as the loops see it: a row of biases per sample, a residual, and SiLU of it all.</summary>
internal readonly unsafe struct ConvAddends(float* bias, float* sampleBias, float* residual, bool silu, float* sums)
{
    /// <summary>Shaped as the output, or null.</summary>
    public readonly float* Residual = residual;

    /// <summary>What is to be done with the sums once they are in the output.</summary>
    public ConvActivation Activation(float* y) => new(silu, sums == null ? 0 : (nint)(sums - y));

    /// <summary>One row for each sample, or one for all.</summary>
    public int BiasRows(int batch) => sampleBias != null ? batch : 1;

    /// <summary>rows[sample][channel] = bias + sampleBias, <paramref name="step"/> floats apart; zeros where neither is given.</summary>
    public void WriteBiases(int batch, int channels, int step, float* rows)
    {
        for (int n = 0; n < BiasRows(batch); n++, rows += step)
        {
            for (int c = 0; c < channels; c++)
                rows[c] = (bias != null ? bias[c] : 0) + (sampleBias != null ? sampleBias[n * channels + c] : 0);
        }
    }
}

/// <summary>SiLU of sums that have just been written, while the first-level cache holds them.</summary>
/// <param name="sums">How far from each element the sum itself is kept, or 0 for nowhere.</param>
internal readonly unsafe struct ConvActivation(bool silu, nint sums)
{
    public readonly bool IsSilu = silu;

    /// <summary>The channels of one pixel from y on.</summary>
    public void Apply<V>(float* y, int channels) where V : struct, ISimd<V>
    {
        int c = 0;
        for (; c <= channels - V.Count; c += V.Count, y += V.Count)
            Apply(V.Load(y), y);
        if (c == channels)
            return;
        float* rest = stackalloc float[V.Count];
        for (int i = 0; i < V.Count; i++)
            rest[i] = i < channels - c ? y[i] : 0;
        V.Store(Silu(V.Load(rest)), rest);
        for (int i = 0; i < channels - c; i++)
        {
            if (sums != 0)
                y[sums + i] = y[i];
            y[i] = rest[i];
        }
    }

    /// <summary>One vector of channels of some pixels.</summary>
    public void Apply<V>(float* y, nint yRow, nint yColumn, int rows, int columns) where V : struct, ISimd<V>
    {
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
                Apply(V.Load(y + i * yRow + j * yColumn), y + i * yRow + j * yColumn);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Apply<V>(V sum, float* y) where V : struct, ISimd<V>
    {
        if (sums != 0)
            V.Store(sum, y + sums);
        V.Store(Silu(sum), y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Silu<V>(V x) where V : struct, ISimd<V> => x * VectorMath.Sigmoid(x);
}
