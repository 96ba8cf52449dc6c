using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Processes;

/// <summary>
/// A log-SNR that is learned: gamma(t) = -log-SNR rises from one given end to the other by
/// g(t) = w t + sum_k a_k sigmoid(b_k t + c_k) with positive w, a_k and b_k, scaled to the ends. It is the network of Kingma et al. 2021,
/// appendix H, with its first layer multiplied into the second. A few numbers in float64 on the host, whatever device the denoiser is on.
/// </summary>
/// <remarks>
/// In continuous time the bound depends on the ends alone (their section 4): what lies between changes only how much its estimate scatters,
/// see <see cref="Objectives.ScheduleVariance"/>. The ends are given, because points in the plane want ever less noise at time 0.
/// </remarks>
public sealed class MonotoneLogSnr : Module
{
    /// <summary>Softplus of it is the share of one hidden unit at first, small beside that of the straight line.</summary>
    private const double FirstHeight = -3;

    /// <param name="first">log-SNR at time 0, the largest. The default is the noise 0.001.</param>
    /// <param name="last">log-SNR at time 1. The default is about where the cosine schedule ends.</param>
    /// <param name="hidden">Number of sigmoids.</param>
    /// <exception cref="ArgumentException">The log-SNR does not fall, or there are no sigmoids.</exception>
    public MonotoneLogSnr(double first = 13.8, double last = -11.05, int hidden = 24)
    {
        if (!(first > last && double.IsFinite(first) && double.IsFinite(last)))
            throw new ArgumentException($"a log-SNR falls with time, not from {first} to {last}");
        ArgumentOutOfRangeException.ThrowIfLessThan(hidden, 1);
        (First, Last) = (first, last);
        // Sigmoids side by side: the k-th rises around (k + 1/2) / hidden, over about twice its share of the times.
        double rate = 2 * hidden;
        Slope = Init.Constant([1], InverseSoftplus(1), Device.Reference);
        Height = Init.Constant([hidden], FirstHeight, Device.Reference);
        Rate = Init.Constant([hidden], InverseSoftplus(rate), Device.Reference);
        Offset = new Parameter(Tensor.From(
            [.. Enumerable.Range(0, hidden).Select(k => -rate * (k + 0.5) / hidden)], [hidden], Device.Reference));
    }

    public double First { get; }

    public double Last { get; }

    /// <summary>w before the softplus that makes it positive, [1].</summary>
    public Parameter Slope { get; }

    /// <summary>a_k before the softplus, [hidden].</summary>
    public Parameter Height { get; }

    /// <summary>b_k before the softplus, [hidden].</summary>
    public Parameter Rate { get; }

    /// <summary>c_k, [hidden].</summary>
    public Parameter Offset { get; }

    /// <summary>gamma and its derivative in time, both [n] and with history.</summary>
    public (Tensor Gamma, Tensor Derivative) At(ReadOnlySpan<double> times)
    {
        int n = times.Length, hidden = Height.Count;
        // The two ends go along: the scale is found from them.
        var t = Tensor.From([.. times, 0, 1], [n + 2, 1], Device.Reference);
        Tensor slope = F.Softplus(Slope), height = F.Softplus(Height).Reshape(1, hidden), rate = F.Softplus(Rate).Reshape(1, hidden);
        var s = (t * rate + Offset.Reshape(1, hidden)).Sigmoid();
        var g = t.Reshape(n + 2) * slope + (s * height).Sum(1);
        var derivative = slope + (s * (1 - s) * height * rate).Sum(1);
        var start = g.Slice(0, n, 1);
        var scale = (First - Last) / (g.Slice(0, n + 1, 1) - start);
        return ((g.Slice(0, 0, n) - start) * scale - First, derivative.Slice(0, 0, n) * scale);
    }

    /// <summary>The process of the weights as they are now; later changes of them do not reach it.</summary>
    public LearnedSchedule Snapshot() => new(
        First, Last, Positive(Slope)[0], Positive(Height), Positive(Rate), Offset.ToDoubleArray());

    private static double[] Positive(Tensor raw) => F.Softplus(raw.Detach()).ToDoubleArray();

    private static double InverseSoftplus(double x) => x + Math.Log(-ExponentialMinusOne.Expm1(-x));
}
