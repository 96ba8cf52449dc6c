using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Samplers;

/// <summary>
/// Notices the step of a sampler at which the denoiser's answer or the state stops being finite. A sum is one number that is not finite if
/// any of its terms is not; on a GPU the sums of some steps are gathered before they are read, so that no step waits for it.
/// </summary>
internal sealed class FiniteCheck
{
    private const int StepsOnGpu = 32;

    private readonly double[] _times;
    private readonly Tensor _start;
    private readonly int _steps;
    private readonly List<Tensor> _sums = [];
    private int _first;

    /// <param name="start">The state before the first step.</param>
    /// <param name="times">Step i is from times[i] to times[i + 1].</param>
    public FiniteCheck(Tensor start, double[] times)
    {
        (_start, _times) = (start, times);
        _steps = start.Device.CanRecord ? StepsOnGpu : 1;
    }

    /// <summary>Takes what a step left.</summary>
    /// <param name="scope">That of the step.</param>
    /// <exception cref="NotFiniteException">One of the steps so far left something that is not finite.</exception>
    public void Add(MemoryScope scope, in SamplerStep step)
    {
        // While a whole run is recorded nothing can be read.
        if (_start.Device.IsRecording)
            return;
        _sums.Add(scope.Keep(step.X0.Sum()));
        _sums.Add(scope.Keep(step.State.Sum()));
        if (_sums.Count == 2 * _steps)
            Read();
    }

    /// <summary>Reads what has gathered.</summary>
    /// <inheritdoc cref="Add" path="/exception"/>
    public void Read()
    {
        if (_sums.Count == 0)
            return;
        double[] sums = Tensor.Concat([.. _sums.Select(sum => sum.Reshape(1))]).ToDoubleArray();
        foreach (var sum in _sums)
            sum.Release();
        _sums.Clear();
        for (int i = 0; i < sums.Length; i++)
        {
            if (double.IsFinite(sums[i]))
                continue;
            int step = _first + i / 2;
            throw new NotFiniteException(step + 1, _times[step], What(step, ofAnswer: i % 2 == 0));
        }
        _first += sums.Length / 2;
    }

    private string What(int step, bool ofAnswer)
    {
        if (step == 0 && !double.IsFinite(_start.Sum().Item()))
            return "the state to start from is not finite";
        return ofAnswer
            ? "the denoiser's answer is not finite"
            : FormattableString.Invariant($"the state of time {_times[step + 1]} is not finite, though the denoiser's answer was");
    }
}
