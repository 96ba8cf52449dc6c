using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// L_simple of DDPM: the mean squared error between the noise that was added and the network's prediction of it, at steps drawn
/// uniformly (Ho et al. 2020, equation 14 and Algorithm 1).
/// </summary>
public static class SimpleLoss
{
    /// <param name="network">A network that predicts the noise.</param>
    /// <param name="x0">A batch of data [n, ...].</param>
    /// <param name="generator">Draws the steps and the noise.</param>
    /// <returns>A scalar.</returns>
    public static Tensor Compute(DenoisingNetwork network, DiscreteSchedule schedule, Tensor x0, Generator generator)
    {
        var (alpha, sigma, networkTime) = schedule.Draw(x0.Shape[0], generator);
        var (xt, noise) = F.ForwardDiffusion(x0, alpha, sigma, generator);
        return F.MseLoss(network(xt, networkTime), noise);
    }
}
