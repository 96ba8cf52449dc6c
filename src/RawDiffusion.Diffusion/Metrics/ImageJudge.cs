using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;

namespace RawDiffusion.Diffusion.Metrics;

/// <summary>What a classifier makes of a set of generated images.</summary>
/// <param name="Count">Number of images, N.</param>
/// <param name="Confident">Share of the images whose most probable class has a probability of at least <see cref="ImageJudge.ConfidentFrom"/>.</param>
/// <param name="ClassShares">For each class, the share of images that are taken for it. Sums to 1.</param>
/// <param name="Right">Share of the images taken for the class they were asked to be; null where nothing was asked.</param>
/// <param name="Distances">From real images held out from training, in the classifier's features: cFID, KID, precision and recall.</param>
/// <param name="SpatialDistance">csFID: the Frechet distance in <see cref="ConvClassifier.FeatureMap"/>.</param>
/// <param name="RealDistances">The same of as many other real images: what a perfect model would score at this N.</param>
/// <param name="RealSpatialDistance">The same for the csFID.</param>
public sealed record ImageJudgement(
    int Count, double Confident, IReadOnlyList<double> ClassShares, double? Right,
    SetDistances Distances, double SpatialDistance, SetDistances RealDistances, double RealSpatialDistance)
{
    /// <summary>cFID: <see cref="FrechetDistance"/> of the classifier's features to those of real images held out from training.</summary>
    public double Distance => Distances.Frechet;

    /// <summary>The cFID of as many other real images to the same ones.</summary>
    public double Floor => RealDistances.Frechet;
}

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

    /// <summary>Channels of <see cref="ConvClassifier.FeatureMap"/> that the csFID takes: of digits 7 x 7 x 4 numbers.</summary>
    public const int SpatialChannels = 4;

    private const int BatchSize = 500;

    // The floor at N = 1,000 scatters by some percent from draw to draw; the mean of a few steadies it.
    private const int FloorDraws = 4;

    private readonly ConvClassifier _classifier;
    private readonly ITrainingData _data;
    private readonly ImageSet _reference;
    private readonly Dictionary<int, (SetDistances Distances, double Spatial)> _floors = [];

    /// <param name="data">What the images should look like.</param>
    /// <exception cref="ArgumentException">The data are not labelled images.</exception>
    public ImageJudge(ConvClassifier classifier, ITrainingData data)
    {
        if (data.Classes == 0 || data.SampleShape.Rank != 3)
            throw new ArgumentException($"ImageJudge: {data.Name} are not images with classes.");
        (_classifier, _data) = (classifier, data);
        var heldOut = data.HeldOut;
        _reference = Real(heldOut, 0, Math.Min(ReferenceCount, heldOut.Count ?? ReferenceCount));
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
        var set = new ImageSet();
        double[] shares = new double[_data.Classes];
        int confident = 0, right = 0;
        using var noGrad = new NoGrad();
        for (int start = 0; start < count; start += BatchSize)
        {
            using var scope = new MemoryScope();
            var features = set.Add(_classifier, images.Slice(0, start, Math.Min(BatchSize, count - start)));
            var probabilities = F.Softmax(_classifier.Output.Forward(features));
            int[] guesses = probabilities.ArgMax(1).ToInt32Array();
            float[] sureness = probabilities.Max(1).ToArray();
            for (int i = 0; i < guesses.Length; i++)
            {
                shares[guesses[i]] += 1.0 / count;
                confident += sureness[i] >= ConfidentFrom ? 1 : 0;
                right += guesses[i] == asked?[start + i] ? 1 : 0;
            }
        }
        var (distances, spatial) = set.DistancesTo(_reference);
        var (realDistances, realSpatial) = Floor(count);
        return new ImageJudgement(
            count, (double)confident / count, shares, asked is null ? null : (double)right / count, distances, spatial, realDistances, realSpatial);
    }

    /// <summary>The distances of N real images to the reference, the mean over a few different N. The same on every call.</summary>
    private (SetDistances Distances, double Spatial) Floor(int count)
    {
        if (_floors.TryGetValue(count, out var floor))
            return floor;
        (SetDistances Distances, double Spatial)[] draws =
            [.. Enumerable.Range(0, FloorDraws).Select(draw => Real(_data, (long)draw * count, count).DistancesTo(_reference))];
        return _floors[count] = (SetDistances.Mean([.. draws.Select(draw => draw.Distances)]), draws.Average(draw => draw.Spatial));
    }

    private ImageSet Real(ITrainingData data, long first, int count)
    {
        const ulong Seed = 0;
        using var noGrad = new NoGrad();
        var set = new ImageSet();
        for (int start = 0; start < count; start += BatchSize)
        {
            using var scope = new MemoryScope();
            set.Add(_classifier, data.Draw(first + start, Math.Min(BatchSize, count - start), Seed, _classifier.Output.Weight.Device).X);
        }
        return set;
    }

    /// <summary>What is gathered of a set of images.</summary>
    private sealed class ImageSet
    {
        private readonly FeatureSet _features = new(ConvClassifier.FeatureCount);
        private FeatureStatistics? _spatial;

        /// <returns>The features.</returns>
        public Tensor Add(ConvClassifier classifier, Tensor images)
        {
            var map = classifier.FeatureMap(images);
            var features = classifier.FeaturesOf(map);
            _features.Add(features);
            var spatial = FeatureExtractors.Flatten(map, SpatialChannels);
            (_spatial ??= new FeatureStatistics(spatial.Shape[1])).Add(spatial);
            return features;
        }

        public (SetDistances Distances, double Spatial) DistancesTo(ImageSet data) =>
            (SetDistances.Between(_features, data._features), FrechetDistance.Between(_spatial!, data._spatial!));
    }
}
