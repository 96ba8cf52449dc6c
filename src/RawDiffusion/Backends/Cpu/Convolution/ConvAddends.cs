namespace RawDiffusion.Backends.Cpu;

/// <summary>A <see cref="ConvEpilogue"/> as the loops see it: a row of biases per sample, and a residual.</summary>
internal readonly unsafe struct ConvAddends(float* bias, float* sampleBias, float* residual)
{
    /// <summary>Shaped as the output, or null.</summary>
    public readonly float* Residual = residual;

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
