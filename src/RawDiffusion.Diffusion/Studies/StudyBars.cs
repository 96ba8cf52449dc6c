using RawDiffusion.Diffusion.Plots;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>Bars, made of lines side by side: thick ones would have round ends.</summary>
internal static class StudyBars
{
    /// <param name="x">Where each stands.</param>
    /// <param name="height">Of each; what is not above the floor is not drawn.</param>
    /// <param name="label">One line in the legend for all.</param>
    /// <param name="width">In the unit of x.</param>
    /// <param name="floor">Where they begin.</param>
    public static void Draw(Axes axes, ReadOnlySpan<double> x, ReadOnlySpan<double> height, string label, double width, double floor = 0)
    {
        const int Lines = 60;
        // One series: lines break at what is not a number.
        var (xs, ys) = (new List<double>(), new List<double>());
        for (int i = 0; i < x.Length; i++)
        {
            if (!(height[i] > floor))
                continue;
            for (int line = 0; line < Lines; line++)
            {
                double at = x[i] + width * ((line + 0.5) / Lines - 0.5);
                xs.AddRange([at, at, double.NaN]);
                ys.AddRange([floor, height[i], double.NaN]);
            }
        }
        axes.Plot([.. xs], [.. ys], label);
    }
}
