namespace RawDiffusion.Diffusion.Gan;

/// <summary>What generator and discriminator are trained on. All are means over samples.</summary>
public static class GanLoss
{
    /// <summary>-ln D(x) - ln(1 - D(G(z))) with D the sigmoid of the logits (Goodfellow et al. 2014, equation 1).</summary>
    /// <param name="real">Logits of data, [n, 1].</param>
    /// <param name="made">Logits of what the generator made, [n, 1].</param>
    public static Tensor Discriminator(Tensor real, Tensor made) => F.Softplus(-real).Mean() + F.Softplus(made).Mean();

    /// <summary>-ln D(G(z)): the non-saturating loss, whose gradient is strong where the discriminator is sure (Goodfellow et al. 2014, section 3).</summary>
    public static Tensor Generator(Tensor made) => F.Softplus(-made).Mean();

    /// <summary>
    /// R1, gamma / 2 E|grad_x D(x)|^2 over data alone (Mescheder et al. 2018, equation 9): a discriminator that is flat where data are has
    /// nothing more to push, so that training comes to rest. It is differentiated again, with respect to the weights: the discriminator must
    /// be made of operations that support second derivatives, as linear layers, convolutions and pointwise activations do.
    /// </summary>
    /// <param name="real">Logits of <paramref name="x"/>, [n, 1]; every row depends on its own sample alone.</param>
    /// <param name="x">The leaf that the logits were computed from, [n, ...].</param>
    /// <exception cref="ArgumentException">They were not.</exception>
    public static Tensor GradientPenalty(Tensor real, Tensor x, double gamma)
    {
        var slope = (real.RequiresGrad ? Autograd.Grad(real.Sum(), [x], retainGraph: true, createGraph: true)[0] : null)
            ?? throw new ArgumentException($"the logits of shape {real.Shape} were not computed from x of shape {x.Shape} with a tape, so there is no slope to penalise");
        return slope.Square().Sum() * (0.5 * gamma / x.Shape[0]);
    }
}
