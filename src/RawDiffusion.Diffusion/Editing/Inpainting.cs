using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Editing;

/// <summary>
/// Filling in the unknown part of samples with a denoiser that was never trained to. What is sought is the score of the unknown part given
/// the known one, score(x_t) + grad ln p(known | x_t). <see cref="Replacement"/> leaves the second term out, <see cref="RePaint"/> makes up
/// for it by going back and forth, <see cref="Guide"/> estimates it. A network that is told the mask (<see cref="MaskConditioning"/>) has it
/// learned.
/// </summary>
/// <remarks>
/// All walk falling times as <see cref="Sampler"/> does, with the ancestral sampler's steps, and leave the known part exact where the last
/// time is 0. How often the network was asked is <see cref="Denoiser.Evaluations"/>.
/// </remarks>
public static class Inpainting
{
    /// <summary>
    /// Replacement (Sohl-Dickstein et al. 2015, section 2.5; Song et al. 2021, appendix I.2): after every step, what is known is put in with
    /// the noise of that time. The unknown part sees the known one through its noise only, and has often made up its mind before that is gone.
    /// </summary>
    /// <param name="x">The state at times[0]; its known part does not matter.</param>
    /// <param name="times">Falling times; the last is usually 0.</param>
    /// <param name="clipX0">Limit for the absolute value of the predicted x_0; infinity for none.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, the times do not fall, or no signal is left at the first.</exception>
    public static Tensor Replacement(
        Denoiser denoiser, KnownPart known, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, double clipX0 = double.PositiveInfinity,
        Action<SamplerProgress>? callback = null) =>
        Walk(denoiser, known, x, TimeGrid.Check(denoiser.Process, times), noise, clipX0, callback);

    /// <summary>
    /// RePaint (Lugmayr et al. 2022, Algorithm 1): replacement that is thrown back by the noise of <paramref name="jumpLength"/> steps again
    /// and again, so that both parts come to fit each other. One resampling is <see cref="Replacement"/>.
    /// </summary>
    /// <param name="jumpLength">j of the paper: steps that a jump undoes.</param>
    /// <param name="resamplings">r of the paper: how often each stretch of j steps is walked.</param>
    /// <inheritdoc cref="Replacement"/>
    public static Tensor RePaint(
        Denoiser denoiser, KnownPart known, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, int jumpLength = 10, int resamplings = 10,
        double clipX0 = double.PositiveInfinity, Action<SamplerProgress>? callback = null) =>
        Walk(denoiser, known, x, RePaintTimes(TimeGrid.Check(denoiser.Process, times), jumpLength, resamplings), noise, clipX0, callback);

    /// <summary>
    /// The times that RePaint visits: down the list one by one, and up by a jump, r - 1 times from every j-th time that is a jump away from
    /// the start, counted from the last but one (Lugmayr et al. 2022, appendix, figure 9). A jump's noise is added at once, which is the same
    /// as step by step. Each step down asks the network once.
    /// </summary>
    /// <param name="times">Falling times.</param>
    /// <exception cref="ArgumentException">There is no time.</exception>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A jump or the number of resamplings is below 1, or no jump fits between the start and the last time but one: nothing would be resampled.
    /// </exception>
    public static double[] RePaintTimes(ReadOnlySpan<double> times, int jumpLength, int resamplings)
    {
        if (times.IsEmpty)
            throw new ArgumentException("RePaint walks a list of times, and this one is empty");
        if (jumpLength < 1)
            throw new ArgumentOutOfRangeException(nameof(jumpLength), $"a jump is at least 1 step long, not {jumpLength}");
        if (resamplings < 1)
            throw new ArgumentOutOfRangeException(nameof(resamplings), $"each stretch is walked at least once, not {resamplings} times");
        int last = times.Length - 1;
        if (resamplings > 1 && jumpLength >= last)
        {
            throw new ArgumentOutOfRangeException(
                nameof(jumpLength), $"a jump of {jumpLength} steps does not fit a walk of {last}, whose last is made once: nothing would be resampled; give at most {last - 1}, or more steps");
        }
        var jumps = new int[times.Length];
        for (int at = last - 1; at >= jumpLength; at -= jumpLength)
            jumps[at] = resamplings - 1;
        var visited = new List<double> { times[0] };
        for (int at = 0; at < last;)
        {
            visited.Add(times[++at]);
            if (jumps[at] == 0)
                continue;
            jumps[at]--;
            at -= jumpLength;
            visited.Add(times[at]);
        }
        return [.. visited];
    }

    /// <summary>
    /// Reconstruction guidance (Ho et al. 2022, Video Diffusion Models, equation 7; with other weights diffusion posterior sampling, Chung et
    /// al. 2023, Algorithm 1): a denoiser whose x_0 is moved so that its known part comes out right,
    /// x_0 - weight alpha / 2 grad |mask (known - x_0(x_t))|^2, the gradient being that with respect to x_t, through the network. With weight 1
    /// this takes the known part for normal about x_0 with the deviation sigma / alpha. For any sampler; one evaluation costs about three.
    /// </summary>
    /// <param name="weight">How strongly the known part pulls; 0 for not at all.</param>
    /// <exception cref="ArgumentOutOfRangeException">The weight is negative or not finite.</exception>
    public static Denoiser Guide(Denoiser denoiser, KnownPart known, double weight = 1)
    {
        if (!(weight >= 0 && double.IsFinite(weight)))
            throw new ArgumentOutOfRangeException(nameof(weight), $"the weight of the known part must not be negative, and this one is {weight}");
        return Denoiser.FromFunction(
            (x, t) =>
            {
                known.Expect(x);
                var leaf = x.Detach().RequireGrad();
                Tensor x0, error;
                using (new EnableGrad())
                {
                    x0 = denoiser.X0(leaf, t);
                    // Samples do not see each other, so the gradient of the sum holds that of each.
                    error = (known.X - x0 * known.Mask).Square().Sum();
                }
                var gradient = Autograd.Grad(error, [leaf])[0]!;
                return x0.Detach() - gradient * (0.5 * weight * denoiser.Process.Alpha(t));
            },
            denoiser.Process, Parameterisation.X0, parts: denoiser);
    }

    /// <summary><see cref="Replacement"/> with <see cref="Guide"/>, as Ho et al. use it: the noisy known part is seen, and its clean value pulls.</summary>
    /// <inheritdoc cref="Replacement"/>
    /// <inheritdoc cref="Guide"/>
    public static Tensor Guided(
        Denoiser denoiser, KnownPart known, Tensor x, ReadOnlySpan<double> times, NoiseSource noise, double weight = 1,
        double clipX0 = double.PositiveInfinity, Action<SamplerProgress>? callback = null) =>
        Replacement(Guide(denoiser, known, weight), known, x, times, noise, clipX0, callback);

    /// <param name="visited">Times that fall, with single rises between.</param>
    private static Tensor Walk(
        Denoiser denoiser, KnownPart known, Tensor x, double[] visited, NoiseSource noise, double clipX0, Action<SamplerProgress>? callback)
    {
        known.Expect(x);
        if (!(clipX0 > 0))
            throw new ArgumentOutOfRangeException(nameof(clipX0), $"the limit for x_0 must be positive, not {clipX0}");
        var process = denoiser.Process;
        Sampler.ExpectSignal(process, visited[0]);
        // A rise belongs to the step before it, which is the one that asks the network.
        var steps = new List<(double From, double Down, double To)>();
        for (int i = 0; i + 1 < visited.Length;)
        {
            double from = visited[i], down = visited[++i];
            if (i + 1 < visited.Length && visited[i + 1] > down)
                i++;
            steps.Add((from, down, visited[i]));
        }
        return SamplerWalk.Run(x, [visited[0], .. steps.Select(step => step.To)], callback, (i, state, _) =>
        {
            var (from, down, to) = steps[i];
            if (i == 0)
                state = known.Fill(state, process, from, noise);
            var step = new Transition(process, from, down);
            var eps = denoiser.Epsilon(state, from);
            double inverseAlpha = 1 / step.AlphaT, sigmaOverAlpha = step.SigmaT / step.AlphaT;
            var next = noise.Step(state, eps, new DiffusionStepCoefficients(
                inverseAlpha, sigmaOverAlpha, clipX0, step.PosteriorXt, step.PosteriorX0, 0, Math.Sqrt(step.PosteriorVariance)));
            next = known.Fill(next, process, down, noise);
            if (to > down)
            {
                var back = new Transition(process, to, down);
                next = noise.Add(next * back.Ratio, Math.Sqrt(back.Variance));
            }
            return new SamplerStep(next, callback is null ? eps : Sampler.Clipped(state * inverseAlpha - eps * sigmaOverAlpha, clipX0));
        });
    }
}
