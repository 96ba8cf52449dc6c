using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// L_simple of DDPM (Ho et al. 2020, equation 14 and Algorithm 1): data with noise of uniformly drawn steps, and the mean squared error
/// of what the network says about it. The network may say the noise, the clean sample or the velocity.
/// </summary>
public sealed class NoisedBatch : TrainingBatch
{
    private readonly ConditionalNetwork _network;
    private readonly Tensor _xt, _times, _target;
    private readonly Tensor? _labels;

    /// <param name="x0">A batch of data [n, ...].</param>
    /// <param name="labels">Int32 [n] for a network that is told classes, else null.</param>
    /// <param name="generator">Draws the steps and the noise.</param>
    /// <exception cref="ArgumentException">The network says the score, whose error has no useful scale of its own.</exception>
    public NoisedBatch(
        ConditionalNetwork network, DiscreteSchedule schedule, Tensor x0, Tensor? labels, Generator generator,
        Parameterisation parameterisation = Parameterisation.Epsilon)
        : this(network, schedule, x0, labels, Tensor.From(schedule.DrawSteps(x0.Shape[0], generator), [x0.Shape[0]], x0.Device), generator, parameterisation)
    {
    }

    /// <param name="steps">The step of each sample, Int32 [n]; the generator draws only the noise then.</param>
    /// <inheritdoc cref="NoisedBatch(ConditionalNetwork, DiscreteSchedule, Tensor, Tensor?, Generator, Parameterisation)"/>
    public NoisedBatch(
        ConditionalNetwork network, DiscreteSchedule schedule, Tensor x0, Tensor? labels, Tensor steps, Generator generator,
        Parameterisation parameterisation)
    {
        var (alpha, sigma, times) = schedule.At(steps);
        (_xt, var noise) = F.ForwardDiffusion(x0, alpha, sigma, generator);
        (_network, _times, _labels) = (network, times, labels);
        _target = parameterisation switch
        {
            Parameterisation.Epsilon => noise,
            Parameterisation.X0 => x0,
            Parameterisation.Velocity => PerSample(alpha, x0) * noise - PerSample(sigma, x0) * x0,
            _ => throw new ArgumentException($"L_simple is not defined for a network that predicts the {parameterisation}."),
        };
    }

    public override Tensor Loss(int start, int count)
    {
        var prediction = _network(_xt.Slice(0, start, count), _times.Slice(0, start, count), _labels?.Slice(0, start, count));
        return F.MseLoss(prediction, _target.Slice(0, start, count));
    }

    /// <summary>values[n] in a shape that broadcasts over samples.</summary>
    private static Tensor PerSample(Tensor values, Tensor samples)
    {
        Span<int> extents = stackalloc int[samples.Rank];
        extents.Fill(1);
        extents[0] = values.Count;
        return values.Reshape(new Shape(extents));
    }
}
