using RawDiffusion.Diffusion.Plots;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>Bars, which are thick lines.</summary>
internal static class StudyBars
{
    /// <param name="x">Where each stands.</param>
    /// <param name="height">Of each; what is not above the floor is not drawn.</param>
    /// <param name="label">One line in the legend for all.</param>
    /// <param name="width">In points.</param>
    /// <param name="floor">Where they begin.</param>
    public static void Draw(Axes axes, ReadOnlySpan<double> x, ReadOnlySpan<double> height, string label, double width, double floor = 0)
    {
        // One series: lines break at what is not a number.
        var (xs, ys) = (new double[3 * x.Length], new double[3 * x.Length]);
        for (int i = 0; i < x.Length; i++)
        {
            double top = height[i] > floor ? height[i] : double.NaN;
            (xs[3 * i], ys[3 * i], xs[3 * i + 1], ys[3 * i + 1]) = (x[i], floor, x[i], top);
            (xs[3 * i + 2], ys[3 * i + 2]) = (double.NaN, double.NaN);
        }
        axes.Plot(xs, ys, label, width: width);
    }
}
