using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// L_simple of DDPM (Ho et al. 2020, equation 14 and Algorithm 1): data with noise of uniformly drawn steps, and the mean squared error
/// of what the network says about it. The network may say the noise, the clean sample or the velocity.
/// </summary>
public sealed class NoisedBatch : TrainingBatch
{
    private readonly ConditionalNetwork _network;
    private readonly DiscreteSchedule _schedule;
    private readonly Generator _generator;
    private readonly Parameterisation _parameterisation;
    private readonly Tensor _steps;

    /// <param name="x0">A batch of data [n, ...].</param>
    /// <param name="labels">What the network is told besides: Int32 [n] for classes, images for a network of those, else null.</param>
    /// <param name="generator">Draws the steps, at once, and the noise.</param>
    /// <exception cref="ArgumentException">The network says something else: the error of a score has no useful scale of its own.</exception>
    public NoisedBatch(
        ConditionalNetwork network, DiscreteSchedule schedule, Tensor x0, Tensor? labels, Generator generator,
        Parameterisation parameterisation = Parameterisation.Epsilon)
    {
        if (parameterisation is not (Parameterisation.Epsilon or Parameterisation.X0 or Parameterisation.Velocity))
            throw new ArgumentException($"L_simple is for networks that say Epsilon, X0 or Velocity, not {parameterisation}; {nameof(ContinuousBatch)} knows all.");
        (_network, _schedule, _generator, _parameterisation) = (network, schedule, generator, parameterisation);
        _steps = Tensor.EmptyInt32([x0.Shape[0]], x0.Device);
        Inputs = labels is null ? [x0, _steps] : [x0, _steps, labels];
        Redraw();
    }

    /// <summary>x_0, the steps and, where there are classes, the labels.</summary>
    public override IReadOnlyList<Tensor> Inputs { get; }

    /// <inheritdoc/>
    public override void Redraw() => _steps.CopyFrom(_schedule.DrawSteps(_steps.Count, _generator));

    /// <returns>x_t, the network's times, what it should say and, where there are classes, the labels.</returns>
    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Draw(IReadOnlyList<Tensor> inputs)
    {
        var x0 = inputs[0];
        var (alpha, sigma, times) = _schedule.At(inputs[1]);
        var (xt, noise) = F.ForwardDiffusion(x0, alpha, sigma, _generator);
        var target = _parameterisation switch
        {
            Parameterisation.X0 => x0,
            Parameterisation.Velocity => alpha.PerSample(x0) * noise - sigma.PerSample(x0) * x0,
            _ => noise,
        };
        return [xt, times, target, .. inputs.Skip(2)];
    }

    /// <inheritdoc/>
    public override Tensor Loss(IReadOnlyList<Tensor> drawn) =>
        F.MseLoss(_network(drawn[0], drawn[1], drawn.Count > 3 ? drawn[3] : null), drawn[2]);
}
