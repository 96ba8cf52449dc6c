using RawDiffusion.Diffusion.Processes;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// One objective for every process, parameterisation and weight: E[w(t) / p(t) |x_0 - D(x_t, t)|^2], written as the error of what the
/// network says. With the straight-line process and flow velocities it is conditional flow matching (Lipman et al. 2023, equation 9), with
/// the score's weights denoising score matching over all noise levels (Song and Ermon 2019, equation 6; Vincent 2011), with preconditioning
/// that of EDM, with likelihood weights a bound on the likelihood.
/// </summary>
public sealed class ContinuousBatch : TrainingBatch
{
    private readonly ConditionalNetwork _network;
    private readonly Denoiser _denoiser;
    private readonly TimeSampler _times;
    private readonly LossWeight? _weight;
    private readonly Generator _generator;
    private readonly TimeSpread _spread;
    private readonly (double Time, double Density)[] _drawn;

    // A number of each for every sample, in the order of the inputs behind x_0.
    private readonly double[] _alpha, _sigma, _told, _ofX0, _ofEpsilon, _weights, _scale;
    private readonly double[][] _numbers;

    /// <param name="denoiser">Says what the network predicts, and of which process; it is not asked itself.</param>
    /// <param name="x0">Data, [n, ...].</param>
    /// <param name="labels">Int32 [n] for a network that is told classes, else null.</param>
    /// <param name="times">Draws the times, at once.</param>
    /// <param name="weight">
    /// How much errors of x_0 count; they are divided by the density of their time. Null for the plain squared error of what the network
    /// says, at the times as they are drawn.
    /// </param>
    /// <param name="generator">Draws the times, at once, and the noise.</param>
    /// <param name="spread">How the times of a batch go together.</param>
    /// <exception cref="ArgumentException">The weight of one of the times is negative or not finite.</exception>
    public ContinuousBatch(
        ConditionalNetwork network, Denoiser denoiser, Tensor x0, Tensor? labels, TimeSampler times, LossWeight? weight, Generator generator,
        TimeSpread spread = TimeSpread.Even)
    {
        (_network, _denoiser, _times, _weight, _generator, _spread) = (network, denoiser, times, weight, generator, spread);
        int n = x0.Shape[0];
        (Times, _drawn) = (new double[n], new (double, double)[n]);
        _numbers = [_alpha = new double[n], _sigma = new double[n], _told = new double[n], _ofX0 = new double[n], _ofEpsilon = new double[n], _weights = new double[n], _scale = new double[n]];
        Tensor[] inputs = [x0, .. _numbers.Select(_ => Tensor.Empty([n], x0.Device))];
        Inputs = labels is null ? inputs : [.. inputs, labels];
        Redraw();
    }

    /// <summary>The times drawn last, [n].</summary>
    public double[] Times { get; }

    /// <summary>x_0, alpha, sigma, the network's times, the two factors of what it should say, the weights, the scales of its inputs, and labels where there are any.</summary>
    public override IReadOnlyList<Tensor> Inputs { get; }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The weight of one of the times is negative or not finite.</exception>
    public override void Redraw()
    {
        var process = _denoiser.Process;
        _times.Draw(_drawn, _generator, _spread);
        for (int i = 0; i < _drawn.Length; i++)
        {
            var (t, density) = _drawn[i];
            Times[i] = t;
            (_alpha[i], _sigma[i], _told[i]) = (process.Alpha(t), process.Sigma(t), process.NetworkTime(t));
            (_ofX0[i], _ofEpsilon[i]) = _denoiser.Factors(_denoiser.Parameterisation, t);
            // An error e of the output is an error sigma e / (alpha q - sigma p) of x_0, by the two equations of Denoiser.
            double determinant = _alpha[i] * _ofEpsilon[i] - _sigma[i] * _ofX0[i];
            double counts = _weight is null ? 1 : _weight(process, t);
            if (!(counts >= 0 && double.IsFinite(counts)))
                throw new ArgumentException($"a weight must be finite and not negative; that of time {t} of {process.Name} is {counts}");
            _weights[i] = _weight is null ? 1 : counts * Math.Pow(_sigma[i] / determinant, 2) / density;
            _scale[i] = _denoiser.Parameterisation == Parameterisation.Preconditioned ? _denoiser.InputScale(t) / _alpha[i] : 1;
        }
        for (int k = 0; k < _numbers.Length; k++)
            Inputs[1 + k].CopyFrom(_numbers[k]);
    }

    /// <returns>The network's input, its times, what it should say, the weights, and labels where there are any.</returns>
    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Draw(IReadOnlyList<Tensor> inputs)
    {
        var x0 = inputs[0];
        var (xt, noise) = F.ForwardDiffusion(x0, inputs[1], inputs[2], _generator);
        var target = inputs[4].PerSample(x0) * x0 + inputs[5].PerSample(x0) * noise;
        return [inputs[7].PerSample(x0) * xt, inputs[3], target, inputs[6], .. inputs.Skip(8)];
    }

    /// <inheritdoc/>
    public override Tensor Loss(IReadOnlyList<Tensor> drawn) => Losses(drawn).Mean();

    /// <summary>
    /// The loss of every sample, [n], means over its numbers. With <see cref="LossWeights.Likelihood"/>, and times the number of numbers, each
    /// is an estimate of the bound without its ends, in nats.
    /// </summary>
    public Tensor Losses(IReadOnlyList<Tensor> drawn) =>
        F.WeightedMse(_network(drawn[0], drawn[1], drawn.Count > 4 ? drawn[4] : null), drawn[2], drawn[3]);
}
