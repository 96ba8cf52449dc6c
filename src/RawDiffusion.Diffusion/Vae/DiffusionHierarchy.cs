using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Vae;

/// <summary>
/// Diffusion as a hierarchical VAE: the latents are the noised data at each time, the encoder is the forward process and has nothing to
/// learn, and p(z_l | z_(l+1)) is the reverse step of a denoiser (Luo 2022, "Understanding diffusion models", section 2.3).
/// Its bound is <see cref="VariationalBound"/>.
/// </summary>
public static class DiffusionHierarchy
{
    /// <param name="sample">Shape of one sample.</param>
    /// <param name="times">Falling times from the end of the process to 0; level l from the bottom is the l-th time above 0.</param>
    /// <param name="decoder">What stands between z_1 and x.</param>
    /// <param name="variance">Of the reverse steps; <see cref="ReverseVariance.FixedSmall"/> when null.</param>
    /// <exception cref="ArgumentException">The times do not run from the end of the process to 0.</exception>
    public static HierarchicalVae Of(
        Denoiser denoiser, Shape sample, ReadOnlySpan<double> times, Decoder decoder,
        ReverseVariance? variance = null, Backends.Backend? device = null)
    {
        var process = denoiser.Process;
        double[] grid = VariationalBound.CheckGrid(process, times);
        int levels = grid.Length - 1;
        device ??= Device.Default;
        variance ??= ReverseVariance.FixedSmall;
        return new HierarchicalVae(levels, Encode, Prior, LogLikelihood);

        // Level l is at the l-th time from the end of the list, so what is above it stands one before.
        double At(int level) => grid[levels - level];

        Transition Into(int level) => new(process, At(level + 1), At(level));

        LevelPosterior Encode(Tensor x) => (level, above, _) =>
        {
            if (above is null)
                return Round(x * process.Alpha(At(level)), Square(process.Sigma(At(level))));
            var step = Into(level);
            return Round(above * step.PosteriorXt + x * step.PosteriorX0, step.PosteriorVariance);
        };

        DiagonalGaussian Prior(int level, Tensor? above)
        {
            if (above is null)
                return Round(Tensor.Zeros(sample.Prepend(1), device), Square(process.PriorStandardDeviation));
            return Reverse(above, level);
        }

        Tensor LogLikelihood(Tensor x, Tensor z)
        {
            var (mean, logVariance) = Reverse(z, 0);
            return decoder.LogLikelihood(x, mean, logVariance);
        }

        DiagonalGaussian Reverse(Tensor above, int level)
        {
            var step = Into(level);
            double t = At(level + 1);
            var (predicted, spread) = denoiser.Predict(above, t, Parameterisation.X0);
            var mean = above * step.PosteriorXt + predicted * step.PosteriorX0;
            var own = variance.Of(denoiser, above, t, step, spread);
            return own.Logarithms is { } logarithms ? new DiagonalGaussian(mean, logarithms) : Round(mean, own.Common);
        }

        DiagonalGaussian Round(Tensor mean, double spread) => new(mean, Tensor.Full([1], Math.Log(spread), device));
    }

    private static double Square(double x) => x * x;
}
