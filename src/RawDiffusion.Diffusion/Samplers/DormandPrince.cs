namespace RawDiffusion.Diffusion.Samplers;

/// <summary>How accurate an adaptive solver is to be.</summary>
/// <param name="Relative">Allowed error of a step beside the size of the state.</param>
/// <param name="Absolute">Allowed error where the state is near 0.</param>
/// <param name="MaxSteps">Steps, refused ones included, after which it gives up.</param>
public readonly record struct OdeTolerance(double Relative = 1e-5, double Absolute = 1e-5, int MaxSteps = 10_000)
{
    public OdeTolerance()
        : this(1e-5)
    {
    }
}

/// <summary>
/// The embedded pair of orders 5 and 4 of Dormand and Prince 1980, whose last slope is the first of the next step, with the step size
/// chosen from the difference of both (Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, II.4).
/// </summary>
public static class DormandPrince
{
    private const double Safety = 0.9, LeastFactor = 0.2, LargestFactor = 10;

    private static readonly double[] s_nodes = [0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1];

    // Row i: how the slopes before make the state at which slope i is taken. The last row is the solution of order 5.
    private static readonly double[][] s_rows =
    [
        [],
        [1.0 / 5],
        [3.0 / 40, 9.0 / 40],
        [44.0 / 45, -56.0 / 15, 32.0 / 9],
        [19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729],
        [9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656],
        [35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84],
    ];

    // The solution of order 5 less that of order 4.
    private static readonly double[] s_error =
        [71.0 / 57600, 0, -71.0 / 16695, 71.0 / 1920, -17253.0 / 339200, 22.0 / 525, -1.0 / 40];

    /// <summary>Solves dy/dt = slope(y, t) from one time to another, in either direction.</summary>
    /// <param name="y">The state at <paramref name="start"/>, any shape; it is left alone.</param>
    /// <param name="accepted">Is told of every accepted step: its number from 1, its time and state, which it must not keep.</param>
    /// <returns>The state at <paramref name="end"/>.</returns>
    /// <exception cref="ArgumentException">The tolerance allows no error or no step, a time is not finite, or the state is empty.</exception>
    /// <exception cref="InvalidOperationException">The steps are used up or have become too small; the message says where.</exception>
    /// <exception cref="NotFiniteException">A slope is not finite, or the state is not.</exception>
    public static Tensor Solve(
        Func<Tensor, double, Tensor> slope, Tensor y, double start, double end, OdeTolerance tolerance, Action<int, double, Tensor>? accepted = null)
    {
        if (!(tolerance.Relative > 0 && tolerance.Absolute > 0 && double.IsFinite(tolerance.Relative + tolerance.Absolute)))
            throw new ArgumentException($"an adaptive solver needs positive tolerances, not {tolerance.Relative} and {tolerance.Absolute}");
        if (tolerance.MaxSteps < 1)
            throw new ArgumentException($"an adaptive solver needs at least 1 step, not {tolerance.MaxSteps}");
        if (!double.IsFinite(start) || !double.IsFinite(end))
            throw new ArgumentException($"an adaptive solver goes from one finite time to another, not from {start} to {end}");
        if (y.Count == 0)
            throw new ArgumentException($"an adaptive solver needs a state of at least one number, not of shape {y.Shape}");
        using var noGrad = new NoGrad();
        using var whole = new MemoryScope();
        double direction = Math.Sign(end - start), t = start;
        var state = y;
        var first = slope(state, t);
        double h = FirstStep(state, first, Math.Abs(end - start), tolerance);
        int steps = 0;
        for (int tried = 0; t != end; tried++)
        {
            if (tried == tolerance.MaxSteps)
                throw new InvalidOperationException($"the solver made {tolerance.MaxSteps} steps and came from time {start} to {t}, not to {end}");
            h = Math.Min(h, Math.Abs(end - t));
            if (!(t + direction * h * 0.1 != t))
                throw new InvalidOperationException($"the step became too small at time {t}: {h}");
            using var scope = new MemoryScope();
            var (next, last, error) = Step(slope, state, first, t, direction * h, tolerance);
            if (double.IsNaN(error))
                throw new NotFiniteException(tried + 1, t, "the slope of the flow is not finite");
            double factor = error == 0 ? LargestFactor : Math.Clamp(Safety * Math.Pow(error, -0.2), LeastFactor, LargestFactor);
            if (error <= 1)
            {
                // The states between live in the outer scope and go back early.
                var (before, slopeBefore) = (state, first);
                (state, first) = (scope.Keep(next), scope.Keep(last));
                if (before != y)
                    before.Release();
                slopeBefore.Release();
                t = h == Math.Abs(end - t) ? end : t + direction * h;
                accepted?.Invoke(++steps, t, state);
            }
            h *= factor;
        }
        return whole.Keep(state == y ? y.Clone() : state);
    }

    /// <returns>The state after a step, the slope there, and the error in parts of what is allowed (root mean square).</returns>
    private static (Tensor Next, Tensor Slope, double Error) Step(
        Func<Tensor, double, Tensor> slope, Tensor y, Tensor first, double t, double h, OdeTolerance tolerance)
    {
        var slopes = new Tensor[s_rows.Length];
        slopes[0] = first;
        Tensor next = y;
        for (int i = 1; i < slopes.Length; i++)
        {
            next = y + Combine(slopes, s_rows[i]) * h;
            slopes[i] = slope(next, t + s_nodes[i] * h);
        }
        var error = Combine(slopes, s_error) * h;
        var allowed = F.Maximum(y.Abs(), next.Abs()) * tolerance.Relative + tolerance.Absolute;
        return (next, slopes[^1], Math.Sqrt((error / allowed).Square().Mean().Item()));
    }

    private static Tensor Combine(Tensor[] slopes, double[] weights)
    {
        Tensor? sum = null;
        for (int i = 0; i < weights.Length; i++)
        {
            if (weights[i] == 0)
                continue;
            var term = slopes[i] * weights[i];
            sum = sum is null ? term : sum + term;
        }
        return sum!;
    }

    /// <summary>A step whose Euler part would change the state by a hundredth of its size.</summary>
    private static double FirstStep(Tensor y, Tensor slope, double distance, OdeTolerance tolerance)
    {
        double size = Math.Sqrt(y.Square().Mean().Item()) + tolerance.Absolute, speed = Math.Sqrt(slope.Square().Mean().Item());
        return speed > 0 ? Math.Min(distance, 0.01 * size / speed) : distance;
    }
}
