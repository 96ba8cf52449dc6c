using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Likelihood;

/// <summary>How the divergence of a flow, the trace of its Jacobian, is found.</summary>
public enum Divergence
{
    /// <summary>One backward pass for each coordinate: exact, for points.</summary>
    Exact,

    /// <summary>v^T J v with v of random signs, drawn once for the whole way (Hutchinson 1990): without bias, one backward pass.</summary>
    Rademacher,

    /// <summary>The same with normal v, which scatters more.</summary>
    Gaussian,
}

/// <summary>The vectors v of an estimated trace v^T J v: without bias where E[v v^T] = I (Hutchinson 1990).</summary>
public static class Hutchinson
{
    /// <summary>Random signs, whose estimates scatter least, or normals.</summary>
    /// <exception cref="ArgumentException">An exact divergence has none.</exception>
    public static Tensor Probe(Divergence kind, Shape shape, Generator generator, Backend? device = null) => kind switch
    {
        Divergence.Rademacher => Tensor.Rand(generator, shape, device: device).Ge(0.5) * 2 - 1,
        Divergence.Gaussian => Tensor.Randn(generator, shape, device),
        _ => throw new ArgumentException($"the {kind} divergence has no probe"),
    };
}

/// <param name="LogLikelihood">ln p(x), [n], nats.</param>
/// <param name="Latent">Where the flow carried x to, at the end of the process.</param>
/// <param name="Evaluations">How often the network was asked.</param>
public sealed record LikelihoodResult(Tensor LogLikelihood, Tensor Latent, int Evaluations);

/// <summary>
/// The exact likelihood of a diffusion model: its probability flow is a continuous normalising flow, along which
/// d ln p(x_t) / dt = -div v(x_t, t) (Chen et al. 2018, instantaneous change of variables; Song et al. 2021, section 4.3 and equation 39).
/// </summary>
public static class FlowLikelihood
{
    /// <param name="x">[n, ...].</param>
    /// <param name="start">A time with a little noise: the density is that of data with the noise sigma / alpha of this time.</param>
    /// <param name="generator">For the estimated divergences.</param>
    /// <exception cref="ArgumentException">The start has no noise, or an estimate has no generator.</exception>
    public static LikelihoodResult Evaluate(
        Denoiser denoiser, Tensor x, double start, OdeTolerance tolerance, Divergence divergence = Divergence.Exact, Generator? generator = null)
    {
        var process = denoiser.Process;
        if (!(start < process.EndTime && process.Sigma(start) > 0))
            throw new ArgumentException($"the likelihood of {process.Name} starts at a time with noise before {process.EndTime}, not at {start}");
        x.ExpectSamples("the likelihood");
        int n = x.Shape[0], size = x.Count / n, before = denoiser.Evaluations;
        using var scope = new MemoryScope();
        var probe = divergence == Divergence.Exact
            ? null
            : Hutchinson.Probe(divergence, x.Shape, generator ?? throw new ArgumentException($"the {divergence} estimate needs a generator"), x.Device);
        // The state is the sample and, in a last column, what has been added to ln p.
        double alpha = process.Alpha(start);
        var state = Tensor.Concat([x.Reshape(n, size) * alpha, Tensor.Zeros([n, 1], x.Device)], axis: 1);
        state = DormandPrince.Solve(Slope, state, start, process.EndTime, tolerance);
        var latent = state.Slice(1, 0, size);
        double deviation = process.PriorStandardDeviation;
        // p(x) = p(alpha x) alpha^size.
        var prior = latent.Square().Sum(1) * (-0.5 / (deviation * deviation)) - size * (0.5 * Math.Log(2 * Math.PI) + Math.Log(deviation) - Math.Log(alpha));
        var result = prior + state.Slice(1, size, 1).Reshape(n);
        return new LikelihoodResult(scope.Keep(result), scope.Keep(latent.Reshape(x.Shape)), denoiser.Evaluations - before);

        Tensor Slope(Tensor at, double t)
        {
            var (velocity, trace) = VelocityAndDivergence(denoiser, at.Slice(1, 0, size).Reshape(x.Shape), t, probe);
            return Tensor.Concat([velocity.Reshape(n, size), trace.Reshape(n, 1)], axis: 1);
        }
    }

    /// <summary>The flow's velocity and its divergence for every sample.</summary>
    /// <param name="probe">v, of the shape of x, or null for the exact divergence.</param>
    internal static (Tensor Velocity, Tensor Divergence) VelocityAndDivergence(Denoiser denoiser, Tensor x, double t, Tensor? probe)
    {
        if (probe is not null)
        {
            var (velocity, product) = Autograd.Vjp(state => denoiser.FlowVelocity(state, t), x, probe);
            return (velocity, (product * probe).SumPerSample());
        }
        var leaf = x.Detach().RequireGrad();
        Tensor output;
        using (new EnableGrad())
            output = denoiser.FlowVelocity(leaf, t);
        return (output.Detach(), Jacobian.Diagonal(output, leaf).SumPerSample());
    }
}
