using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// What a classifier of noised data learns from: -ln p(y | x_t, t) of data with noise of any time (Song et al. 2021, appendix I; Dhariwal
/// and Nichol 2021, section 4). The minimum is the classifier that <see cref="Samplers.Guidance.ByClassifier(Denoiser, DenoisingNetwork, Tensor, double, Samplers.GuidanceInterval?)"/> wants.
/// </summary>
public sealed class NoisedClassesBatch : TrainingBatch
{
    private readonly DenoisingNetwork _classifier;
    private readonly Generator _generator;

    /// <param name="classifier">From x_t and the network's times to logits [n, classes].</param>
    /// <param name="x0">Data, [n, ...].</param>
    /// <param name="labels">Their classes, Int32 [n].</param>
    /// <param name="times">Draws the times, here.</param>
    /// <param name="generator">Draws the times, here, and the noise.</param>
    public NoisedClassesBatch(DenoisingNetwork classifier, ForwardProcess process, Tensor x0, Tensor labels, TimeSampler times, Generator generator)
    {
        (_classifier, _generator) = (classifier, generator);
        double[] drawn = [.. times.Draw(x0.Shape[0], generator).Select(at => at.Time)];
        Tensor Put(Func<double, double> of) => Tensor.From(Array.ConvertAll(drawn, t => of(t)), [drawn.Length], x0.Device);
        Inputs = [x0, labels, Put(process.Alpha), Put(process.Sigma), Put(process.NetworkTime)];
    }

    /// <summary>x_0, the labels, alpha, sigma and the network's times.</summary>
    public override IReadOnlyList<Tensor> Inputs { get; }

    /// <returns>x_t, the network's times and the labels.</returns>
    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Draw(IReadOnlyList<Tensor> inputs) =>
        [F.ForwardDiffusion(inputs[0], inputs[2], inputs[3], _generator).Xt, inputs[4], inputs[1]];

    /// <inheritdoc/>
    public override Tensor Loss(IReadOnlyList<Tensor> drawn) => F.CrossEntropy(_classifier(drawn[0], drawn[1]), drawn[2]);
}
