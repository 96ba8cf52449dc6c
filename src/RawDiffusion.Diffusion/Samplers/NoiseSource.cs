using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Samplers;

/// <summary>Where samplers take their normal noise from: a generator, or noise that somebody has written down.</summary>
public abstract class NoiseSource
{
    public static implicit operator NoiseSource(Generator generator) => new GeneratorNoise(generator);

    /// <summary>Standard normals of the shape and device of a state.</summary>
    public abstract Tensor Next(Tensor like);

    /// <summary>y = coefficients of x and eps, see <see cref="F.DiffusionStep"/>, with noise of this source where they ask for some.</summary>
    public virtual Tensor Step(Tensor x, Tensor eps, in DiffusionStepCoefficients coefficients)
    {
        var y = F.DiffusionStep(x, eps, coefficients with { NoiseScale = 0 });
        return Add(y, coefficients.NoiseScale);
    }

    /// <summary>x + scale z; nothing is drawn for a scale of 0.</summary>
    public Tensor Add(Tensor x, double scale) => scale == 0 ? x : x + Next(x) * scale;

    private sealed class GeneratorNoise(Generator generator) : NoiseSource
    {
        public override Tensor Next(Tensor like) => Tensor.Randn(generator, like.Shape, like.Device);

        // The kernel draws the noise where it adds it.
        public override Tensor Step(Tensor x, Tensor eps, in DiffusionStepCoefficients coefficients) => F.DiffusionStep(x, eps, coefficients, generator);
    }
}

/// <summary>Noise given beforehand, in the order in which it is to be used: for repeating what another program did.</summary>
/// <param name="noise">Tensors of the shape of the states, on any device.</param>
public sealed class RecordedNoise(IEnumerable<Tensor> noise) : NoiseSource
{
    private readonly Queue<Tensor> _rest = new(noise);

    /// <summary>How many tensors have not been used.</summary>
    public int Left => _rest.Count;

    /// <exception cref="InvalidOperationException">The noise is used up.</exception>
    public override Tensor Next(Tensor like) => _rest.TryDequeue(out var next)
        ? next.To(like.Device)
        : throw new InvalidOperationException("the recorded noise is used up");
}
