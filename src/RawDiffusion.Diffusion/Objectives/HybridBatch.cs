using RawDiffusion.Diffusion.Likelihood;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Objectives;

/// <summary>
/// L_simple + weight L_vlb (Nichol and Dhariwal 2021, equation 16) for a network that answers with twice the channels. L_simple, the plain
/// squared error of the prediction, teaches the mean of the reverse steps; L_vlb, the variational bound, teaches their variance
/// (<see cref="ReverseVariance.Learned"/>) and sees the mean as given, so that its noisy gradient does not disturb the prediction.
/// </summary>
/// <remarks>
/// The term of the bound at a time t is that of the step from t to t - EndTime / T, or to 0 where that is the decoder's; times T, in nats
/// per dimension, its mean over the steps of a T-step process is the bound without L_T.
/// </remarks>
public sealed class HybridBatch : TrainingBatch
{
    /// <summary>lambda of the paper.</summary>
    public const double DefaultWeight = 0.001;

    // Columns of the numbers of each sample that its time decides.
    private const int Alpha = 0, Sigma = 1, NetworkTime = 2, InputScale = 3, TargetX0 = 4, TargetEpsilon = 5, X0OfX = 6, X0OfOutput = 7,
        MeanSquared = 8, LogPosterior = 9, LogLow = 10, LogHigh = 11, IsDecoder = 12, Weight = 13, MeanOfX = 14, MeanOfX0 = 15, ColumnCount = 16;

    private readonly ConditionalNetwork _network;
    private readonly Denoiser _denoiser;
    private readonly TimeSampler _times;
    private readonly Decoder _decoder;
    private readonly Generator _generator;
    private readonly double _boundWeight;
    private readonly (double Time, double Density)[] _drawn;
    private readonly double[] _table;

    /// <param name="network">From [n, ..., c] to [n, ..., 2c]: the prediction and the spread.</param>
    /// <param name="denoiser">Says what the network predicts, and of which process; it is not asked itself.</param>
    /// <param name="x0">Data, [n, ..., c].</param>
    /// <param name="labels">Int32 [n] for a network that is told classes, else null.</param>
    /// <param name="times">Draws the times, at once: <see cref="TimeSampler.Steps"/> or <see cref="LossAwareTimes"/>. Losses are divided by their density.</param>
    /// <param name="steps">T.</param>
    /// <param name="decoder">The likelihood of the last step.</param>
    /// <param name="generator">Draws the times, at once, and the noise.</param>
    /// <param name="boundWeight">The weight of L_vlb.</param>
    /// <exception cref="ArgumentException">The denoiser's network has learned no variance, or there is no step.</exception>
    public HybridBatch(
        ConditionalNetwork network, Denoiser denoiser, Tensor x0, Tensor? labels, TimeSampler times, int steps, Decoder decoder, Generator generator,
        double boundWeight = DefaultWeight)
    {
        if (!denoiser.LearnsVariance)
            throw new ArgumentException("the hybrid objective is for networks that learn the variance: the denoiser's does not");
        ArgumentOutOfRangeException.ThrowIfLessThan(steps, 1);
        (_network, _denoiser, _times, _decoder, _generator, _boundWeight, Steps) = (network, denoiser, times, decoder, generator, boundWeight, steps);
        int n = x0.Shape[0];
        (_drawn, _table, Times, Densities) = (new (double, double)[n], new double[n * ColumnCount], new double[n], new double[n]);
        Tensor[] inputs = [x0, Tensor.Empty([n, ColumnCount], x0.Device)];
        Inputs = labels is null ? inputs : [.. inputs, labels];
        Redraw();
    }

    /// <summary>T.</summary>
    public int Steps { get; }

    /// <summary>The times that were drawn last, one for each sample.</summary>
    public double[] Times { get; }

    /// <summary>The density of each of them.</summary>
    public double[] Densities { get; }

    /// <summary>x_0, [n, 16] numbers of each sample that its time decides, and labels where there are any.</summary>
    public override IReadOnlyList<Tensor> Inputs { get; }

    /// <inheritdoc/>
    public override void Redraw()
    {
        _times.Draw(_drawn, _generator);
        for (int i = 0; i < _drawn.Length; i++)
        {
            (Times[i], Densities[i]) = _drawn[i];
            Fill(_table.AsSpan(i * ColumnCount, ColumnCount), _denoiser, Times[i], Densities[i]);
        }
        Inputs[1].CopyFrom(_table);
    }

    /// <returns>x_0, x_t, the noise, the numbers of each sample, and labels where there are any.</returns>
    /// <inheritdoc/>
    public override IReadOnlyList<Tensor> Draw(IReadOnlyList<Tensor> inputs)
    {
        Tensor x0 = inputs[0], table = inputs[1];
        var (xt, noise) = F.ForwardDiffusion(x0, Numbers(table, Alpha), Numbers(table, Sigma), _generator);
        return [x0, xt, noise, table, .. inputs.Skip(2)];
    }

    /// <inheritdoc/>
    public override Tensor Loss(IReadOnlyList<Tensor> drawn)
    {
        var (simple, bound) = SampleLosses(drawn);
        return ((simple + bound * _boundWeight) * Numbers(drawn[3], Weight)).Mean();
    }

    /// <summary>
    /// What the loss is made of, for every sample [n], not divided by the density of its time: the mean squared error of the prediction, and
    /// T times its term of the bound in nats per dimension.
    /// </summary>
    public (Tensor Simple, Tensor Bound) SampleLosses(IReadOnlyList<Tensor> drawn)
    {
        Tensor x0 = drawn[0], xt = drawn[1], table = drawn[3];
        int n = x0.Shape[0], size = x0.Count / n;
        Tensor Column(int index) => Numbers(table, index).PerSample(x0);
        var halves = _network(Column(InputScale) * xt, Numbers(table, NetworkTime), drawn.Count > 4 ? drawn[4] : null).Chunk(2, x0.Rank - 1);
        var target = Column(TargetX0) * x0 + Column(TargetEpsilon) * drawn[2];
        var simple = F.WeightedMse(halves[0], target, Tensor.Ones([n], x0.Device));

        var predicted = Column(X0OfX) * xt + Column(X0OfOutput) * halves[0].Detach();
        var logVariance = ReverseVariance.Interpolate(halves[1], Column(LogLow), Column(LogHigh));
        var divergence = VariationalBound.Divergence((predicted - x0).Square() * Column(MeanSquared), Column(LogPosterior), logVariance);
        // Both for all samples, as a recorded step does the same for every batch.
        var decoded = _decoder.LogLikelihood(x0, Column(MeanOfX) * xt + Column(MeanOfX0) * predicted, logVariance);
        var term = F.Where(Numbers(table, IsDecoder), -decoded, divergence.SumPerSample());
        return (simple, term * ((double)Steps / size));
    }

    private void Fill(Span<double> row, Denoiser denoiser, double t, double density)
    {
        var process = denoiser.Process;
        // A whole number of steps from 0, up to rounding.
        double length = process.EndTime / Steps, s = t - length > 1e-6 * length ? t - length : 0;
        var step = new Transition(process, t, s);
        double alpha = step.AlphaT, sigma = step.SigmaT;
        var (ofX0, ofEpsilon) = denoiser.Factors(denoiser.Parameterisation, t);
        // output = p x0 + q eps and x = alpha x0 + sigma eps, as in Denoiser.
        double determinant = alpha * ofEpsilon - sigma * ofX0;
        var (low, high) = ReverseVariance.LogBounds(step);
        (row[Alpha], row[Sigma], row[NetworkTime]) = (alpha, sigma, process.NetworkTime(t));
        row[InputScale] = denoiser.Parameterisation == Parameterisation.Preconditioned ? denoiser.InputScale(t) / alpha : 1;
        (row[TargetX0], row[TargetEpsilon]) = (ofX0, ofEpsilon);
        (row[X0OfX], row[X0OfOutput]) = (ofEpsilon / determinant, -sigma / determinant);
        (row[MeanSquared], row[LogLow], row[LogHigh]) = (step.PosteriorX0 * step.PosteriorX0, low, high);
        (row[MeanOfX], row[MeanOfX0]) = (step.PosteriorXt, step.PosteriorX0);
        // A step to no noise has no divergence; any number will do for what is not chosen.
        row[LogPosterior] = step.SigmaS > 0 ? Math.Log(step.PosteriorVariance) : low;
        row[IsDecoder] = s > 0 ? 0 : 1;
        row[Weight] = 1 / density;
    }

    private static Tensor Numbers(Tensor table, int column) => table.Slice(1, column, 1).Reshape(table.Shape[0]);
}
