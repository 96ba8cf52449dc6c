using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training;

/// <summary>Draws samples of a model: points as a scatter plot, images as a grid with a column per class where they are asked to be of classes.</summary>
public sealed class Pictures
{
    private const int Points = 2000, Side = 8, PreviewSteps = 50, WindowPoints = 2000;

    // Small images would be hard to see on today's screens.
    private const int SmallImage = 48, Zoom = 2;

    private readonly DiffusionModel _model;
    private readonly RunConfig _config;
    private readonly Tensor? _window;

    /// <param name="config">Of the run that the model is of.</param>
    /// <param name="data">For points: sets the window of the plane. May be null for images.</param>
    public Pictures(DiffusionModel model, RunConfig config, ITrainingData? data)
    {
        (_model, _config) = (model, config);
        if (data is PointData points)
            _window = points.Distribution.Sample(WindowPoints, new Generator(0));
    }

    /// <summary>The pictures of a model, with data that need no files.</summary>
    public static Pictures For(DiffusionModel model, RunConfig config) =>
        new(model, config, model.SampleShape.Rank == 1 ? DiffusionRun.OpenData(config) : null);

    /// <summary>How many samples a picture shows.</summary>
    public static int Count(DiffusionModel model, RunConfig config) => model.SampleShape.Rank == 1 ? Points : Side * Columns(model, config);

    /// <summary>A quick sampling for pictures during training.</summary>
    public SamplingConfig PreviewSampling(SamplingConfig sampling) => sampling with
    {
        Sampler = Vocabulary.EndsWithoutSignal(_model.Process) ? "euler" : "ddim",
        Eta = 0,
        Grid = "uniform",
        Steps = Math.Min(PreviewSteps, sampling.Steps),
        Count = Math.Min(sampling.Count, Count(_model, _config)),
        ClassifierGuidance = 0,
        // Without the classifier there may be nothing left that is guided.
        GuidanceInterval = _model.Labels is null ? null : sampling.GuidanceInterval,
    };

    /// <summary>Draws as many of the samples as a picture shows.</summary>
    /// <param name="title">Stands above points; images speak for themselves.</param>
    public Image Draw(Tensor samples, string title)
    {
        var shown = samples.Slice(0, 0, Math.Min(Count(_model, _config), samples.Shape[0]));
        if (_window is not null)
            return PointsFigure.DrawPoints(shown, title, _window).Render();
        return new ImageGrid { Columns = Columns(_model, _config), Zoom = _model.SampleShape[0] <= SmallImage ? Zoom : 1 }.Render(shown);
    }

    // A classifier leads a model that is told nothing to classes as well.
    private static int Columns(DiffusionModel model, RunConfig config) =>
        model.Classes != 0 ? model.Classes
        : config.Sampling.ClassifierGuidance != 0 ? DiffusionModel.SaidOf(config)[0].Values.Count
        : Side;
}
