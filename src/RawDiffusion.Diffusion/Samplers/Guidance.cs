namespace RawDiffusion.Diffusion.Samplers;

/// <summary>
/// Noise levels within which samples are guided, as sigma / alpha. Guidance at much noise costs variety, at little noise it does nothing
/// but cost time (Kynkaanniemi et al. 2024).
/// </summary>
/// <param name="Low">Exclusive.</param>
/// <param name="High">Inclusive.</param>
public readonly record struct GuidanceInterval(double Low, double High)
{
    /// <summary>Every noise level.</summary>
    public static GuidanceInterval Whole { get; } = new(0, double.PositiveInfinity);

    /// <exception cref="ArgumentException">It is no interval of noise levels.</exception>
    internal GuidanceInterval Check() => Low >= 0 && High > Low
        ? this
        : throw new ArgumentException($"an interval of guidance needs 0 <= low < high (as sigma / alpha), not {Low} and {High}");

    internal bool Contains(double noiseToSignal) => noiseToSignal > Low && noiseToSignal <= High;
}

/// <summary>A denoiser that is told one thing more than the one before it, and how strongly samples are drawn to that thing.</summary>
/// <param name="Denoiser">Told c_1, ..., c_k.</param>
/// <param name="Scale">Of c_k: 1 for none of the drawing.</param>
public readonly record struct GuidanceTerm(Denoiser Denoiser, double Scale);

/// <summary>
/// Samples of a class that are more typical of it than those of the class: of p(x_t) p(c | x_t)^s, s > 1, in place of p(x_t | c), which is
/// s = 1. The score of that is score(x_t) + s grad ln p(c | x_t), and the ways differ in where they take the gradient from: a classifier, or
/// the difference of a denoiser that is told the class and one that is not. What they make is a <see cref="Denoiser"/>, for any sampler.
/// </summary>
public static class Guidance
{
    /// <summary>
    /// Classifier-free guidance (Ho and Salimans 2022, equation 6): unconditional + scale (conditional - unconditional), in their notation
    /// (1 + w) eps(c) - w eps with scale = 1 + w. Where the scale is 1 or the noise outside of the interval only the conditional one is asked.
    /// </summary>
    /// <inheritdoc cref="ClassifierFree(Denoiser, IReadOnlyList{GuidanceTerm}, GuidanceInterval?, double)"/>
    public static Denoiser ClassifierFree(
        Denoiser conditional, Denoiser unconditional, double scale, GuidanceInterval? interval = null, double rescale = 0) =>
        ClassifierFree(unconditional, [new GuidanceTerm(conditional, scale)], interval, rescale);

    /// <summary>
    /// Classifier-free guidance by several attributes, each with its own scale: the score of p(x) p(c_1 | x)^s_1 p(c_2 | x, c_1)^s_2 ..., that is
    /// d() + sum_k s_k (d(c_1, ..., c_k) - d(c_1, ..., c_k-1)) (Brooks, Holynski and Efros 2023, equation 3, for two).
    /// </summary>
    /// <remarks>
    /// The other form in use, d() + sum_k s_k (d(c_k) - d()) (Liu et al. 2022, composable diffusion), takes attributes to be independent given x_t. Of a
    /// clean image they may be; of a noisy one, which could still become many images, they are not, and scales of 1 would not give the
    /// conditional distribution. This form rests on the chain rule alone: scales of 1 are the denoiser that is told everything, equal scales
    /// are guidance by all attributes as one, and wherever neighbouring scales are equal the denoiser between need not be asked. What is said of
    /// the variance is not guided: it is that of the last denoiser that is asked, where the networks have learned one.
    /// </remarks>
    /// <param name="unconditional">Told nothing.</param>
    /// <param name="told">Each told one attribute more; the last is told all.</param>
    /// <param name="interval">Where to guide; outside of it the answer is that of the last, as with scales of 1. Everywhere when left out.</param>
    /// <param name="rescale">
    /// phi of Lin et al. 2023 (equations 14 to 16): large scales widen the predictions, which overexposes images; this share of the answer is
    /// brought back to each sample's standard deviation in what the last denoiser says. Of what the networks predict, as there.
    /// </param>
    /// <exception cref="ArgumentException">There is nothing told, the denoisers are of different processes, or a number makes no sense.</exception>
    public static Denoiser ClassifierFree(
        Denoiser unconditional, IReadOnlyList<GuidanceTerm> told, GuidanceInterval? interval = null, double rescale = 0)
    {
        if (told.Count == 0)
            throw new ArgumentException("classifier-free guidance needs a denoiser that is told something");
        var process = unconditional.Process;
        foreach (var (denoiser, scale) in told)
        {
            if (denoiser.Process != process)
                throw new ArgumentException($"guidance joins denoisers of one process, not of {process.Name} and {denoiser.Process.Name}");
            CheckScale(scale);
        }
        if (!(rescale is >= 0 and <= 1))
            throw new ArgumentException($"the share of rescaled guidance must be in [0, 1], not {rescale}");
        var within = (interval ?? GuidanceInterval.Whole).Check();
        var all = told[^1].Denoiser;
        var terms = Weighted(unconditional, told);
        // Sums of predictions are predictions, except where the network sees a scaled input.
        var kind = all.Parameterisation == Parameterisation.Preconditioned ? Parameterisation.X0 : all.Parameterisation;
        bool learns = all.LearnsVariance && terms[^1].Denoiser.LearnsVariance;
        return Denoiser.FromFunction(Predict, process, kind, learnsVariance: learns, parts: [.. terms.Select(term => term.Denoiser), all]);

        Tensor Predict(Tensor x, double t)
        {
            if (terms.Count == 1 && terms[0].Denoiser == all || !within.Contains(process.NoiseToSignal(t)))
                return Joined(all.Predict(x, t, kind), learns);
            Prediction[] said = [.. terms.Select(term => term.Denoiser.Predict(x, t, kind))];
            Tensor[] answers = [.. said.Select(one => one.Answer)];
            var guided = Sum(answers, terms);
            if (rescale != 0)
            {
                int own = terms.FindIndex(term => term.Denoiser == all);
                guided = Rescaled(guided, own >= 0 ? answers[own] : all.Answer(x, t, kind), rescale);
            }
            return Joined(said[^1] with { Answer = guided }, learns);
        }
    }

    /// <summary>
    /// Classifier guidance (Dhariwal and Nichol 2021, Algorithm 2; Song et al. 2021, equation 14): eps - scale sigma grad ln p(y | x_t, t), the
    /// gradient from a classifier that knows noised data. The denoiser need not have been told classes in its training.
    /// </summary>
    /// <remarks>
    /// In ancestral sampling this moves the mean of a step by scale (Variance / Ratio) grad with the <see cref="Processes.Transition"/> of the step,
    /// where their Algorithm 1 moves it by scale Sigma grad with the step's own variance Sigma: for small steps the same.
    /// What the denoiser says of the variance is left as it is.
    /// </remarks>
    /// <param name="classifier">From x_t and the time to logits [n, classes], in tensor operations.</param>
    /// <param name="labels">The classes wanted, Int32 [n].</param>
    /// <param name="scale">1 for the distribution of the class as the classifier sees it, 0 for none.</param>
    /// <param name="interval">Where to guide; everywhere when left out.</param>
    /// <exception cref="ArgumentException">A number makes no sense.</exception>
    public static Denoiser ByClassifier(
        Denoiser denoiser, Func<Tensor, double, Tensor> classifier, Tensor labels, double scale, GuidanceInterval? interval = null)
    {
        CheckScale(scale);
        var process = denoiser.Process;
        var within = (interval ?? GuidanceInterval.Whole).Check();
        return Denoiser.FromFunction(Predict, process, Parameterisation.Epsilon, learnsVariance: denoiser.LearnsVariance, parts: denoiser);

        Tensor Predict(Tensor x, double t)
        {
            var said = denoiser.Predict(x, t, Parameterisation.Epsilon);
            if (scale != 0 && within.Contains(process.NoiseToSignal(t)))
                said = said with { Answer = said.Answer - Gradient(classifier, x, t, labels) * (scale * process.Sigma(t)) };
            return Joined(said, denoiser.LearnsVariance);
        }
    }

    /// <summary>The same by a network that is told the process's <see cref="Processes.ForwardProcess.NetworkTime"/>, as denoising networks are.</summary>
    /// <inheritdoc cref="ByClassifier(Denoiser, Func{Tensor, double, Tensor}, Tensor, double, GuidanceInterval?)"/>
    public static Denoiser ByClassifier(Denoiser denoiser, DenoisingNetwork classifier, Tensor labels, double scale, GuidanceInterval? interval = null) =>
        ByClassifier(
            denoiser, (x, t) => classifier(x, Tensor.Full([x.Shape[0]], denoiser.Process.NetworkTime(t), x.Device)), labels, scale, interval);

    /// <summary>grad_x ln p(y | x, t) for each sample. Samplers record nothing; this does, for itself.</summary>
    private static Tensor Gradient(Func<Tensor, double, Tensor> classifier, Tensor x, double t, Tensor labels)
    {
        if (labels.Shape != [x.Shape[0]])
            throw new ArgumentException($"classifier guidance of {x.Shape[0]} samples needs labels [{x.Shape[0]}], not {labels.Shape}");
        return Autograd.Vjp(LogProbability, x, Tensor.Ones(Shape.Scalar, x.Device), createGraph: GradMode.IsEnabled && x.RequiresGrad).Product;

        // Of all samples together: none sees another, so the gradient of the sum is each one's own.
        Tensor LogProbability(Tensor state)
        {
            var logits = classifier(state, t);
            if (logits.Rank != 2 || logits.Shape[0] != x.Shape[0])
                throw new ArgumentException($"a classifier of {x.Shape[0]} samples says logits [{x.Shape[0]}, classes], not {logits.Shape}");
            return (F.LogSoftmax(logits) * labels.OneHot(logits.Shape[1]).To(logits.DType)).Sum();
        }
    }

    /// <summary>The sum in the order of its terms: 1 - s_1 of the first denoiser, s_k - s_k+1 of those between, the last scale of the last.</summary>
    private static List<(Denoiser Denoiser, double Weight)> Weighted(Denoiser unconditional, IReadOnlyList<GuidanceTerm> told)
    {
        var terms = new List<(Denoiser, double)> { (unconditional, 1 - told[0].Scale) };
        for (int k = 0; k < told.Count; k++)
            terms.Add((told[k].Denoiser, told[k].Scale - (k + 1 < told.Count ? told[k + 1].Scale : 0)));
        terms.RemoveAll(term => term.Item2 == 0);
        return terms;
    }

    private static Tensor Sum(Tensor[] answers, List<(Denoiser Denoiser, double Weight)> terms)
    {
        if (answers.Length == 1)
            return answers[0];
        if (answers.Length == 2)
            return F.Guide(answers[1], answers[0], terms[1].Weight);
        var sum = answers[0] * terms[0].Weight;
        for (int i = 1; i < answers.Length; i++)
            sum += answers[i] * terms[i].Weight;
        return sum;
    }

    /// <summary>As a network says it that has learned the variance, or has not.</summary>
    private static Tensor Joined(in Prediction said, bool learns) =>
        learns ? Tensor.Concat([said.Answer, said.Spread!], said.Answer.Rank - 1) : said.Answer;

    private static Tensor Rescaled(Tensor guided, Tensor conditional, double share)
    {
        int[] axes = [.. Enumerable.Range(1, guided.Rank - 1)];
        var factor = conditional.Std(axes, keepDims: true) / guided.Std(axes, keepDims: true);
        return guided * (factor * share + (1 - share));
    }

    private static void CheckScale(double scale)
    {
        if (!double.IsFinite(scale))
            throw new ArgumentException($"a scale of guidance must be a number, not {scale}");
    }
}
