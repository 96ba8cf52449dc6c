namespace RawDiffusion.Diffusion.Plots;

/// <summary>
/// One panel of a <see cref="Figure"/>: series in a box with ticks, labels, a title and a legend. The vocabulary is matplotlib's.
/// </summary>
public sealed class Axes
{
    private readonly List<Series> _series = [];
    private int _colorsUsed;

    internal Axes()
    {
    }

    public string Title { get; set; } = "";

    public string XLabel { get; set; } = "";

    public string YLabel { get; set; } = "";

    /// <summary>One unit is as long along x as along y.</summary>
    public bool EqualAspect { get; set; }

    /// <summary>The horizontal axis is logarithmic; values that are not positive are left out.</summary>
    public bool LogX { get; set; }

    /// <summary>The vertical axis is logarithmic; values that are not positive are left out.</summary>
    public bool LogY { get; set; }

    /// <summary>Ends of the horizontal axis; null for those of the heat map if there is one, else of the data with a margin.</summary>
    public (double Low, double High)? XLimits { get; set; }

    /// <summary>Ends of the vertical axis; null for those of the heat map if there is one, else of the data with a margin.</summary>
    public (double Low, double High)? YLimits { get; set; }

    internal IReadOnlyList<Series> Series => _series;

    internal HeatMap? Map { get; private set; }

    /// <summary>Draws a dot for each point. Points that are not finite are left out.</summary>
    /// <param name="points">[n, 2].</param>
    /// <param name="label">Its line in the legend, or null for none.</param>
    /// <param name="color">Null takes the next of <see cref="Color.Cycle"/>.</param>
    /// <param name="radius">In points; a panel is a few hundred wide.</param>
    /// <param name="alpha">Opacity of one dot, so that where dots are dense they add up.</param>
    public void Scatter(Tensor points, string? label = null, Color? color = null, double radius = 1.5, double alpha = 0.5)
    {
        if (points.Rank != 2 || points.Shape[1] != 2)
            throw new ArgumentException($"Axes.Scatter: expected points [n, 2], got {points.Shape}.");
        double[] values = points.ToDoubleArray(), x = new double[values.Length / 2], y = new double[values.Length / 2];
        for (int i = 0; i < x.Length; i++)
            (x[i], y[i]) = (values[2 * i], values[2 * i + 1]);
        _series.Add(new Series(SeriesKind.Points, x, y, label, color ?? NextColor(), radius, alpha));
    }

    /// <summary>Draws a line through points. It breaks at values that are not finite.</summary>
    /// <param name="label">Its line in the legend, or null for none.</param>
    /// <param name="color">Null takes the next of <see cref="Color.Cycle"/>.</param>
    public void Plot(
        ReadOnlySpan<double> x, ReadOnlySpan<double> y, string? label = null, Color? color = null, double width = 1.5, double alpha = 1,
        bool dashed = false)
    {
        if (x.Length != y.Length)
            throw new ArgumentException($"Axes.Plot: {x.Length} x and {y.Length} y make no points.");
        var kind = dashed ? SeriesKind.DashedLine : SeriesKind.Line;
        _series.Add(new Series(kind, x.ToArray(), y.ToArray(), label, color ?? NextColor(), width, alpha));
    }

    /// <summary>Draws a noisy line faintly and its moving average over it: a loss, for example.</summary>
    /// <param name="window">Number of values in a mean, half of them to either side; at the ends fewer.</param>
    public void PlotSmoothed(ReadOnlySpan<double> x, ReadOnlySpan<double> y, int window, string? label = null, Color? color = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(window, 1);
        var chosen = color ?? NextColor();
        Plot(x, y, null, chosen, width: 0.7, alpha: 0.3);
        double[] smooth = new double[y.Length];
        int reach = window / 2;
        for (int i = 0; i < smooth.Length; i++)
        {
            // At the begin, where a loss falls steeply, the window shrinks on both sides alike and so keeps the slope; at the end,
            // where it is flat and noisy, only on the side where there is nothing more.
            int before = Math.Min(reach, i), after = Math.Min(before, smooth.Length - 1 - i);
            double sum = 0;
            for (int j = i - before; j <= i + after; j++)
                sum += y[j];
            smooth[i] = sum / (before + 1 + after);
        }
        Plot(x, smooth, label, chosen);
    }

    /// <summary>Shows numbers on a grid of cells by colours, below everything else, with a bar that explains the colours.</summary>
    /// <param name="values">[rows, columns]; the first row is that of the least y. What is not finite is left out.</param>
    /// <param name="x">Outer edges of the first and last column.</param>
    /// <param name="y">Outer edges of the first and last row.</param>
    /// <param name="label">Stands beside the bar.</param>
    /// <param name="logarithmic">Equal ratios, not differences, look alike; what is not positive is left out.</param>
    /// <param name="range">The values of the first and the last colour; null for the least and the greatest value.</param>
    /// <param name="colors">Null for <see cref="ColorMap.Ember"/>.</param>
    /// <exception cref="ArgumentException">The tensor has other axes or no values, or edges or range do not grow.</exception>
    /// <exception cref="InvalidOperationException">There is a heat map already; a second one would hide it.</exception>
    public void HeatMap(
        Tensor values, (double Low, double High) x, (double Low, double High) y, string label = "", bool logarithmic = false,
        (double Low, double High)? range = null, ColorMap? colors = null)
    {
        if (values.Rank != 2 || values.Count == 0)
            throw new ArgumentException($"Axes.HeatMap: expected values [rows, columns] and at least one, got {values.Shape}.");
        AddMap(values.ToDoubleArray(), values.Shape[0], values.Shape[1], x, y, label, logarithmic, range, colors ?? ColorMap.Ember);
    }

    /// <summary>
    /// Shows how densely points lie, as a share of all points per unit of area, counted in square cells of a grid; its integral
    /// over the plane is 1. Points that are not finite are left out.
    /// </summary>
    /// <param name="points">[n, 2].</param>
    /// <param name="bins">Cells along each axis.</param>
    /// <param name="x">Where to count; null for where the points are, with a margin.</param>
    /// <param name="y">Where to count; null for where the points are, with a margin.</param>
    /// <param name="logarithmic">Equal ratios, not differences, look alike, so that thin places are seen; cells without points stay empty.</param>
    /// <param name="range">The densities of the first and the last colour, to compare pictures; null for 0, or the least, to the greatest.</param>
    /// <param name="colors">Null for <see cref="ColorMap.Lagoon"/>.</param>
    /// <exception cref="ArgumentException">The tensor holds no points, or edges or range do not grow.</exception>
    /// <exception cref="InvalidOperationException">There is a heat map already; a second one would hide it.</exception>
    public void Density(
        Tensor points, int bins = 80, (double Low, double High)? x = null, (double Low, double High)? y = null, string label = "density",
        bool logarithmic = false, (double Low, double High)? range = null, ColorMap? colors = null)
    {
        if (points.Rank != 2 || points.Shape[1] != 2)
            throw new ArgumentException($"Axes.Density: expected points [n, 2], got {points.Shape}.");
        ArgumentOutOfRangeException.ThrowIfLessThan(bins, 1);
        double[] values = points.ToDoubleArray();
        var (left, right) = x ?? Scale.Limits(values.Where((_, i) => i % 2 == 0), logarithmic: false);
        var (bottom, top) = y ?? Scale.Limits(values.Where((_, i) => i % 2 == 1), logarithmic: false);
        double[] density = new double[bins * bins];
        int count = 0;
        for (int i = 0; i < values.Length; i += 2)
        {
            double column = Math.Floor((values[i] - left) / (right - left) * bins), row = Math.Floor((values[i + 1] - bottom) / (top - bottom) * bins);
            if (double.IsFinite(values[i] + values[i + 1]))
                count++;
            if (column >= 0 && column < bins && row >= 0 && row < bins)
                density[(int)row * bins + (int)column]++;
        }
        double area = (right - left) / bins * ((top - bottom) / bins);
        for (int i = 0; i < density.Length; i++)
            density[i] /= Math.Max(1, count) * area;
        if (!logarithmic && range is null && density.Max() > 0)
            range = (0, density.Max());
        AddMap(density, bins, bins, (left, right), (bottom, top), label, logarithmic, range, colors ?? ColorMap.Lagoon);
    }

    /// <summary>Draws the ways of points through the plane.</summary>
    /// <param name="steps">Positions of the same n points at successive times, each [n, 2].</param>
    /// <param name="most">Only the first so many points are drawn.</param>
    public void Trajectories(IReadOnlyList<Tensor> steps, int most = 100, Color? color = null, double width = 0.8, double alpha = 0.35)
    {
        var chosen = color ?? NextColor();
        double[][] values = new double[steps.Count][];
        for (int s = 0; s < steps.Count; s++)
        {
            if (steps[s].Rank != 2 || steps[s].Shape != steps[0].Shape || steps[s].Shape[1] != 2)
                throw new ArgumentException($"Axes.Trajectories: expected the same points [n, 2] at every step, got {steps[0].Shape} and {steps[s].Shape}.");
            values[s] = steps[s].ToDoubleArray();
        }
        int count = steps.Count == 0 ? 0 : Math.Min(most, steps[0].Shape[0]);
        double[] x = new double[steps.Count], y = new double[steps.Count];
        for (int i = 0; i < count; i++)
        {
            for (int s = 0; s < steps.Count; s++)
                (x[s], y[s]) = (values[s][2 * i], values[s][2 * i + 1]);
            Plot(x, y, null, chosen, width, alpha);
        }
    }

    private void AddMap(
        double[] values, int rows, int columns, (double Low, double High) x, (double Low, double High) y, string label, bool logarithmic,
        (double Low, double High)? range, ColorMap colors)
    {
        if (Map is not null)
            throw new InvalidOperationException("There is a heat map on these axes already, and a second one would hide it; add axes for it.");
        if (!Scale.IsAxis(x.Low, x.High) || !Scale.IsAxis(y.Low, y.High))
            throw new ArgumentException($"A heat map from x = {x.Low} to {x.High} and y = {y.Low} to {y.High} has no area.");
        if (range is var (low, high) && !Scale.IsAxis(low, high, logarithmic))
            throw new ArgumentException($"Colours cannot stand for {low} to {high}{(logarithmic ? "; a logarithmic range needs positive ends" : "")}.");
        Map = new HeatMap(values, rows, columns, x, y, colors, label, logarithmic, range);
    }

    private Color NextColor() => Color.Cycle[_colorsUsed++ % Color.Cycle.Count];
}
