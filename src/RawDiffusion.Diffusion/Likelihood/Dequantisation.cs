using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Vae;

namespace RawDiffusion.Diffusion.Likelihood;

/// <summary>
/// Where within its bin a discrete value is put, q(u | x) with u in [0, 1)^D, so that a density can speak of it: without this a density may
/// rise without end at the discrete values, and bits per dimension say nothing.
/// </summary>
public abstract class Dequantisation
{
    /// <summary>Draws u, of the shape of the values, and ln q(u | x) for every sample, [n], nats.</summary>
    /// <param name="values">Whole numbers from 0 on, [n, ...], as floats.</param>
    public abstract (Tensor U, Tensor LogDensity) Draw(Tensor values, NoiseSource noise);

    /// <summary>Every place in the bin alike (Theis et al. 2016): a density must be flat within bins to lose nothing by it.</summary>
    /// <param name="generator">Draws u; uniform numbers do not come from a source of normal noise.</param>
    public static Dequantisation Uniform(Generator generator) => new UniformDequantisation(generator);

    /// <summary>
    /// Learned (Ho et al. 2019, Flow++, section 3.1): u is the sigmoid of a Gaussian that a network chooses for the values. It can follow the
    /// density within a bin, and does where the bound is raised with respect to its weights.
    /// </summary>
    /// <param name="network">From values [n, ...] to a Gaussian of that shape.</param>
    public static Dequantisation Variational(Func<Tensor, DiagonalGaussian> network) => new VariationalDequantisation(network);

    private sealed class UniformDequantisation(Generator generator) : Dequantisation
    {
        public override (Tensor U, Tensor LogDensity) Draw(Tensor values, NoiseSource noise) =>
            (Tensor.Rand(generator, values.Shape, device: values.Device), Tensor.Zeros([values.Shape[0]], values.Device));
    }

    private sealed class VariationalDequantisation(Func<Tensor, DiagonalGaussian> network) : Dequantisation
    {
        public override (Tensor U, Tensor LogDensity) Draw(Tensor values, NoiseSource noise)
        {
            var gaussian = network(values);
            var z = gaussian.Draw(values.Shape[0], noise);
            // du/dz = u (1 - u), and -ln of it is softplus(z) + softplus(-z).
            return (z.Sigmoid(), gaussian.LogDensity(z) + (F.Softplus(z) + F.Softplus(-z)).SumPerSample());
        }
    }
}
