namespace RawDiffusion.Diffusion.Samplers;

public static partial class Sampler
{
    /// <summary>
    /// The probability flow solved to a tolerance by <see cref="DormandPrince"/> (Song et al. 2021, section 4.3): as many steps as it takes,
    /// six evaluations each.
    /// </summary>
    /// <param name="x">The state at <paramref name="start"/>.</param>
    /// <param name="start">Usually the end of the process.</param>
    /// <param name="end">A time with noise, since the denoiser is asked there. From it the expected clean sample is one step away.</param>
    /// <param name="denoise">Whether to make that step.</param>
    /// <param name="callback">Is told of every accepted step; its X0 is asked for there, which costs one more evaluation each.</param>
    public static Tensor ProbabilityFlow(
        Denoiser denoiser, Tensor x, double start, double end, OdeTolerance tolerance, bool denoise = true, Action<SamplerProgress>? callback = null)
    {
        if (!(end < start && start <= denoiser.Process.EndTime && denoiser.Process.Sigma(end) > 0))
        {
            throw new ArgumentException(
                $"the probability flow of {denoiser.Process.Name} runs from at most {denoiser.Process.EndTime} down to a time with noise, not from {start} to {end}");
        }
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        var state = DormandPrince.Solve(denoiser.FlowVelocity, x, start, end, tolerance, callback is null ? null : Watch);
        return scope.Keep(denoise ? denoiser.X0(state, end) : state);

        void Watch(int step, double time, Tensor at) => callback(new SamplerProgress(step, 0, time, at, denoiser.X0(at, time)));
    }
}
