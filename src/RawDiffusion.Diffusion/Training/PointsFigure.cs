using RawDiffusion.Diffusion.Plots;

namespace RawDiffusion.Diffusion.Training;

/// <summary>Collects the way from noise to points of the plane while a sampler runs and draws it beside the data and the losses.</summary>
internal sealed class PointsFigure
{
    private const int CloudSize = 2000, TrajectoryCount = 48;

    // Before this time an ancestral path is noise that hides the rest.
    private const double TrajectoryStart = 0.25;

    // The times worth a look: structure appears late, when the noise has fallen to the size of the gaps.
    private static readonly double[] s_cloudTimes = [1, 0.5, 0.25, 0.1];

    private readonly List<(double Time, float[] Points)> _clouds = [];
    private readonly List<float[]> _trajectories = [];
    private readonly Tensor _data;
    private readonly double _limit;

    /// <param name="data">[n, 2], in the pictures' window.</param>
    public PointsFigure(Tensor data) => (_data, _limit) = (data, Limit(data));

    /// <summary>To be called with the start of sampling and after every step.</summary>
    public void AddState(double time, Tensor state)
    {
        if (time <= TrajectoryStart)
            _trajectories.Add(First(state, TrajectoryCount));
        if (_clouds.Count < s_cloudTimes.Length && time <= s_cloudTimes[_clouds.Count] + 1e-9)
            _clouds.Add((time, First(state, CloudSize)));
    }

    /// <summary>Draws all that was collected.</summary>
    public Figure Draw(Tensor samples, string title, IReadOnlyList<(int Step, double Loss)> losses)
    {
        var figure = new Figure { Columns = 4, PanelWidth = 250, PanelHeight = 250 };
        foreach (var (time, points) in _clouds)
            AddPlane(figure, FormattableString.Invariant($"t = {time:0.##}"), _limit).Scatter(Plane(points), radius: 1, alpha: 0.35);
        AddPlane(figure, title, _limit).Scatter(Plane(First(samples, CloudSize)), radius: 1, alpha: 0.35);
        AddPlane(figure, "data", _limit).Scatter(Plane(First(_data, CloudSize)), color: Color.Cycle[1], radius: 1, alpha: 0.35);
        AddPlane(figure, FormattableString.Invariant($"paths from t = {TrajectoryStart}"), _limit)
            .Trajectories([.. _trajectories.Select(Plane)], TrajectoryCount);
        var loss = figure.AddAxes("loss");
        loss.XLabel = "step";
        // The first loss, before anything is learned, would flatten the rest.
        var shown = losses.Skip(1).ToArray();
        loss.PlotSmoothed([.. shown.Select(l => (double)l.Step)], [.. shown.Select(l => l.Loss)], window: Math.Clamp(shown.Length / 8, 1, 15));
        return figure;
    }

    /// <summary>Draws points alone.</summary>
    /// <param name="data">Sets the window.</param>
    public static Figure DrawPoints(Tensor points, string title, Tensor data)
    {
        var figure = new Figure { PanelWidth = 250, PanelHeight = 250 };
        AddPlane(figure, title, Limit(data)).Scatter(points, radius: 1, alpha: 0.35);
        return figure;
    }

    private static Axes AddPlane(Figure figure, string title, double limit)
    {
        var axes = figure.AddAxes(title);
        axes.EqualAspect = true;
        axes.XLimits = axes.YLimits = (-limit, limit);
        return axes;
    }

    /// <summary>Half the side of a square window around the data, with room for samples that stray.</summary>
    private static double Limit(Tensor data)
    {
        const double Room = 1.35;
        return Room * data.ToArray().Max(Math.Abs);
    }

    /// <summary>The first points as numbers: the states belong to the sampler's memory and do not outlive its step.</summary>
    private static float[] First(Tensor points, int count) => points.Slice(0, 0, Math.Min(count, points.Shape[0])).ToArray();

    private static Tensor Plane(float[] points) => Tensor.From(points, [points.Length / 2, 2], Device.Reference);
}
