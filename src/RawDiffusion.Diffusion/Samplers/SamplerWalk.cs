namespace RawDiffusion.Diffusion.Samplers;

/// <summary>Where a sampler is, after a step.</summary>
/// <param name="Step">Steps done, from 1.</param>
/// <param name="Steps">Steps in all; 0 where the sampler chooses them on its way.</param>
/// <param name="Time">The time that <paramref name="State"/> is at.</param>
/// <param name="State">x at that time. Belongs to the sampler's memory scope, like the other: copy or read what is to stay.</param>
/// <param name="X0">The clean sample that was expected when the step was made.</param>
public readonly record struct SamplerProgress(int Step, int Steps, double Time, Tensor State, Tensor X0);

/// <summary>What a step of a sampler leaves.</summary>
/// <param name="State">The next state.</param>
/// <param name="X0">The clean sample that was expected.</param>
/// <param name="Memory">What the next step needs from this one; null for nothing.</param>
internal readonly record struct SamplerStep(Tensor State, Tensor X0, Tensor? Memory = null);

/// <summary>Makes one step after the other, each in a <see cref="MemoryScope"/> of its own, out of which only the new state and the memory come.</summary>
internal static class SamplerWalk
{
    /// <param name="times">Where the states are: that of step i is times[i + 1].</param>
    /// <param name="step">The step from a state, given its number from 0 and the memory of the step before.</param>
    /// <exception cref="ArgumentException">There are no samples in the state.</exception>
    /// <exception cref="NotFiniteException">The denoiser's answer or the state is not finite; it says at which step.</exception>
    public static Tensor Run(
        Tensor x, double[] times, Action<SamplerProgress>? callback, Func<int, Tensor, Tensor?, SamplerStep> step)
    {
        if (x.Count == 0)
            throw new ArgumentException($"a sampler needs a state of at least one sample, not of shape {x.Shape}");
        using var noGrad = new NoGrad();
        Tensor? memory = null;
        var check = new FiniteCheck(x, times);
        for (int i = 0; i + 1 < times.Length; i++)
        {
            Tensor before = x, now;
            Tensor? remembered = null;
            using (var scope = new MemoryScope())
            {
                var result = step(i, x, memory);
                now = scope.Keep(result.State);
                if (result.Memory is { } next)
                    remembered = scope.Keep(next);
                check.Add(scope, result);
                callback?.Invoke(new SamplerProgress(i + 1, times.Length - 1, times[i + 1], now, result.X0));
            }
            // The first state is the caller's; the ones between are ours and nobody else has them.
            if (i > 0 && before != now)
                before.Release();
            if (memory is not null && memory != now)
                memory.Release();
            (x, memory) = (now, remembered);
        }
        if (memory is not null && memory != x)
            memory.Release();
        check.Read();
        return x;
    }
}
