namespace RawDiffusion.Diffusion.Data;

/// <summary>One round component of a mixture.</summary>
/// <param name="Weight">Its share of the points.</param>
/// <param name="StandardDeviation">Along every axis.</param>
public readonly record struct GaussianComponent(Point2 Mean, double StandardDeviation, double Weight);

/// <summary>
/// A mixture of round Gaussians, p(x0) = sum_k w_k N(mu_k, s_k^2 I). Noise keeps it one: x_t = alpha x0 + sigma eps is the mixture
/// with means alpha mu_k and variances v_k = alpha^2 s_k^2 + sigma^2. With the responsibilities
/// r_k = w_k N(x; alpha mu_k, v_k I) / p(x), the score is sum_k r_k (alpha mu_k - x) / v_k and
/// E[x0 | x] = sum_k r_k (mu_k + alpha s_k^2 / v_k (x - alpha mu_k)), which needs no division by alpha or sigma.
/// </summary>
public class GaussianMixture : IExactDensity
{
    private const int LargestCount = 256;

    private readonly GaussianComponent[] _components;
    private readonly double[] _cumulative;

    /// <param name="components">Their weights need not sum to 1; they are divided by their sum.</param>
    /// <exception cref="ArgumentException">No component or more than 256, a weight that is not positive, a negative standard deviation, or a number that is not finite.</exception>
    public GaussianMixture(params ReadOnlySpan<GaussianComponent> components)
    {
        if (components.Length is 0 or > LargestCount)
            throw new ArgumentException($"GaussianMixture: expected 1 to {LargestCount} components, got {components.Length}.");
        _components = components.ToArray();
        _cumulative = new double[_components.Length];
        double sum = 0;
        foreach (var component in _components)
        {
            var (mean, deviation, weight) = component;
            if (!(weight > 0 && deviation >= 0 && double.IsFinite(weight + deviation + mean.X + mean.Y)))
                throw new ArgumentException($"GaussianMixture: {component} needs a positive weight, no negative standard deviation and finite numbers.");
            sum += component.Weight;
        }
        double cumulative = 0;
        for (int k = 0; k < _components.Length; k++)
        {
            _components[k] = _components[k] with { Weight = _components[k].Weight / sum };
            cumulative += _components[k].Weight;
            _cumulative[k] = cumulative;
        }
        _cumulative[^1] = 1;
    }

    /// <summary>The components; their weights sum to 1.</summary>
    public IReadOnlyList<GaussianComponent> Components => _components;

    /// <summary>The sums of the weights up to each component, by which <see cref="Point"/> picks one; the last is 1.</summary>
    internal IReadOnlyList<double> Cumulative => _cumulative;

    /// <inheritdoc/>
    public double LogDensity(Point2 x, double alpha = 1, double sigma = 0)
    {
        Span<double> terms = stackalloc double[_components.Length];
        return LogTerms(x, alpha, sigma, terms);
    }

    /// <inheritdoc/>
    public Point2 Score(Point2 x, double alpha = 1, double sigma = 0)
    {
        Span<double> terms = stackalloc double[_components.Length];
        double logDensity = LogTerms(x, alpha, sigma, terms);
        double scoreX = 0, scoreY = 0;
        for (int k = 0; k < terms.Length; k++)
        {
            double factor = Math.Exp(terms[k] - logDensity) / Variance(k, alpha, sigma);
            scoreX += factor * (alpha * _components[k].Mean.X - x.X);
            scoreY += factor * (alpha * _components[k].Mean.Y - x.Y);
        }
        return new Point2(scoreX, scoreY);
    }

    /// <inheritdoc/>
    public Point2 Denoise(Point2 x, double alpha, double sigma)
    {
        Span<double> terms = stackalloc double[_components.Length];
        double logDensity = LogTerms(x, alpha, sigma, terms);
        double meanX = 0, meanY = 0;
        for (int k = 0; k < terms.Length; k++)
        {
            var (mean, deviation, _) = _components[k];
            double responsibility = Math.Exp(terms[k] - logDensity);
            double gain = alpha * deviation * deviation / Variance(k, alpha, sigma);
            meanX += responsibility * (mean.X + gain * (x.X - alpha * mean.X));
            meanY += responsibility * (mean.Y + gain * (x.Y - alpha * mean.Y));
        }
        return new Point2(meanX, meanY);
    }

    /// <summary>
    /// <see cref="Denoise(Point2, double, double)"/> for points [n, 2] in tensor operations: on their device, in their precision, and with
    /// derivatives.
    /// </summary>
    public Tensor DenoiseTensor(Tensor x, double alpha, double sigma)
    {
        int count = _components.Length;
        double[] gains = new double[count], shifts = new double[2 * count];
        for (int k = 0; k < count; k++)
        {
            var (mean, deviation, _) = _components[k];
            double gain = alpha * deviation * deviation / Variance(k, alpha, sigma);
            gains[k] = gain;
            (shifts[2 * k], shifts[2 * k + 1]) = ((1 - gain * alpha) * mean.X, (1 - gain * alpha) * mean.Y);
        }
        var responsibilities = F.Softmax(ComponentLogits(x, alpha, sigma));
        return responsibilities.MatMul(Tensor.From(shifts, [count, 2], x.Device)) + x * responsibilities.MatMul(Tensor.From(gains, [count, 1], x.Device));
    }

    /// <summary>
    /// Which component points [n, 2] with noise came from: logits [n, components] whose softmax are the responsibilities r_k, the best
    /// possible classifier. In tensor operations, with derivatives.
    /// </summary>
    public Tensor ComponentLogits(Tensor x, double alpha, double sigma)
    {
        int count = _components.Length;
        double[] means = new double[2 * count], offsets = new double[count], slopes = new double[count];
        for (int k = 0; k < count; k++)
        {
            var (mean, _, weight) = _components[k];
            double variance = Variance(k, alpha, sigma);
            // ln(w N(x; alpha mu, v)) = -|x|^2 / 2v + x . (alpha mu / v) - alpha^2 |mu|^2 / 2v + ln(w / v) + a constant
            (means[2 * k], means[2 * k + 1]) = (alpha * mean.X / variance, alpha * mean.Y / variance);
            offsets[k] = Math.Log(weight / variance) - alpha * alpha * (mean.X * mean.X + mean.Y * mean.Y) / (2 * variance);
            slopes[k] = -0.5 / variance;
        }
        var device = x.Device;
        return x.MatMul(Tensor.From(means, [count, 2], device), transposeB: true)
            + x.Square().Sum(1, keepDims: true) * Tensor.From(slopes, [1, count], device) + Tensor.From(offsets, [1, count], device);
    }

    /// <summary>The mixture of some of the components: the distribution of points that are known to come from one of them.</summary>
    /// <exception cref="ArgumentException">None is chosen, or one is no component.</exception>
    public GaussianMixture Only(params ReadOnlySpan<int> components)
    {
        var chosen = new List<GaussianComponent>();
        foreach (int k in components)
        {
            chosen.Add(k >= 0 && k < _components.Length
                ? _components[k]
                : throw new ArgumentException($"GaussianMixture: there is no component {k}; there are {_components.Length}."));
        }
        return new GaussianMixture([.. chosen]);
    }

    /// <summary>The best possible denoiser, differentiable: for likelihoods and whatever else needs derivatives of it.</summary>
    public Denoiser DifferentiableDenoiser(Processes.ForwardProcess process) => Diffusion.Denoiser.FromFunction(
        (x, t) => DenoiseTensor(x, process.Alpha(t), process.Sigma(t)), process, Parameterisation.X0);

    /// <summary>Integer 0 picks the component, integers 1 and 2 make two normals.</summary>
    public Point2 Point(uint r0, uint r1, uint r2, uint r3)
    {
        int k = 0;
        while (PointSampling.Uniform(r0) >= _cumulative[k])
            k++;
        var (mean, deviation, _) = _components[k];
        var (x, y) = PointSampling.Normals(r1, r2);
        return new Point2(mean.X + deviation * x, mean.Y + deviation * y);
    }

    /// <exception cref="ArgumentException">It is 0.</exception>
    private double Variance(int k, double alpha, double sigma)
    {
        double deviation = alpha * _components[k].StandardDeviation, variance = deviation * deviation + sigma * sigma;
        return variance > 0
            ? variance
            : throw new ArgumentException($"GaussianMixture: component {k} has no width at alpha {alpha}, sigma {sigma}, so there is no density.");
    }

    /// <summary>Fills terms with ln(w_k N(x; alpha mu_k, v_k I)); the answer is the logarithm of their sum.</summary>
    private double LogTerms(Point2 x, double alpha, double sigma, Span<double> terms)
    {
        double largest = double.NegativeInfinity;
        for (int k = 0; k < terms.Length; k++)
        {
            var (mean, _, weight) = _components[k];
            double variance = Variance(k, alpha, sigma);
            double dx = x.X - alpha * mean.X, dy = x.Y - alpha * mean.Y;
            terms[k] = Math.Log(weight / (2 * Math.PI * variance)) - (dx * dx + dy * dy) / (2 * variance);
            largest = Math.Max(largest, terms[k]);
        }
        double sum = 0;
        foreach (double term in terms)
            sum += Math.Exp(term - largest);
        return largest + Math.Log(sum);
    }
}
