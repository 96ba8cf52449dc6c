using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Optim;

/// <summary>Where each of a list of parameters lies in a flat storage.</summary>
internal sealed class ArenaLayout
{
    private const string StepKey = "step";

    private readonly NamedParameter[] _parameters;
    private readonly int[] _offsets;

    /// <exception cref="ArgumentException">No parameters, parameters on different devices, or one given twice.</exception>
    public ArenaLayout(NamedParameter[] parameters)
    {
        if (parameters.Length == 0)
            throw new ArgumentException("There are no parameters that require gradients.");
        _parameters = parameters;
        _offsets = new int[parameters.Length];
        var seen = new HashSet<Parameter>(ReferenceEqualityComparer.Instance);
        int length = 0;
        for (int i = 0; i < parameters.Length; i++)
        {
            var (name, parameter) = parameters[i];
            if (!seen.Add(parameter))
                throw new ArgumentException($"Parameter '{name}' is given twice.");
            if (parameter.Device != parameters[0].Parameter.Device)
                throw new ArgumentException(
                    $"Parameter '{name}' is on {parameter.Device.Name}, '{parameters[0].Name}' on {parameters[0].Parameter.Device.Name}; one optimizer serves one device.");
            _offsets[i] = length;
            length = checked(length + (parameter.Count + ParameterArena.Alignment - 1) / ParameterArena.Alignment * ParameterArena.Alignment);
        }
        Length = length;
    }

    /// <summary>Number of elements, gaps included.</summary>
    public int Length { get; }

    /// <summary>The first element of parameter <paramref name="i"/>.</summary>
    public int OffsetOf(int i) => _offsets[i];

    /// <summary>The window of parameter <paramref name="i"/> on a flat storage.</summary>
    public Storage Slice(Storage flat, int i) => flat.Slice(_offsets[i], _parameters[i].Parameter.Count);

    /// <summary>
    /// The number of steps as <c>step</c> and the slices of flat storages, each under <c>prefix.name</c>. They share the memory.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> ExportState(int step, IReadOnlyList<(string Prefix, Storage Flat)> parts)
    {
        var state = new Dictionary<string, Tensor> { [StepKey] = Tensor.From([step], Shape.Scalar, _parameters[0].Parameter.Device) };
        foreach (var (prefix, flat) in parts)
        {
            for (int i = 0; i < _parameters.Length; i++)
                state.Add($"{prefix}.{_parameters[i].Name}", new Tensor(Slice(flat, i), _parameters[i].Parameter.Shape));
        }
        return state;
    }

    /// <summary>
    /// Takes a state apart: <c>step</c> and, for every flat storage, what <see cref="ExportState"/> gave. On an error nothing has been
    /// changed.
    /// </summary>
    /// <returns>The number of steps.</returns>
    /// <exception cref="ArgumentException">Names, shapes or types do not fit; the message lists which.</exception>
    public int ImportState(string owner, IReadOnlyList<(string Prefix, Storage Flat)> parts, IReadOnlyDictionary<string, Tensor> state)
    {
        var report = new StateDictReport(owner);
        var known = new HashSet<string> { StepKey };
        if (!state.TryGetValue(StepKey, out var step))
            report.Missing(StepKey);
        else if (step.Count != 1 || step.DType != DType.Int32)
            report.Misfit($"{StepKey}: {step.DType} {step.Shape} is not one Int32");
        foreach (var (prefix, _) in parts)
        {
            foreach (var (name, parameter) in _parameters)
            {
                string key = $"{prefix}.{name}";
                known.Add(key);
                if (!state.TryGetValue(key, out var value))
                    report.Missing(key);
                else if (value.Shape != parameter.Shape || value.DType == DType.Int32)
                    report.Misfit($"{key}: {value.DType} {value.Shape} does not fit {parameter.DType} {parameter.Shape}");
            }
        }
        foreach (string key in state.Keys)
        {
            if (!known.Contains(key))
                report.Unexpected(key);
        }
        report.ThrowIfAny(strict: true);
        int steps = step!.ToInt32Array()[0];
        if (steps < 0)
            throw new ArgumentException($"The state does not fit {owner}: {StepKey} is {steps}, and nobody has made less than 0 steps.");
        foreach (var (prefix, flat) in parts)
        {
            for (int i = 0; i < _parameters.Length; i++)
                flat.Backend.Copy(state[$"{prefix}.{_parameters[i].Name}"].To(flat.Backend).To(flat.DType).Storage, Slice(flat, i));
        }
        return steps;
    }
}
