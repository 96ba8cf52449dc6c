namespace RawDiffusion.Diffusion.Metrics;

/// <summary>What distances between sets of images are measured in: images [n, ...] -> features [n, D].</summary>
public delegate Tensor FeatureExtractor(Tensor images);

/// <summary>Features from networks that were made for something else.</summary>
public static class FeatureExtractors
{
    /// <summary>
    /// Features that know where in the image they are, which make a Frechet distance the sFID (Nash et al. 2021, section 5.1): all positions
    /// of the first channels of a map. They take the first 7 channels of a layer of Inception, so that there are about as many numbers as
    /// features of the FID.
    /// </summary>
    /// <param name="map">Images to a map [n, height, width, channels], such as a convolution within a classifier.</param>
    /// <param name="channels">How many of its channels are taken.</param>
    /// <returns>Images to [n, height * width * channels].</returns>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than one channel.</exception>
    public static FeatureExtractor Spatial(Func<Tensor, Tensor> map, int channels)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(channels, 1);
        return images => Flatten(map(images), channels);
    }

    /// <exception cref="ArgumentException">The map has no positions, or fewer channels.</exception>
    internal static Tensor Flatten(Tensor map, int channels)
    {
        if (map.Rank != 4 || map.Shape[3] < channels)
            throw new ArgumentException($"spatial features need a map [n, height, width, at least {channels} channels], not {map.Shape}");
        var first = map.Slice(3, 0, channels);
        return first.Reshape(first.Shape[0], first.Count / Math.Max(1, first.Shape[0]));
    }
}
