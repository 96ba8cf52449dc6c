using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Tests.Diffusion.Samplers;

/// <summary>Eight Gaussians, of which everything that guidance should do is known exactly.</summary>
internal static class ExactGuidance
{
    public const int Points = 40;

    public static EightGaussians Data { get; } = new();

    public static LinearSchedule Process { get; } = new();

    /// <summary>From nearly clean to nearly noise.</summary>
    public static double[] Times { get; } = [0.05, 0.2, 0.4, 0.6, 0.95];

    public static Denoiser Unconditional => Data.DifferentiableDenoiser(Process);

    public static Denoiser Of(params int[] modes) => Data.Only(modes).DifferentiableDenoiser(Process);

    /// <summary>Points with the noise of a time, in float64.</summary>
    public static Tensor Noised(double t, ulong seed = 1, int count = Points)
    {
        var generator = new Generator(seed);
        var x0 = Data.Sample(count, generator, Device.Reference);
        return x0 * Process.Alpha(t) + Tensor.Randn(generator, x0.Shape, Device.Reference) * Process.Sigma(t);
    }

    /// <summary>The gradient of a function of the noised plane by central differences.</summary>
    public static Tensor Gradient(Func<Point2, double> f, Tensor x)
    {
        const double H = 1e-5;
        double[] points = x.ToDoubleArray(), gradient = new double[points.Length];
        for (int i = 0; i < points.Length; i += 2)
        {
            double a = points[i], b = points[i + 1];
            gradient[i] = (f(new Point2(a + H, b)) - f(new Point2(a - H, b))) / (2 * H);
            gradient[i + 1] = (f(new Point2(a, b + H)) - f(new Point2(a, b - H))) / (2 * H);
        }
        return Tensor.From(gradient, x.Shape, Device.Reference);
    }

    /// <summary>ln p(x_t, one of these modes).</summary>
    public static double LogJoint(Point2 x, double t, params int[] modes) =>
        Data.Only(modes).LogDensity(x, Process.Alpha(t), Process.Sigma(t)) + Math.Log((double)modes.Length / EightGaussians.Modes);

    /// <summary>The largest difference, in units of the largest value.</summary>
    public static double Distance(Tensor expected, Tensor actual)
    {
        double[] a = expected.ToDoubleArray(), b = actual.ToDoubleArray();
        double scale = a.Max(Math.Abs);
        return a.Zip(b, (x, y) => Math.Abs(x - y) / scale).Max();
    }
}
