using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Training;

/// <summary>What samples are asked to be: some labels fixed, some not told, the others different from sample to sample.</summary>
internal sealed class WantedLabels
{
    /// <summary>The word for a label that the network is not told.</summary>
    public const string Any = "any";

    private readonly IReadOnlyList<LabelKind> _kinds;
    private readonly int?[] _fixed;

    /// <param name="kinds">What the network can be told, the class first.</param>
    /// <param name="label">The class of all samples; null where it is not fixed, or fixed among the attributes.</param>
    /// <param name="attributes">By the name of a label one of its values, or <see cref="Any"/>.</param>
    /// <exception cref="ConfigException">A label or a value is not known; the message lists those there are.</exception>
    public WantedLabels(IReadOnlyList<LabelKind> kinds, int? label, IReadOnlyDictionary<string, string>? attributes)
    {
        (_kinds, _fixed) = (kinds, new int?[kinds.Count]);
        int classes = kinds.Count == 0 ? 0 : kinds[0].Values.Count;
        if (label is { } wanted && (wanted < 0 || wanted >= classes))
        {
            throw new ConfigException(
                "label", classes == 0 ? " cannot be asked for: the model was trained without classes" : $" must be in [0, {classes - 1}], not {wanted}");
        }
        foreach (var (name, value) in attributes ?? new Dictionary<string, string>())
        {
            int kind = kinds.ToList().FindIndex(k => k.Name == name);
            if (kind < 0)
            {
                string told = kinds.Count == 0 ? "the model was trained without classes" : $"the model is told: {string.Join(", ", kinds.Select(k => k.Name))}";
                throw new ConfigException("attribute", $" {FileFormatException.Quote(name)} cannot be asked for: {told}");
            }
            int number = kinds[kind].Values.ToList().IndexOf(value);
            if (number < 0 && value != Any)
                throw new ConfigException("attribute", $" {name} is none of {string.Join(", ", kinds[kind].Values)} or {Any}: {FileFormatException.Quote(value)}");
            _fixed[kind] = value == Any ? LabelTable.NotTold : number;
        }
        if (label is not null && _fixed[0] is not null)
            throw new ConfigException("label", $" and the attribute {kinds[0].Name} are the same; give one of them");
        if (label is not null)
            _fixed[0] = label;
    }

    /// <summary>
    /// The labels of samples 0, 1, ...: classes take turns, so that pictures have a column for each; other labels are drawn, always alike, so
    /// that in the end all go with all.
    /// </summary>
    /// <returns>[count * kinds], those of a sample together.</returns>
    public int[] Of(int count)
    {
        int[] values = new int[count * _kinds.Count];
        for (int k = 0; k < _kinds.Count; k++)
        {
            int size = _kinds[k].Values.Count;
            int[]? drawn = k == 0 || _fixed[k] is not null
                ? null
                : Tensor.RandInt(new Generator(0, RandomStreams.Attributes + (ulong)k), 0, size, [count], Device.Cpu).ToInt32Array();
            for (int i = 0; i < count; i++)
                values[i * _kinds.Count + k] = _fixed[k] ?? drawn?[i] ?? i % size;
        }
        return values;
    }
}
