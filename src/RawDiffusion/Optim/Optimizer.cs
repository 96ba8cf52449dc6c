using RawDiffusion.Backends;
using RawDiffusion.Nn;
using RawDiffusion.Ops;

namespace RawDiffusion.Optim;

/// <summary>
/// Changes parameters along their gradients. On construction all parameters move into one flat storage (see
/// <see cref="ParameterArena"/>), so a step is one call to the device whatever the number of layers, and allocates nothing.
/// </summary>
/// <example><code>
/// optimizer.ZeroGrad();
/// loss.Backward();
/// optimizer.ClipGradNorm(1);
/// optimizer.LearningRate = 1e-3 * Schedule.Cosine(step, 10_000, warmup: 100);
/// optimizer.Step();
/// </code></example>
public abstract class Optimizer
{
    private readonly Storage _norm;
    private double _maxNorm;
    private bool _clip;
    private bool _hasNorm;

    /// <summary>Takes those of the parameters that require gradients now.</summary>
    /// <exception cref="ArgumentException">None does, one is given twice, or they are on different devices.</exception>
    private protected Optimizer(IEnumerable<NamedParameter> parameters, double learningRate)
    {
        Arena = new ParameterArena([.. parameters.Where(p => p.Parameter.RequiresGrad)]);
        _norm = MemoryScope.AllocatePersistent(Arena.Device, Arena.Device.FloatType, 1);
        GradientNorm = new Tensor(_norm, Shape.Scalar);
        LearningRate = learningRate;
    }

    /// <summary>Set it before each step to follow a <see cref="Schedule"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is negative or not finite.</exception>
    public double LearningRate
    {
        get;
        set => field = ExpectNotNegative(value, "learning rate");
    }

    /// <summary>Number of steps taken.</summary>
    public int StepCount { get; internal set; }

    /// <summary>
    /// Where <see cref="ClipGradNorm"/> leaves the norm of all gradients together, before clipping: a scalar on the device, overwritten
    /// by the next call.
    /// </summary>
    public Tensor GradientNorm { get; }

    /// <summary>The norm of all gradients together that <see cref="ClipGradNorm"/> found last, before clipping. Waits for the device.</summary>
    /// <exception cref="InvalidOperationException"><see cref="ClipGradNorm"/> has not been called.</exception>
    public double LastGradientNorm
    {
        get
        {
            if (!_hasNorm)
                throw new InvalidOperationException("The gradient norm is known after ClipGradNorm.");
            Span<double> norm = stackalloc double[1];
            Arena.Device.Download(_norm, norm);
            return norm[0];
        }
    }

    internal ParameterArena Arena { get; }

    /// <summary>Forgets all gradients.</summary>
    public void ZeroGrad() => Arena.ZeroGrad();

    /// <summary>
    /// Has the next <see cref="Step"/> multiply all gradients by min(1, maxNorm / (norm + 1e-6)), norm being the Euclidean norm of
    /// all of them together, as torch.nn.utils.clip_grad_norm_ does. The norm stays on the device: nothing waits for it. Grad
    /// itself is left as it is. Infinity only measures the norm.
    /// </summary>
    public void ClipGradNorm(double maxNorm)
    {
        if (!(maxNorm > 0))
            throw new ArgumentOutOfRangeException(nameof(maxNorm), $"The largest gradient norm must be positive, not {maxNorm}.");
        Arena.GatherGradients();
        var device = Arena.Device;
        device.Reduce(ReduceOp.SumOfSquares, new ReduceGeometry(1, Arena.Layout.Length, 1), Arena.Gradients, _norm);
        device.Unary<Sqrt>(_norm, _norm, 0, 0);
        _maxNorm = maxNorm;
        _clip = !double.IsInfinity(maxNorm);
        _hasNorm = true;
    }

    /// <summary>
    /// One step with the gradients as they are. A parameter without a gradient is treated as if it were zero: momentum and weight
    /// decay act on it.
    /// </summary>
    /// <exception cref="InvalidOperationException">A later optimizer has taken one of the parameters over.</exception>
    public void Step() => Step(null);

    /// <summary>
    /// A step and <see cref="Ema.Update"/> after it, with the same bits. Where the average is of exactly these parameters, Adam does both in
    /// one pass over the memory.
    /// </summary>
    /// <param name="ema">Null: only the step.</param>
    /// <exception cref="InvalidOperationException">As <see cref="Step()"/>, or the averages are swapped into the module.</exception>
    public void Step(Ema? ema)
    {
        ema?.ExpectNotSwapped("before the next update");
        Arena.GatherGradients();
        StepCount++;
        var norm = _clip ? _norm : null;
        if (ema?.AverageOf(Arena) is { } average)
        {
            Update(norm, _maxNorm, average, ema.CurrentDecay);
            ema.StepCount++;
        }
        else
        {
            Update(norm, _maxNorm);
            ema?.Update();
        }
        _clip = false;
        Arena.MarkChanged();
    }

    /// <summary>
    /// All that is needed to go on exactly: the number of steps (<c>step</c>) and the optimizer's averages under the parameters'
    /// names (<c>exp_avg.conv1.weight</c>). The tensors share memory with the optimizer; the learning rate is the caller's.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> StateDict() => Arena.Layout.ExportState(StepCount, States());

    /// <summary>Takes over what <see cref="StateDict"/> gave, from any device. On an error nothing has been changed.</summary>
    /// <exception cref="ArgumentException">Names, shapes or types do not fit; the message lists which.</exception>
    public void LoadStateDict(IReadOnlyDictionary<string, Tensor> state) =>
        StepCount = Arena.Layout.ImportState(GetType().Name, States(), state);

    /// <summary>A hyper-parameter; a wrong one would spoil all weights at once and without a word.</summary>
    private protected static double ExpectNotNegative(double value, string what) => value >= 0 && double.IsFinite(value)
        ? value
        : throw new ArgumentOutOfRangeException(nameof(value), $"The {what} of an optimizer must be finite and not negative, not {value}.");

    /// <summary>Counts a step that a recording is about to make, and gives the numbers of it.</summary>
    internal void BeginReplay(StepScalars scalars)
    {
        StepCount++;
        Describe(scalars);
        Arena.MarkChanged();
    }

    /// <summary>One step over the arena; <see cref="StepCount"/> already counts it.</summary>
    private protected abstract void Update(Storage? gradientNorm, double maxNorm);

    /// <summary>The same, and the average of all values, in the arena's layout, takes the new ones in.</summary>
    private protected virtual void Update(Storage? gradientNorm, double maxNorm, Storage average, double decay)
    {
        Update(gradientNorm, maxNorm);
        Arena.Device.Ema(decay, Arena.Values, average);
    }

    /// <summary>The hyper-parameters of that step.</summary>
    private protected abstract void Describe(StepScalars scalars);

    /// <summary>The optimizer's own storages, in the arena's layout, with their names in a state.</summary>
    private protected abstract IReadOnlyList<(string Name, Storage Storage)> States();
}
