using System.Runtime.CompilerServices;
using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Optim;

/// <summary>
/// Moves parameters into one flat storage and their gradients into another, so that an optimizer step is one call over the whole
/// model. Every parameter begins at a multiple of <see cref="Alignment"/> elements; the gaps hold zeros.
/// </summary>
internal sealed class ParameterArena
{
    /// <summary>Elements that a slice is aligned to: 64 bytes of float32, a cache line and the widest vector.</summary>
    public const int Alignment = 16;

    private static readonly ConditionalWeakTable<Parameter, ParameterArena> s_arenas = [];

    private readonly NamedParameter[] _parameters;
    private readonly Storage[] _values, _gradients;

    /// <exception cref="ArgumentException">No parameters, parameters on different devices, or one given twice.</exception>
    public ParameterArena(IReadOnlyList<NamedParameter> parameters)
    {
        _parameters = [.. parameters];
        Layout = new ArenaLayout(_parameters);
        Device = _parameters[0].Parameter.Device;
        Values = NewStorage();
        Gradients = NewStorage();
        _values = new Storage[_parameters.Length];
        _gradients = new Storage[_parameters.Length];
        for (int i = 0; i < _parameters.Length; i++)
        {
            var parameter = _parameters[i].Parameter;
            _values[i] = Layout.Slice(Values, i);
            _gradients[i] = Layout.Slice(Gradients, i);
            parameter.Rebase(_values[i], _gradients[i]);
            s_arenas.AddOrUpdate(parameter, this);
        }
    }

    public Backend Device { get; }

    public ArenaLayout Layout { get; }

    public IReadOnlyList<NamedParameter> Parameters => _parameters;

    /// <summary>The values of all parameters.</summary>
    public Storage Values { get; }

    /// <summary>The gradients of all parameters; complete after <see cref="GatherGradients"/>.</summary>
    public Storage Gradients { get; }

    /// <summary>The arena that a parameter lies in, if any.</summary>
    public static ParameterArena? Of(Parameter parameter) => s_arenas.TryGetValue(parameter, out var arena) ? arena : null;

    /// <summary>Whether exactly these parameters, in this order, lie here.</summary>
    public bool Holds(NamedParameter[] parameters)
    {
        if (parameters.Length != _parameters.Length)
            return false;
        for (int i = 0; i < parameters.Length; i++)
        {
            if (!ReferenceEquals(parameters[i].Parameter.Storage, _values[i]))
                return false;
        }
        return true;
    }

    /// <summary>Where a parameter's values begin in <see cref="Values"/>.</summary>
    /// <exception cref="ArgumentException">It does not lie here.</exception>
    public int OffsetOf(Parameter parameter)
    {
        int i = Array.FindIndex(_parameters, named => ReferenceEquals(named.Parameter, parameter));
        return i >= 0 ? Layout.OffsetOf(i) : throw new ArgumentException("The parameter belongs to another optimizer.");
    }

    /// <summary>A persistent storage of zeros in this layout.</summary>
    public Storage NewStorage()
    {
        var storage = MemoryScope.AllocatePersistent(Device, Device.FloatType, Layout.Length);
        Device.Fill(storage, 0);
        return storage;
    }

    /// <summary>
    /// Makes <see cref="Gradients"/> say what the parameters' Grad say. A parameter without a gradient counts as zero: its slice
    /// still holds what an earlier step left there. One recorded by createGraph lives elsewhere and is copied in.
    /// </summary>
    /// <exception cref="InvalidOperationException">A parameter has been moved to another arena by a later optimizer.</exception>
    public void GatherGradients()
    {
        for (int i = 0; i < _parameters.Length; i++)
        {
            var parameter = _parameters[i].Parameter;
            if (!ReferenceEquals(parameter.Storage, _values[i]))
                throw new InvalidOperationException(
                    $"Parameter '{_parameters[i].Name}' was given to another optimizer after this one; only the latest can change it.");
            if (parameter.Grad is not { } gradient)
                Device.Fill(_gradients[i], 0);
            else if (!ReferenceEquals(gradient.Storage, _gradients[i]))
                Device.Copy(gradient.Storage, _gradients[i]);
        }
    }

    public void ZeroGrad()
    {
        foreach (var (_, parameter) in _parameters)
            parameter.ZeroGrad();
    }

    /// <summary>Tells autograd that all values have been changed in place.</summary>
    public void MarkChanged()
    {
        foreach (var storage in _values)
            storage.Version++;
    }
}
