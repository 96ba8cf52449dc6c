namespace RawDiffusion.Diffusion.Training;

/// <summary>Streams of a run's seed: what is drawn for one purpose does not depend on how much is drawn for another.</summary>
internal static class RandomStreams
{
    public const ulong Weights = 1, Noise = 2, Sampling = 3, Judge = 4, LabelDropout = 5, Preview = 6, Attributes = 0x41545452;
}
