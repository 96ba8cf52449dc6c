namespace RawDiffusion.Diffusion.Training;

/// <summary>A training whose loss, gradient or weights are no longer finite. The message names the step and, where known, the operation.</summary>
public sealed class DivergedException : ArithmeticException
{
    /// <param name="step">The step that was being made, from 1.</param>
    public DivergedException(int step, string message, Exception? inner = null)
        : base($"step {step}: {message}", inner) => Step = step;

    /// <summary>The same with a remark.</summary>
    public DivergedException(DivergedException inner, string remark)
        : base($"{inner.Message}; {remark}", inner) => Step = inner.Step;

    public int Step { get; }
}
