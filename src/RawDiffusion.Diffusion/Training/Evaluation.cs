using System.Globalization;
using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Metrics;

namespace RawDiffusion.Diffusion.Training;

/// <summary>How good samples are: numbers for <c>metrics.json</c> and the same as rows of a table.</summary>
public sealed record Evaluation(IReadOnlyDictionary<string, object> Metrics, IReadOnlyList<(string Name, string Value)> Rows)
{
    private const int Projections = 1000;
    private const int FreshSets = 5;

    /// <summary>Nothing to say.</summary>
    public static Evaluation None { get; } = new(new Dictionary<string, object>(), []);

    /// <summary>What a classifier says of images, with how right it is about real ones.</summary>
    public static Evaluation OfImages(ImageJudgement judged, (double Share, int Count) accuracy)
    {
        var real = judged.Real;
        var metrics = new Dictionary<string, object>
        {
            ["samples"] = judged.Count,
            ["confidentShare"] = judged.Confident,
            ["classShares"] = judged.ClassShares.ToArray(),
            ["cfid"] = judged.Distance,
            ["cfidFloor"] = judged.Floor,
            ["csfid"] = judged.SpatialDistance,
            ["csfidFloor"] = real.SpatialDistance,
            ["floorImages"] = real.Count,
            ["kid"] = judged.Distances.Kernel,
            ["kidFloor"] = real.Distances.Kernel,
            ["precision"] = judged.Distances.Precision,
            ["precisionOfReal"] = real.Distances.Precision,
            ["recall"] = judged.Distances.Recall,
            ["recallOfReal"] = real.Distances.Recall,
            ["classifierAccuracy"] = accuracy.Share,
        };
        List<(string, string)> rows =
        [
            ("classified with confidence", Text($"{100 * judged.Confident:0.0}% of {judged.Count} at {ImageJudge.ConfidentFrom} or more")),
            ("share per class", string.Join(" ", judged.ClassShares.Select(share => Text($"{100 * share:0.0}%")))),
        ];
        if (judged.Right is { } right)
        {
            metrics["rightShare"] = right;
            rows.Add(("of the class asked for", Text($"{100 * right:0.0}%")));
        }
        rows.Add(("cFID", Text($"{judged.Distance:0.000} at N = {judged.Count}; real images have {judged.Floor:0.000}")));
        rows.Add(("csFID", Text($"{judged.SpatialDistance:0.000}; real images have {real.SpatialDistance:0.000}")));
        rows.Add(("KID", Text($"{judged.Distances.Kernel:0.0000}; real images have {real.Distances.Kernel:0.0000}")));
        rows.Add(("precision, recall", Text(
            $"{judged.Distances.Precision:0.000}, {judged.Distances.Recall:0.000}; real images have {real.Distances.Precision:0.000}, {real.Distances.Recall:0.000}")));
        rows.Add(("real images", Text($"{real.Count:#,0} beside {real.OtherCount:#,0} others, of those that the classifier has not seen")));
        rows.Add(("the classifier", Text($"{100 * accuracy.Share:0.00}% right on {accuracy.Count:#,0} held-out images")));
        return new Evaluation(metrics, rows);
    }

    /// <summary>
    /// Judges points of the plane: the sliced Wasserstein distance to fresh data beside the floor between two fresh data sets and, where
    /// the distribution is a mixture, how its modes are covered.
    /// </summary>
    public static Evaluation OfPoints(Tensor samples, IPointDistribution data, ulong seed, Backend device)
    {
        int count = samples.Shape[0];
        var generator = new Generator(seed, RandomStreams.Judge);
        // One fresh data set of 10,000 is at a distance of 0.022 +- 0.007 from another, because the number of points per mode is
        // random: both the distance and the floor are means over several.
        double distance = 0;
        for (int i = 0; i < FreshSets; i++)
            distance += SlicedWasserstein.Distance(samples, data.Sample(count, generator, device), Projections) / FreshSets;
        double floor = SlicedWasserstein.Floor(data, count, Projections, seed: seed, pairs: FreshSets);
        var metrics = new Dictionary<string, object>
        {
            ["slicedWasserstein"] = distance,
            ["slicedWassersteinFloor"] = floor,
            ["slicedWassersteinRatio"] = distance / floor,
            ["samples"] = count,
            ["projections"] = Projections,
            ["freshSets"] = FreshSets,
        };
        List<(string, string)> rows =
        [
            ("sliced Wasserstein", Text($"{distance:0.0000}, {distance / floor:0.00} x the floor of {floor:0.0000} between two fresh data sets")),
        ];
        if (data is GaussianMixture mixture)
        {
            var coverage = ModeCoverage.Measure(samples, mixture);
            metrics["modesFound"] = coverage.ModesFound;
            metrics["modeShares"] = coverage.Share.ToArray();
            metrics["strayShare"] = coverage.Strays;
            rows.Add(("modes found", $"{coverage.ModesFound} of {coverage.Share.Count}"));
            rows.Add(("share per mode", string.Join(" ", coverage.Share.Select(share => Text($"{100 * share:0.0}%")))));
            rows.Add(("strays", Text($"{100 * coverage.Strays:0.00}%")));
        }
        return new Evaluation(metrics, rows);
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
