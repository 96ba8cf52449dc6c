using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Data;

/// <summary>
/// A distribution of x0 over the plane for which everything that a diffusion model learns is known in closed form, at any noise
/// level: x_t = alpha x0 + sigma eps, eps standard normal. (alpha, sigma) = (1, 0) is the distribution itself. Samplers can
/// run on the exact denoiser, so that what remains is their own error and not a network's.
/// </summary>
public interface IExactDensity : IPointDistribution
{
    /// <summary>ln p(x_t), in nats.</summary>
    double LogDensity(Point2 x, double alpha = 1, double sigma = 0);

    /// <summary>The gradient of ln p(x_t) with respect to x_t. The mean of the noise is E[eps | x_t] = -sigma * score.</summary>
    Point2 Score(Point2 x, double alpha = 1, double sigma = 0);

    /// <summary>E[x0 | x_t], what the best possible denoiser answers.</summary>
    Point2 Denoise(Point2 x, double alpha, double sigma);
}

/// <summary>The closed forms for whole tensors of points. Computed in float64 on all cores, whatever the device.</summary>
public static class ExactDensity
{
    private const int Grain = 512;

    /// <param name="x">[n, 2].</param>
    /// <returns>[n], nats.</returns>
    public static Tensor LogDensity(this IExactDensity density, Tensor x, double alpha = 1, double sigma = 0)
    {
        double[] points = Points(x, nameof(LogDensity));
        var result = new double[x.Shape[0]];
        Workers.ForRange(result.Length, Grain, new LogDensityBody(density, points, result, alpha, sigma));
        return Tensor.From(result, [result.Length], x.Device);
    }

    /// <param name="x">[n, 2].</param>
    /// <returns>[n, 2].</returns>
    public static Tensor Score(this IExactDensity density, Tensor x, double alpha = 1, double sigma = 0) =>
        Map(density, x, alpha, sigma, score: true);

    /// <param name="x">[n, 2].</param>
    /// <returns>E[x0 | x_t = x], [n, 2].</returns>
    public static Tensor Denoise(this IExactDensity density, Tensor x, double alpha, double sigma) =>
        Map(density, x, alpha, sigma, score: false);

    /// <summary>The best possible denoiser of a process: what is wrong with samples that it makes is the sampler's fault.</summary>
    public static Denoiser Denoiser(this IExactDensity density, ForwardProcess process) => Diffusion.Denoiser.FromFunction(
        (x, t) => density.Denoise(x, process.Alpha(t), process.Sigma(t)), process, Parameterisation.X0);

    private static Tensor Map(IExactDensity density, Tensor x, double alpha, double sigma, bool score)
    {
        double[] points = Points(x, score ? nameof(Score) : nameof(Denoise));
        Workers.ForRange(x.Shape[0], Grain, new MapBody(density, points, alpha, sigma, score));
        return Tensor.From(points, x.Shape, x.Device);
    }

    private static double[] Points(Tensor x, string operation) => x.Rank == 2 && x.Shape[1] == 2
        ? x.ToDoubleArray()
        : throw new ArgumentException($"{operation}: expected points [n, 2], got {x.Shape}.");

    private readonly struct LogDensityBody(IExactDensity density, double[] points, double[] result, double alpha, double sigma)
        : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            for (int i = start; i < end; i++)
                result[i] = density.LogDensity(new Point2(points[2 * i], points[2 * i + 1]), alpha, sigma);
        }
    }

    private readonly struct MapBody(IExactDensity density, double[] points, double alpha, double sigma, bool score)
        : IRangeBody
    {
        public void Run(int start, int end, int worker)
        {
            for (int i = start; i < end; i++)
            {
                var x = new Point2(points[2 * i], points[2 * i + 1]);
                (points[2 * i], points[2 * i + 1]) = score ? density.Score(x, alpha, sigma) : density.Denoise(x, alpha, sigma);
            }
        }
    }
}
