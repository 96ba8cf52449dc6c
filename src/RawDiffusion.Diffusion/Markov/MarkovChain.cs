using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Processes;
using RawDiffusion.Diffusion.Samplers;

namespace RawDiffusion.Diffusion.Markov;

/// <summary>
/// What is said of the states of a batch at their steps: a distribution of x_(t-1), which makes it a reverse kernel p(x_(t-1) | x_t), or
/// of x_0, which <see cref="MarkovChain{TDistribution}.Reverse"/> makes one of.
/// </summary>
/// <param name="xt">States, [n, ...].</param>
/// <param name="t">Their steps, Int32 [n], or [1] where all are at the same.</param>
public delegate TDistribution StepModel<TDistribution>(Tensor xt, Tensor t);

/// <summary>
/// Diffusion as Sohl-Dickstein et al. 2015 have it: a Markov chain whose kernel q(x_t | x_(t-1)) erases a little of the data in each of T steps
/// until a stationary distribution is left, and a chain of the same family of kernels, learned, that runs backwards. Nothing in it is
/// Gaussian or continuous: a family needs its marginals and posteriors in closed form, and the rest (the bound, training, sampling) follows.
/// </summary>
/// <typeparam name="TDistribution">The family of the kernels.</typeparam>
public abstract class MarkovChain<TDistribution>
    where TDistribution : IFactorised<TDistribution>
{
    private readonly StepTable _networkTime;

    protected MarkovChain(MarkovSchedule schedule, Backend? device)
    {
        (Schedule, Device) = (schedule, device ?? RawDiffusion.Device.Default);
        // The steps 0 to 999 of a DDPM of 1,000 steps, whatever T is: see ForwardProcess.NetworkTime.
        _networkTime = Table(0, t => 1000.0 * t / schedule.Steps - 1);
    }

    public MarkovSchedule Schedule { get; }

    public Backend Device { get; }

    /// <summary>T.</summary>
    public int Steps => Schedule.Steps;

    /// <summary>The forward kernel q(x_t | x_(t-1)).</summary>
    /// <param name="previous">x_(t-1), [n, ...].</param>
    /// <param name="t">Steps from 1 to T, Int32 [n] or [1].</param>
    public abstract TDistribution Forward(Tensor previous, Tensor t);

    /// <summary>q(x_t | x_0): all steps up to t at once.</summary>
    /// <param name="x0">Data, [n, ...].</param>
    /// <param name="t">Steps from 0 to T, Int32 [n] or [1].</param>
    public abstract TDistribution Marginal(Tensor x0, Tensor t);

    /// <summary>
    /// The posterior q(x_(t-1) | x_t, x_0), averaged over what is believed about x_0; where that is certain (<see cref="Known"/>) it is the
    /// posterior itself.
    /// </summary>
    /// <param name="xt">States, [n, ...].</param>
    /// <param name="x0">Of the same shape.</param>
    /// <param name="t">Steps from 1 to T, Int32 [n] or [1].</param>
    public abstract TDistribution Posterior(Tensor xt, TDistribution x0, Tensor t);

    /// <summary>x_0 itself as a distribution.</summary>
    public abstract TDistribution Known(Tensor x0);

    /// <summary>pi, which the forward kernel leaves as it is, and which sampling starts from.</summary>
    public abstract TDistribution Stationary(Shape shape);

    /// <summary>Looks whether data can be states of this chain. Reads them back from their device.</summary>
    /// <exception cref="ArgumentException">They cannot; the message names a value.</exception>
    public abstract void Check(Tensor x0);

    /// <summary>A step of 0 (the data) to T for all samples of a batch: Int32 [1].</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such step.</exception>
    public Tensor Step(int t) => t >= 0 && t <= Steps ? Tensor.From([t], [1], Device) : throw Schedule.OutOfRange(t, 0);

    /// <summary>Draws a step of 1 to T for each of n samples, as <see cref="DiscreteSchedule.DrawSteps"/> does: Int32 [n].</summary>
    /// <exception cref="ArgumentOutOfRangeException">n is less than 1.</exception>
    public Tensor DrawSteps(int n, Generator generator)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var steps = new int[n];
        DrawSteps(steps, generator);
        return Tensor.From(steps, [n], Device);
    }

    /// <summary>Fills memory with such steps.</summary>
    internal void DrawSteps(Span<int> steps, Generator generator)
    {
        DiscreteSchedule.SpreadSteps(Steps, steps, generator);
        foreach (ref int step in steps)
            step++;
    }

    /// <summary>What a network is told of the steps of n samples: [n], 1000 t / T - 1.</summary>
    public Tensor NetworkTime(Tensor t, int n) => _networkTime.At(t, 1).BroadcastTo([n]);

    /// <summary>
    /// The reverse kernel of a model of x_0: p(x_(t-1) | x_t) = sum over x_0 of q(x_(t-1) | x_t, x_0) p(x_0 | x_t), element by element. What the
    /// model has to say is the same question at every step, and for the exact p(x_0 | x_t) of each element the kernel is the exact
    /// q(x_(t-1) | x_t) of each element: nothing is lost against a model of the kernel itself (D3PM, Austin et al. 2021, equation 4).
    /// </summary>
    public StepModel<TDistribution> Reverse(StepModel<TDistribution> x0) => (xt, t) => Posterior(xt, x0(xt, t), t);

    /// <summary>
    /// The term of the bound that belongs to a step, for every sample, [n], nats: KL(q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t)), and
    /// -ln p(x_0 | x_1) at step 1.
    /// </summary>
    /// <param name="reverse">p(x_(t-1) | x_t) at the states.</param>
    public Tensor Term(Tensor x0, Tensor xt, Tensor t, TDistribution reverse) => F.Where(
        t.To(x0.Device.FloatType).Eq(1), -reverse.LogProbability(x0), TDistribution.Divergence(Posterior(xt, Known(x0), t), reverse));

    /// <summary>Ancestral sampling: from the stationary distribution back through all steps.</summary>
    /// <param name="shape">[n, ...].</param>
    /// <param name="callback">Told the step t that a state is at, T first and 0 last; the state belongs to a memory scope: copy or read what is to stay.</param>
    /// <exception cref="ArgumentException">There are no samples in the shape.</exception>
    /// <exception cref="NotFiniteException">What the model says is not finite; its time is the number t of the step.</exception>
    public Tensor Sample(StepModel<TDistribution> reverse, Shape shape, Generator generator, Action<int, Tensor>? callback = null)
    {
        using var noGrad = new NoGrad();
        var x = Stationary(shape).Sample(generator);
        callback?.Invoke(Steps, x);
        double[] steps = [.. Enumerable.Range(0, Steps + 1).Select(i => (double)(Steps - i))];
        var sample = SamplerWalk.Run(x, steps, callback is null ? null : at => callback((int)at.Time, at.State), (i, state, _) =>
        {
            var kernel = reverse(state, Step(Steps - i));
            // Of its mean it is only looked whether it is finite: a bit is 1 or -1 whatever its probability.
            return new SamplerStep(kernel.Sample(generator), kernel.Mean);
        });
        x.Release();
        return sample;
    }

    /// <summary>A number for every step.</summary>
    private protected StepTable Table(int first, Func<int, double> value) => new(Steps, first, value, Device);

    /// <summary>What a network says of states, after a look at its shape.</summary>
    /// <exception cref="InvalidOperationException">The network answered with another shape.</exception>
    private protected Tensor Ask(DenoisingNetwork network, Tensor xt, Tensor t)
    {
        var output = network(xt, NetworkTime(t, xt.Shape[0]));
        return output.Shape == xt.Shape
            ? output
            : throw new InvalidOperationException($"the network answered with shape {output.Shape} to states of shape {xt.Shape}");
    }
}
