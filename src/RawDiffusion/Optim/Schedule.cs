namespace RawDiffusion.Optim;

/// <summary>
/// Learning-rate schedules: a step, counted from 0, to the factor in [0, 1] that the base rate is multiplied with.
/// Warm-up rises in a straight line, (step + 1) / warmup, so that the first step already moves.
/// </summary>
public static class Schedule
{
    /// <summary>1 after the warm-up.</summary>
    public static double Constant(int step, int warmup = 0) => Warmup(step, warmup);

    /// <summary>Falls in a straight line from 1 after the warm-up to <paramref name="final"/> at the last step.</summary>
    /// <param name="steps">Number of steps in all, warm-up included.</param>
    public static double Linear(int step, int steps, int warmup = 0, double final = 0) =>
        Warmup(step, warmup) * (1 - (1 - final) * Progress(step, steps, warmup));

    /// <summary>Falls along half a cosine from 1 after the warm-up to <paramref name="final"/> at the last step (Loshchilov and Hutter 2017).</summary>
    /// <param name="steps">Number of steps in all, warm-up included.</param>
    public static double Cosine(int step, int steps, int warmup = 0, double final = 0) =>
        Warmup(step, warmup) * (final + (1 - final) * 0.5 * (1 + Math.Cos(Math.PI * Progress(step, steps, warmup))));

    private static double Warmup(int step, int warmup) => step < warmup ? (step + 1.0) / warmup : 1;

    /// <summary>0 until the warm-up is over, 1 from the last step on.</summary>
    private static double Progress(int step, int steps, int warmup) =>
        steps - 1 <= warmup ? (step >= warmup && step >= steps - 1 ? 1 : 0) : Math.Clamp((step - warmup) / (double)(steps - 1 - warmup), 0, 1);
}
