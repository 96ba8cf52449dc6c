namespace RawDiffusion.Diffusion.Metrics;

/// <summary>How near images are to those that they should be, pixel by pixel.</summary>
public static class ImageSimilarity
{
    private const int Window = 11;
    private const double WindowDeviation = 1.5, C1 = 0.01 * 0.01, C2 = 0.03 * 0.03;

    /// <summary>The peak signal-to-noise ratio 10 log10(range^2 / mean squared error), in decibels, over all pixels; infinite for equal images.</summary>
    /// <param name="range">The distance from black to white: 2 for images in [-1, 1].</param>
    /// <exception cref="ArgumentException">The shapes differ or are empty.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The range is not positive.</exception>
    public static double PeakSignalToNoise(Tensor x, Tensor y, double range = 2)
    {
        if (x.Shape != y.Shape || x.Count == 0)
            throw new ArgumentException($"PeakSignalToNoise: expected images of one shape, got {x.Shape} and {y.Shape}.");
        CheckRange(range);
        double[] a = x.ToDoubleArray(), b = y.ToDoubleArray();
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += (a[i] - b[i]) * (a[i] - b[i]);
        return 10 * Math.Log10(range * range / (sum / a.Length));
    }

    /// <summary>
    /// The structural similarity (Wang et al. 2004, equation 13), averaged over all windows of 11 x 11 pixels with Gaussian weights that lie
    /// within the image, over channels and over images: 1 for equal ones. It is of intensities, which are 0 where it is black, so the same
    /// images in [-1, 1] and in [0, 1] have the same.
    /// </summary>
    /// <param name="x">[N, H, W, C] with H and W of at least 11.</param>
    /// <param name="range">The distance from black to white.</param>
    /// <param name="black">Which value is black: -1 for images in [-1, 1].</param>
    /// <exception cref="ArgumentException">The shapes differ, or the images are smaller than a window.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The range is not positive, or black is not finite.</exception>
    public static double StructuralSimilarity(Tensor x, Tensor y, double range = 2, double black = -1)
    {
        if (x.Shape != y.Shape || x.Rank != 4 || x.Shape[1] < Window || x.Shape[2] < Window || x.Count == 0)
            throw new ArgumentException($"StructuralSimilarity: expected images [N, H, W, C] of one shape, at least {Window} pixels high and wide, got {x.Shape} and {y.Shape}.");
        CheckRange(range);
        if (!double.IsFinite(black))
            throw new ArgumentOutOfRangeException(nameof(black), $"the value of black must be finite, not {black}");
        double[] a = Array.ConvertAll(x.ToDoubleArray(), value => value - black), b = Array.ConvertAll(y.ToDoubleArray(), value => value - black), weights = Weights();
        int n = x.Shape[0], height = x.Shape[1], width = x.Shape[2], channels = x.Shape[3];
        double sum = 0, c1 = C1 * range * range, c2 = C2 * range * range;
        long count = 0;
        for (int image = 0; image < n; image++)
        {
            for (int top = 0; top + Window <= height; top++)
            {
                for (int left = 0; left + Window <= width; left++)
                {
                    for (int c = 0; c < channels; c++, count++)
                        sum += AtWindow(image, top, left, c);
                }
            }
        }
        return sum / count;

        double AtWindow(int image, int top, int left, int c)
        {
            double meanA = 0, meanB = 0, squareA = 0, squareB = 0, product = 0;
            for (int i = 0; i < Window; i++)
            {
                for (int j = 0; j < Window; j++)
                {
                    int at = ((image * height + top + i) * width + left + j) * channels + c;
                    double w = weights[i] * weights[j];
                    meanA += w * a[at];
                    meanB += w * b[at];
                    squareA += w * a[at] * a[at];
                    squareB += w * b[at] * b[at];
                    product += w * a[at] * b[at];
                }
            }
            double varianceA = squareA - meanA * meanA, varianceB = squareB - meanB * meanB, covariance = product - meanA * meanB;
            return (2 * meanA * meanB + c1) * (2 * covariance + c2) / ((meanA * meanA + meanB * meanB + c1) * (varianceA + varianceB + c2));
        }
    }

    private static void CheckRange(double range)
    {
        if (!(range > 0 && double.IsFinite(range)))
            throw new ArgumentOutOfRangeException(nameof(range), $"the distance from black to white must be positive, not {range}");
    }

    private static double[] Weights()
    {
        var weights = new double[Window];
        for (int i = 0; i < Window; i++)
            weights[i] = Math.Exp(-Math.Pow(i - Window / 2, 2) / (2 * WindowDeviation * WindowDeviation));
        double sum = weights.Sum();
        return Array.ConvertAll(weights, w => w / sum);
    }
}
