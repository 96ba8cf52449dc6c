using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Training;

/// <summary>Collects the way from noise to samples while a sampler runs, and the losses, and draws them beside the data.</summary>
internal sealed class EightGaussiansFigure
{
    private const int CloudSize = 2000, TrajectoryCount = 48;

    // Before this time an ancestral path is noise that hides the rest.
    private const double TrajectoryStart = 0.25;
    private const double Limit = 3.2;

    // The times worth a look: structure appears late, when the noise has fallen to the size of the gaps.
    private static readonly double[] s_cloudTimes = [1, 0.5, 0.25, 0.1];

    private readonly List<(double Time, float[] Points)> _clouds = [];
    private readonly List<float[]> _trajectories = [];
    private readonly List<(double Step, double Loss)> _losses = [];

    public void AddLoss(int step, double loss) => _losses.Add((step, loss));

    /// <summary>To be called with the start of sampling and after every step.</summary>
    public void AddState(double time, Tensor state)
    {
        if (time <= TrajectoryStart)
            _trajectories.Add(First(state, TrajectoryCount));
        if (_clouds.Count < s_cloudTimes.Length && time <= s_cloudTimes[_clouds.Count] + 1e-9)
            _clouds.Add((time, First(state, CloudSize)));
    }

    public void Save(string path, Tensor data, Tensor samples, string samplesTitle)
    {
        var figure = new Figure { Columns = 4, PanelWidth = 250, PanelHeight = 250 };
        foreach (var (time, points) in _clouds)
            AddPlane(figure, FormattableString.Invariant($"t = {time:0.##}")).Scatter(Plane(points), radius: 1, alpha: 0.35);
        AddPlane(figure, samplesTitle).Scatter(Plane(First(samples, CloudSize)), radius: 1, alpha: 0.35);
        AddPlane(figure, "data").Scatter(Plane(First(data, CloudSize)), color: Color.Cycle[1], radius: 1, alpha: 0.35);
        AddPlane(figure, FormattableString.Invariant($"paths from t = {TrajectoryStart}")).Trajectories([.. _trajectories.Select(Plane)], TrajectoryCount);
        var loss = figure.AddAxes("loss");
        loss.XLabel = "step";
        // The first loss, before anything is learned, would flatten the rest.
        var shown = _losses.Skip(1).ToArray();
        loss.PlotSmoothed([.. shown.Select(l => l.Step)], [.. shown.Select(l => l.Loss)], window: 15);
        figure.Save(path);
    }

    private static Axes AddPlane(Figure figure, string title)
    {
        var axes = figure.AddAxes(title);
        axes.EqualAspect = true;
        axes.XLimits = axes.YLimits = (-Limit, Limit);
        return axes;
    }

    /// <summary>The first points as numbers: the states belong to the sampler's memory and do not outlive its step.</summary>
    private static float[] First(Tensor points, int count) => points.Slice(0, 0, Math.Min(count, points.Shape[0])).ToArray();

    private static Tensor Plane(float[] points) => Tensor.From(points, [points.Length / 2, 2], Device.Reference);
}
