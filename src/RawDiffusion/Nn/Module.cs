using System.Globalization;
using System.Text;

namespace RawDiffusion.Nn;

/// <summary>
/// A part of a network. Its parameters are found by reflection: every <see cref="Parameter"/> and every module in its fields and
/// properties, and in arrays, lists, dictionaries and tuples of them. Nothing is registered. Other objects are not looked into:
/// what holds parameters is a module. A module lives on the device that it was constructed on.
/// </summary>
/// <example><code>
/// sealed class Block(int width, Generator generator) : Layer
/// {
///     public Linear Linear1 { get; } = new(width, width, generator);     // linear1.weight, linear1.bias
///     public LayerNorm[] Norms { get; } = [new(width), new(width)];      // norms.0.weight, ...
///     public override Tensor Forward(Tensor x) => ...;
/// }
/// </code></example>
public abstract class Module
{
    /// <summary>Whether layers that behave differently in training and evaluation (dropout) are in training; true at first.</summary>
    public bool IsTraining { get; private set; } = true;

    /// <summary>Puts this module and all below it into training (or, with false, evaluation) mode.</summary>
    public void Train(bool training = true)
    {
        foreach (var (_, module) in NamedModules())
            module.IsTraining = training;
    }

    /// <summary>Puts this module and all below it into evaluation mode.</summary>
    public void Eval() => Train(false);

    /// <summary>Every parameter once, in the order of declaration, with the name that PyTorch would give it: <c>blocks.0.conv1.weight</c>.</summary>
    /// <exception cref="InvalidOperationException">Two different parameters have the same name.</exception>
    public IReadOnlyList<NamedParameter> NamedParameters()
    {
        var parameters = new List<NamedParameter>();
        var names = new HashSet<string>();
        foreach (var held in Walk())
        {
            foreach (var (name, value) in held.Children)
            {
                if (value is not Parameter parameter)
                    continue;
                string path = ModuleFields.Join(held.Path, name);
                if (!names.Add(path))
                    throw new InvalidOperationException($"{GetType().Name}: two parameters are both named '{path}'. Give one of them a [Name].");
                parameters.Add(new NamedParameter(path, parameter));
            }
        }
        return parameters;
    }

    /// <summary>Every parameter once, in the order of <see cref="NamedParameters"/>.</summary>
    public IReadOnlyList<Parameter> Parameters()
    {
        var named = NamedParameters();
        var parameters = new Parameter[named.Count];
        for (int i = 0; i < parameters.Length; i++)
            parameters[i] = named[i].Parameter;
        return parameters;
    }

    /// <summary>This module (with the empty name) and every module below it, once each.</summary>
    public IReadOnlyList<(string Name, Module Module)> NamedModules()
    {
        var modules = new List<(string, Module)>();
        foreach (var held in Walk())
            modules.Add((held.Path, held.Module));
        return modules;
    }

    /// <summary>Number of trained values.</summary>
    public long ParameterCount
    {
        get
        {
            long count = 0;
            foreach (var (_, parameter) in NamedParameters())
                count += parameter.Count;
            return count;
        }
    }

    /// <summary>Forgets the gradients of all parameters.</summary>
    public void ZeroGrad()
    {
        foreach (var (_, parameter) in NamedParameters())
            parameter.ZeroGrad();
    }

    /// <summary>Turns gradients for all parameters on or off: <c>RequireGrad(false)</c> freezes the module.</summary>
    public void RequireGrad(bool requiresGrad = true)
    {
        foreach (var (_, parameter) in NamedParameters())
            parameter.RequireGrad(requiresGrad);
    }

    /// <summary>The parameters by name. They share memory with the module and change with it; clone what is to be kept.</summary>
    public IReadOnlyDictionary<string, Tensor> StateDict()
    {
        var state = new Dictionary<string, Tensor>();
        foreach (var (name, parameter) in NamedParameters())
            state.Add(name, parameter.Detach());
        return state;
    }

    /// <summary>Copies values into the parameters, from any device. On an error nothing has been changed.</summary>
    /// <param name="strict">Whether names that are missing from <paramref name="state"/> or unknown to this module are errors.</param>
    /// <exception cref="ArgumentException">The names (when strict), shapes or types do not fit; the message lists which.</exception>
    public void LoadStateDict(IReadOnlyDictionary<string, Tensor> state, bool strict = true)
    {
        var parameters = NamedParameters();
        var report = new StateDictReport(GetType().Name);
        var known = new HashSet<string>();
        foreach (var (name, parameter) in parameters)
        {
            known.Add(name);
            if (!state.TryGetValue(name, out var value))
                report.Missing(name);
            else if (value.Shape != parameter.Shape)
                report.Misfit($"{name}: {value.Shape} does not fit {parameter.Shape}");
            else if (value.DType == DType.Int32)
                report.Misfit($"{name}: Int32 does not fit {parameter.DType}");
        }
        foreach (string name in state.Keys)
        {
            if (!known.Contains(name))
                report.Unexpected(name);
        }
        report.ThrowIfAny(strict);
        foreach (var (name, parameter) in parameters)
        {
            if (state.TryGetValue(name, out var value))
                Write(parameter, value);
        }
    }

    /// <summary>What the module's line in <see cref="ToString"/> says besides its type: <c>2 -> 128, no bias</c>.</summary>
    protected virtual string Describe() => "";

    /// <summary>The module as a tree, one line per module, with the number of parameters.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (var held in Walk())
        {
            if (held.Depth > 0)
                text.Append('\n').Append(' ', 2 * held.Depth).Append(held.Name).Append(": ");
            text.Append(held.Module.GetType().Name);
            if (held.Module.Describe() is { Length: > 0 } description)
                text.Append('(').Append(description).Append(')');
            if (held.Depth == 0)
                text.Append(CultureInfo.InvariantCulture, $", {ParameterCount:N0} parameters");
        }
        return text.ToString();
    }

    private static void Write(Parameter parameter, Tensor value)
    {
        parameter.Device.Copy(value.To(parameter.Device).To(parameter.DType).Storage, parameter.Storage);
        parameter.Storage.Version++;
    }

    /// <summary>All modules depth first, each once, with what they hold; parameters held twice appear once.</summary>
    private List<Held> Walk()
    {
        var found = new List<Held>();
        Visit(this, "", "", 0, found, new HashSet<object>(ReferenceEqualityComparer.Instance));
        return found;
    }

    private static void Visit(Module module, string path, string name, int depth, List<Held> found, HashSet<object> seen)
    {
        if (!seen.Add(module))
            return;
        var children = ModuleFields.Children(module);
        children.RemoveAll(child => child.Value is Parameter && !seen.Add(child.Value));
        found.Add(new Held(module, path, name, depth, children));
        foreach (var (childName, value) in children)
        {
            if (value is Module child)
                Visit(child, ModuleFields.Join(path, childName), childName, depth + 1, found, seen);
        }
    }

    /// <summary>A module, its name from the root and from the module that holds it, and what it holds itself.</summary>
    private readonly record struct Held(Module Module, string Path, string Name, int Depth, List<(string Name, object Value)> Children);
}

/// <summary>A parameter and its dotted name within a module.</summary>
public readonly record struct NamedParameter(string Name, Parameter Parameter);

/// <summary>A module that maps one tensor to one tensor: what <see cref="Sequential"/> chains.</summary>
public abstract class Layer : Module
{
    public abstract Tensor Forward(Tensor x);
}
