using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>What a classifier makes of a set of generated images.</summary>
/// <param name="Count">Number of images, N.</param>
/// <param name="Confident">Share of the images whose most probable class has a probability of at least <see cref="ImageJudge.ConfidentFrom"/>.</param>
/// <param name="ClassShares">For each class, the share of images that are taken for it. Sums to 1.</param>
/// <param name="Right">Share of the images taken for the class they were asked to be; null where nothing was asked.</param>
/// <param name="Distance">cFID: <see cref="FrechetDistance"/> of the classifier's features to those of real images held out from training.</param>
/// <param name="Floor">The distance of as many other real images to the same ones: what a perfect model would score at this N.</param>
public sealed record ImageJudgement(
    int Count, double Confident, IReadOnlyList<double> ClassShares, double? Right, double Distance, double Floor);

/// <summary>
/// Judges generated images by a classifier that was trained on real ones: how sure it is of them, how they share themselves among the
/// classes, and how far its features of them (the values before its last layer) are from those of real images.
/// </summary>
public sealed class ImageJudge
{
    /// <summary>From this probability on the classifier counts as sure.</summary>
    public const double ConfidentFrom = 0.9;

    /// <summary>Real images that others are compared with, at most.</summary>
    public const int ReferenceCount = 10_000;

    private const int BatchSize = 500;

    // The floor at N = 1,000 scatters by some percent from draw to draw; the mean of a few steadies it.
    private const int FloorDraws = 4;

    private readonly ConvClassifier _classifier;
    private readonly ITrainingData _data;
    private readonly FeatureStatistics _reference = new(ConvClassifier.FeatureCount);
    private readonly Dictionary<int, double> _floors = [];

    /// <param name="data">What the images should look like.</param>
    /// <exception cref="ArgumentException">The data are not labelled images.</exception>
    public ImageJudge(ConvClassifier classifier, ITrainingData data)
    {
        if (data.Classes == 0 || data.SampleShape.Rank != 3)
            throw new ArgumentException($"ImageJudge: {data.Name} are not images with classes.");
        (_classifier, _data) = (classifier, data);
        var heldOut = data.HeldOut;
        AddReal(_reference, heldOut, 0, Math.Min(ReferenceCount, heldOut.Count ?? ReferenceCount));
    }

    /// <param name="images">[N, height, width, channels] in [-1, 1].</param>
    /// <param name="labels">Int32 [N]: the class each was asked to be; null where none was.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, or there are fewer than two images.</exception>
    public ImageJudgement Judge(Tensor images, Tensor? labels = null)
    {
        int count = images.Rank == 4 ? images.Shape[0] : 0;
        if (images.Rank != 4 || new Shape(images.Shape[1], images.Shape[2], images.Shape[3]) != _data.SampleShape || count < 2)
            throw new ArgumentException($"ImageJudge: expected at least two images [N, {string.Join(", ", _data.SampleShape)}], got {images.Shape}.");
        if (labels is not null && (labels.DType != DType.Int32 || labels.Shape != [count]))
            throw new ArgumentException($"ImageJudge: {count} images need Int32 labels [{count}], not {labels.DType} {labels.Shape}.");
        int[]? asked = labels?.ToInt32Array();
        var features = new FeatureStatistics(ConvClassifier.FeatureCount);
        double[] shares = new double[_data.Classes];
        int confident = 0, right = 0;
        using var noGrad = new NoGrad();
        for (int start = 0; start < count; start += BatchSize)
        {
            using var scope = new MemoryScope();
            var batch = _classifier.Features(images.Slice(0, start, Math.Min(BatchSize, count - start)));
            features.Add(batch);
            var probabilities = F.Softmax(_classifier.Output.Forward(batch));
            int[] guesses = probabilities.ArgMax(1).ToInt32Array();
            float[] sureness = probabilities.Max(1).ToArray();
            for (int i = 0; i < guesses.Length; i++)
            {
                shares[guesses[i]] += 1.0 / count;
                confident += sureness[i] >= ConfidentFrom ? 1 : 0;
                right += guesses[i] == asked?[start + i] ? 1 : 0;
            }
        }
        return new ImageJudgement(
            count, (double)confident / count, shares, asked is null ? null : (double)right / count,
            FrechetDistance.Between(features, _reference), Floor(count));
    }

    /// <summary>The distance of N real images to the reference, the mean over a few different N. The same on every call.</summary>
    private double Floor(int count)
    {
        if (_floors.TryGetValue(count, out double floor))
            return floor;
        for (int draw = 0; draw < FloorDraws; draw++)
        {
            var real = new FeatureStatistics(ConvClassifier.FeatureCount);
            AddReal(real, _data, (long)draw * count, count);
            floor += FrechetDistance.Between(real, _reference) / FloorDraws;
        }
        return _floors[count] = floor;
    }

    private void AddReal(FeatureStatistics statistics, ITrainingData data, long first, int count)
    {
        const ulong Seed = 0;
        using var noGrad = new NoGrad();
        for (int start = 0; start < count; start += BatchSize)
        {
            using var scope = new MemoryScope();
            var real = data.Draw(first + start, Math.Min(BatchSize, count - start), Seed, _classifier.Output.Weight.Device).X;
            statistics.Add(_classifier.Features(real));
        }
    }
}
