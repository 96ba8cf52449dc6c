using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// What a classifier of noised data learns from: -ln p(y | x_t, t) of data with noise of any time (Song et al. 2021, appendix I; Dhariwal
/// and Nichol 2021, section 4). The minimum is the classifier that <see cref="Samplers.Guidance.ByClassifier(Denoiser, DenoisingNetwork, Tensor, double, Samplers.GuidanceInterval?)"/> wants.
/// </summary>
public sealed class NoisedClassesBatch : TrainingBatch
{
    private readonly DenoisingNetwork _classifier;
    private readonly ForwardProcess _process;
    private readonly TimeSampler _times;
    private readonly Generator _generator;
    private readonly (double Time, double Density)[] _drawn;
    private readonly double[] _alpha, _sigma, _told;

    /// <param name="classifier">From x_t and the network's times to logits [n, classes].</param>
    /// <param name="x0">Data, [n, ...].</param>
    /// <param name="labels">Their classes, Int32 [n].</param>
    /// <param name="times">Draws the times, at once.</param>
    /// <param name="generator">Draws the times, at once, and the noise.</param>
    public NoisedClassesBatch(DenoisingNetwork classifier, ForwardProcess process, Tensor x0, Tensor labels, TimeSampler times, Generator generator)
    {
        (_classifier, _process, _times, _generator) = (classifier, process, times, generator);
        int n = x0.Shape[0];
        (_drawn, _alpha, _sigma, _told) = (new (double, double)[n], new double[n], new double[n], new double[n]);
        Inputs = [x0, labels, Tensor.Empty([n], x0.Device), Tensor.Empty([n], x0.Device), Tensor.Empty([n], x0.Device)];
        Redraw();
    }

    /// <summary>x_0, the labels, alpha, sigma and the network's times.</summary>
    public override IReadOnlyList<Tensor> Inputs { get; }

    /// <inheritdoc/>
    public override void Redraw()
    {
        _times.Draw(_drawn, _generator);
        for (int i = 0; i < _drawn.Length; i++)
        {
            double t = _drawn[i].Time;
            (_alpha[i], _sigma[i], _told[i]) = (_process.Alpha(t), _process.Sigma(t), _process.NetworkTime(t));
        }
        Inputs[2].CopyFrom(_alpha);
        Inputs[3].CopyFrom(_sigma);
        Inputs[4].CopyFrom(_told);
    }

    /// <returns>x_t, the network's times and the labels.</returns>
    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Draw(IReadOnlyList<Tensor> inputs) =>
        [F.ForwardDiffusion(inputs[0], inputs[2], inputs[3], _generator).Xt, inputs[4], inputs[1]];

    /// <inheritdoc/>
    public override Tensor Loss(IReadOnlyList<Tensor> drawn) => F.CrossEntropy(_classifier(drawn[0], drawn[1]), drawn[2]);
}
