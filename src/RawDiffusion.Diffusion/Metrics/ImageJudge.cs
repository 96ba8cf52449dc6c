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
/// <param name="Real">The same of real images.</param>
public sealed record ImageJudgement(
    int Count, double Confident, IReadOnlyList<double> ClassShares, double? Right, SetDistances Distances, double SpatialDistance, RealImages Real)
{
    /// <summary>cFID: <see cref="FrechetDistance"/> of the classifier's features to those of real images held out from training.</summary>
    public double Distance => Distances.Frechet;

    /// <summary>The cFID of real images.</summary>
    public double Floor => Real.Distances.Frechet;
}

/// <summary>
/// What a perfect model would score: the distances between two sets of real images, none of which the classifier was trained on. Images that
/// it was trained on have other features than ones it has not seen.
/// </summary>
/// <param name="Count">
/// Number of images in the one set: N, or half of the images held out where those are fewer. Not a number are the distances where that leaves
/// fewer than two.
/// </param>
/// <param name="OtherCount">Number of images in the other set: all others that are held out.</param>
/// <param name="Distances">The mean over a few different sets.</param>
/// <param name="SpatialDistance">The same for the csFID.</param>
public sealed record RealImages(int Count, int OtherCount, SetDistances Distances, double SpatialDistance);

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
    private readonly Dictionary<int, RealImages> _floors = [];

    /// <param name="data">What the images should look like; those held out are compared with.</param>
    /// <exception cref="ArgumentException">The data are not labelled images.</exception>
    public ImageJudge(ConvClassifier classifier, ITrainingData data)
    {
        if (data.Classes == 0 || data.SampleShape.Rank != 3)
            throw new ArgumentException($"ImageJudge: {data.Name} are not images with classes.");
        (_classifier, _data) = (classifier, data.HeldOut);
        _reference = HeldOut(0, Math.Min(ReferenceCount, _data.Count ?? ReferenceCount));
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
        return new ImageJudgement(
            count, (double)confident / count, shares, asked is null ? null : (double)right / count, distances, spatial, Floor(count));
    }

    /// <summary>The distances of real images to others. The same on every call.</summary>
    private RealImages Floor(int wanted)
    {
        // Of images without end others than those of the reference; else it is divided, by images in no order that means anything.
        int all = _reference.Count, count = _data.Count is null ? wanted : Math.Min(wanted, all / 2);
        if (_floors.TryGetValue(count, out var floor))
            return floor;
        return _floors[count] = count < 2 ? new RealImages(count, all - count, SetDistances.None, double.NaN)
            : _data.Count is null ? Mean(count, all, Enumerable.Range(0, FloorDraws).Select(draw => (HeldOut(all + (long)draw * count, count), _reference)))
            : Mean(count, all - count, Divided(count, all));
    }

    private static RealImages Mean(int count, int other, IEnumerable<(ImageSet Images, ImageSet Others)> pairs)
    {
        (SetDistances Distances, double Spatial)[] draws = [.. pairs.Select(pair => pair.Images.DistancesTo(pair.Others))];
        return new RealImages(count, other, SetDistances.Mean([.. draws.Select(draw => draw.Distances)]), draws.Average(draw => draw.Spatial));
    }

    /// <summary>Several parts of the images held out, each with all that it leaves.</summary>
    private IEnumerable<(ImageSet Images, ImageSet Others)> Divided(int count, int all)
    {
        int parts = Math.Min(FloorDraws, all / count), rest = all - parts * count;
        List<ImageSet> sets = [.. Enumerable.Range(0, parts).Select(part => HeldOut((long)part * count, count))];
        if (rest > 0)
            sets.Add(HeldOut((long)parts * count, rest));
        for (int part = 0; part < parts; part++)
        {
            var others = new ImageSet();
            for (int i = 0; i < sets.Count; i++)
            {
                if (i != part)
                    others.Merge(sets[i]);
            }
            yield return (sets[part], others);
        }
    }

    private ImageSet HeldOut(long first, int count)
    {
        const ulong Seed = 0;
        using var noGrad = new NoGrad();
        var set = new ImageSet();
        for (int start = 0; start < count; start += BatchSize)
        {
            using var scope = new MemoryScope();
            set.Add(_classifier, _data.Draw(first + start, Math.Min(BatchSize, count - start), Seed, _classifier.Output.Weight.Device).X);
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

        public int Count => (int)_features.Statistics.Count;

        public void Merge(ImageSet other)
        {
            _features.Merge(other._features);
            (_spatial ??= new FeatureStatistics(other._spatial!.Dimension)).Merge(other._spatial!);
        }

        public (SetDistances Distances, double Spatial) DistancesTo(ImageSet data) =>
            (SetDistances.Between(_features, data._features), FrechetDistance.Between(_spatial!, data._spatial!));
    }
}
