using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training;

/// <summary>Draws samples: points as a scatter plot, images as a grid with a column per class where there are classes.</summary>
internal static class Pictures
{
    private const int Points = 2000, Side = 8, PreviewSteps = 50, WindowPoints = 2000;

    // Small images would be hard to see on today's screens.
    private const int SmallImage = 48, Zoom = 2;

    /// <summary>How many samples a picture shows.</summary>
    public static int Count(DiffusionModel model) => model.SampleShape.Rank == 1 ? Points : Side * Math.Max(Side, model.Classes);

    /// <summary>A quick sampling for pictures during training.</summary>
    public static SamplingConfig PreviewSampling(SamplingConfig sampling, DiffusionModel model) => sampling with
    {
        Sampler = "ddim",
        Eta = 0,
        Steps = Math.Min(PreviewSteps, sampling.Steps),
        Count = Math.Min(sampling.Count, Count(model)),
    };

    /// <param name="data">What the samples should look like; sets the window for points.</param>
    public static Image Draw(SampleSet samples, string title, ITrainingData data)
    {
        if (data is PointData points)
            return PointsFigure.DrawPoints(samples.X, title, points.Distribution.Sample(WindowPoints, new Generator(0))).Render();
        int most = Side * Math.Max(Side, samples.Labels is null ? 0 : data.Classes);
        var shown = samples.X.Slice(0, 0, Math.Min(most, samples.X.Shape[0]));
        return new ImageGrid
        {
            Columns = samples.Labels is null ? Side : data.Classes,
            Zoom = samples.X.Shape[1] <= SmallImage ? Zoom : 1,
        }.Render(shown);
    }
}
