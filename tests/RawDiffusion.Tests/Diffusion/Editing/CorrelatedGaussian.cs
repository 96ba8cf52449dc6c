using RawDiffusion.Diffusion;
using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Tests.Diffusion.Editing;

/// <summary>
/// Points of the plane whose coordinates are standard normal and correlated: p(x_2 | x_1) = N(rho x_1, 1 - rho^2), and the denoiser is a
/// matrix, alpha S (alpha^2 S + sigma^2 I)^-1 with the covariance S.
/// </summary>
internal static class CorrelatedGaussian
{
    public const double Correlation = 0.8;

    public static Tensor Sample(int count, Generator generator) => Tensor.Randn(generator, [count, 2])
        .MatMul(Tensor.From([1, Correlation, 0, Math.Sqrt(1 - Correlation * Correlation)], [2, 2]));

    public static Denoiser Denoiser(ForwardProcess process) =>
        RawDiffusion.Diffusion.Denoiser.FromFunction((x, t) => x.MatMul(Gain(process, t, x)), process, Parameterisation.X0);

    /// <summary>The matrix, which is symmetric.</summary>
    public static Tensor Gain(ForwardProcess process, double t, Tensor like)
    {
        double alpha = process.Alpha(t), variance = Math.Pow(process.Sigma(t), 2);
        // Along (1, 1) and (1, -1), the eigenvectors of S.
        double along = Part(1 + Correlation), across = Part(1 - Correlation), same = (along + across) / 2, other = (along - across) / 2;
        return Tensor.From([same, other, other, same], [2, 2], like.Device);

        double Part(double eigenvalue) => alpha * eigenvalue / (alpha * alpha * eigenvalue + variance);
    }
}
