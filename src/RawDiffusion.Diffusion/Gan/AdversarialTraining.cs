using RawDiffusion.Backends;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Gan;

/// <summary>How a GAN is trained.</summary>
public sealed record GanSettings
{
    /// <summary>Numbers that a sample is made from, standard normals.</summary>
    public int Latents { get; init; } = 16;

    public double LearningRate { get; init; } = 1e-3;

    /// <summary>gamma of <see cref="GanLoss.GradientPenalty"/>; 0 for none.</summary>
    public double Penalty { get; init; } = 1;

    /// <summary>The penalty is computed in every so many steps only, and counts as many times as much (Karras et al. 2020, section 3.1).</summary>
    public int PenaltyEvery { get; init; } = 1;

    /// <summary>Of the moving average of the generator's weights, which samples are drawn with.</summary>
    public double EmaDecay { get; init; } = 0.999;
}

/// <summary>
/// Two networks against each other: the discriminator learns to tell data from what the generator makes, and the generator to be taken for
/// data (Goodfellow et al. 2014). There is no likelihood and no bound; the latents are decoded in one step.
/// </summary>
public sealed class AdversarialTraining
{
    private readonly Layer _generator, _discriminator;
    private readonly GanSettings _settings;
    private readonly Adam _generatorSteps, _discriminatorSteps;
    private readonly Generator _noise;
    private readonly Backend _device;
    private int _steps;

    /// <param name="generator">From z[n, latents] to samples [n, ...].</param>
    /// <param name="discriminator">From samples to logits [n, 1].</param>
    /// <param name="noise">Draws the latents.</param>
    /// <exception cref="ArgumentException">A setting is none.</exception>
    public AdversarialTraining(Layer generator, Layer discriminator, GanSettings settings, Generator noise)
    {
        if (settings.Latents < 1 || settings.PenaltyEvery < 1 || !(settings.Penalty >= 0 && double.IsFinite(settings.Penalty)) || !(settings.LearningRate > 0))
            throw new ArgumentException($"a GAN needs latents, a positive learning rate, a penalty that is not negative and steps between penalties, not {settings}");
        (_generator, _discriminator, _settings, _noise) = (generator, discriminator, settings, noise);
        // No momentum: the other player moves the target (as in Karras et al. 2020).
        _generatorSteps = new Adam(generator, settings.LearningRate, beta1: 0, beta2: 0.99);
        _discriminatorSteps = new Adam(discriminator, settings.LearningRate, beta1: 0, beta2: 0.99);
        _device = generator.Parameters()[0].Device;
        Average = new Ema(generator, settings.EmaDecay);
    }

    /// <summary>The moving average of the generator's weights.</summary>
    public Ema Average { get; }

    /// <summary>A step of each network.</summary>
    /// <param name="data">Fresh data, [n, ...].</param>
    /// <param name="rate">Factor of the learning rate, to follow a schedule.</param>
    public void Step(Tensor data, double rate = 1)
    {
        using var scope = new MemoryScope();
        _discriminatorSteps.LearningRate = _generatorSteps.LearningRate = rate * _settings.LearningRate;

        _discriminatorSteps.ZeroGrad();
        DiscriminatorLoss(data).Backward();
        _discriminatorSteps.Step();

        // Only the generator's derivatives are wanted here.
        _discriminator.RequireGrad(false);
        _generatorSteps.ZeroGrad();
        GanLoss.Generator(_discriminator.Forward(_generator.Forward(Latents(data.Shape[0])))).Backward();
        _generatorSteps.Step(Average);
        _discriminator.RequireGrad();
        _steps++;
    }

    private Tensor DiscriminatorLoss(Tensor data)
    {
        Tensor made;
        using (new NoGrad())
            made = _generator.Forward(Latents(data.Shape[0]));
        bool penalised = _settings.Penalty > 0 && _steps % _settings.PenaltyEvery == 0;
        var x = data.Detach().RequireGrad(penalised);
        var real = _discriminator.Forward(x);
        var loss = GanLoss.Discriminator(real, _discriminator.Forward(made));
        return penalised ? loss + GanLoss.GradientPenalty(real, x, _settings.Penalty * _settings.PenaltyEvery) : loss;
    }

    private Tensor Latents(int count) => Tensor.Randn(_noise, [count, _settings.Latents], _device);
}
