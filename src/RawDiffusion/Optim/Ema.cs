using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Optim;

/// <summary>
/// An exponential moving average of a module's parameters: average = d average + (1 - d) parameter after every step, with
/// d = min(decay, (1 + step) / (10 + step)), step counted from 0, so that early averages are not dominated by the initial values.
/// It starts as a copy of the parameters.
/// </summary>
/// <example><code>
/// optimizer.Step(ema); // or optimizer.Step(); ema.Update();
/// using (ema.Use())
///     Sample(model);
/// </code></example>
public sealed class Ema
{
    private readonly NamedParameter[] _parameters;
    private readonly ArenaLayout _layout;
    private readonly Backend _device;
    private readonly Storage _average;
    private readonly Storage[] _slices;
    private Storage? _scratch;
    private ParameterArena? _arena;

    /// <param name="warmup">Whether d grows from 0.1 towards <paramref name="decay"/> as stated; otherwise it is <paramref name="decay"/>.</param>
    /// <exception cref="ArgumentException">The module has no parameters, or on several devices.</exception>
    public Ema(Module module, double decay = 0.9999, bool warmup = true)
    {
        if (decay is not (>= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(decay), $"The decay of an average must lie in [0, 1], not {decay}.");
        (Decay, Warmup) = (decay, warmup);
        _parameters = [.. module.NamedParameters()];
        _layout = new ArenaLayout(_parameters);
        _device = _parameters[0].Parameter.Device;
        _average = NewStorage();
        _slices = new Storage[_parameters.Length];
        for (int i = 0; i < _slices.Length; i++)
        {
            _slices[i] = _layout.Slice(_average, i);
            _device.Copy(_parameters[i].Parameter.Storage, _slices[i]);
        }
    }

    public double Decay { get; }

    public bool Warmup { get; }

    /// <summary>Number of updates so far.</summary>
    public int StepCount { get; internal set; }

    /// <summary>Whether the module holds the averages at the moment and this object the trained values.</summary>
    public bool IsSwapped { get; private set; }

    /// <summary>The decay that the next update uses.</summary>
    public double CurrentDecay => Warmup ? Math.Min(Decay, (1.0 + StepCount) / (10.0 + StepCount)) : Decay;

    /// <summary>Takes the parameters' present values into the average.</summary>
    /// <exception cref="InvalidOperationException">The averages are swapped into the module.</exception>
    public void Update()
    {
        ExpectNotSwapped("before the next update");
        double decay = CurrentDecay;
        if (SharedArena() is { } arena)
        {
            _device.Ema(decay, arena.Values, _average);
        }
        else
        {
            for (int i = 0; i < _parameters.Length; i++)
                _device.Ema(decay, _parameters[i].Parameter.Storage, _slices[i]);
        }
        StepCount++;
    }

    /// <summary>Counts an update that a recording is about to make, and gives the numbers of it.</summary>
    internal void BeginReplay(StepScalars scalars)
    {
        ExpectNotSwapped("before the next update");
        scalars.EmaDecay = CurrentDecay;
        StepCount++;
    }

    /// <summary>The averages in the layout of an arena; null where its parameters are others or in another order.</summary>
    internal Storage? AverageIn(ParameterArena arena) => arena.Holds(_parameters) ? _average : null;

    /// <summary>Copies the averages into another module of the same kind, on any device.</summary>
    /// <exception cref="ArgumentException">Its parameters have other names or shapes.</exception>
    public void CopyTo(Module module)
    {
        var averages = new Dictionary<string, Tensor>();
        for (int i = 0; i < _parameters.Length; i++)
            averages.Add(_parameters[i].Name, new Tensor(_slices[i], _parameters[i].Parameter.Shape));
        module.LoadStateDict(averages);
    }

    /// <summary>Exchanges the parameters' values and the averages; a second call undoes it.</summary>
    public void Swap()
    {
        _scratch ??= NewStorage();
        for (int i = 0; i < _parameters.Length; i++)
        {
            var values = _parameters[i].Parameter.Storage;
            var scratch = _layout.Slice(_scratch, i);
            _device.Copy(values, scratch);
            _device.Copy(_slices[i], values);
            _device.Copy(scratch, _slices[i]);
            values.Version++;
        }
        IsSwapped = !IsSwapped;
    }

    /// <summary>Puts the averages into the module until the returned value is disposed.</summary>
    public Swapped Use()
    {
        if (IsSwapped)
            throw new InvalidOperationException("The averages are in the module already.");
        Swap();
        return new Swapped(this);
    }

    /// <summary>Number of updates (<c>step</c>) and the averages (<c>ema.conv1.weight</c>), which share memory with this object.</summary>
    /// <exception cref="InvalidOperationException">The averages are swapped into the module.</exception>
    public IReadOnlyDictionary<string, Tensor> StateDict()
    {
        ExpectNotSwapped("before saving");
        return _layout.ExportState(StepCount, [("ema", _average)]);
    }

    /// <summary>Takes over what <see cref="StateDict"/> gave, from any device. On an error nothing has been changed.</summary>
    /// <exception cref="ArgumentException">Names, shapes or types do not fit; the message lists which.</exception>
    public void LoadStateDict(IReadOnlyDictionary<string, Tensor> state)
    {
        ExpectNotSwapped("before loading");
        StepCount = _layout.ImportState(nameof(Ema), [("ema", _average)], state);
    }

    /// <summary>The averages where they are of exactly the parameters of an arena, in its layout; else null.</summary>
    internal Storage? AverageOf(ParameterArena arena) => ReferenceEquals(SharedArena(), arena) ? _average : null;

    /// <exception cref="InvalidOperationException">The averages are swapped into the module.</exception>
    internal void ExpectNotSwapped(string when)
    {
        if (IsSwapped)
            throw new InvalidOperationException($"The averages are in the module at the moment; swap them back {when}.");
    }

    private Storage NewStorage()
    {
        var storage = MemoryScope.AllocatePersistent(_device, _device.FloatType, _layout.Length);
        _device.Fill(storage, 0);
        return storage;
    }

    /// <summary>The arena that holds exactly these parameters in this order, if there is one: then an update is one call.</summary>
    private ParameterArena? SharedArena()
    {
        if (_arena is null || !_arena.Holds(_parameters))
            _arena = ParameterArena.Of(_parameters[0].Parameter) is { } arena && arena.Holds(_parameters) ? arena : null;
        return _arena;
    }

    /// <summary>Swaps back when disposed.</summary>
    public readonly struct Swapped : IDisposable
    {
        private readonly Ema _ema;

        internal Swapped(Ema ema) => _ema = ema;

        public void Dispose()
        {
            if (_ema.IsSwapped)
                _ema.Swap();
        }
    }
}
