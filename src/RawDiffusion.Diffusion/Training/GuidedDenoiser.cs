using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Models;
using RawDiffusion.Diffusion.Samplers;
using RawDiffusion.Diffusion.Training.Configuration;

namespace RawDiffusion.Diffusion.Training;

/// <summary>The denoiser of a model that is told labels, guided as a run's settings say. Its networks are recorded where the device can.</summary>
internal sealed class GuidedDenoiser : IDisposable
{
    private readonly List<RecordedNetwork> _networks = [];

    /// <param name="values">
    /// What the samples are told, see <see cref="LabelTable.Indices"/>. For a model that is told nothing: the classes that the guide leads to,
    /// or empty.
    /// </param>
    /// <param name="guide">Leads to the classes; null for none.</param>
    public GuidedDenoiser(DiffusionModel model, int[] values, SamplingConfig sampling, Backend device, ClassifierGuide? guide = null)
    {
        GuidanceInterval? interval = sampling.GuidanceInterval is [var low, var high] ? new(low, high) : null;
        Denoiser = model.Labels is { } table
            ? ClassifierFree(model, table, values, sampling, interval, device)
            : Record((x, times) => model.Forward(x, times, null), model);
        if (guide is null)
            return;
        int kinds = model.Labels?.Kinds ?? 1;
        int[] classes = [.. values.Where((_, i) => i % kinds == 0)];
        Denoiser = Guidance.ByClassifier(Denoiser, guide.Network, Tensor.From(classes, [classes.Length], device), guide.Scale, interval);
    }

    public Denoiser Denoiser { get; }

    public void Dispose() => _networks.ForEach(network => network.Dispose());

    private Denoiser ClassifierFree(
        DiffusionModel model, LabelTable table, int[] values, SamplingConfig sampling, GuidanceInterval? interval, Backend device)
    {
        // A kind that none of the samples is told changes nothing.
        int[] told = [.. Enumerable.Range(0, table.Kinds).Where(kind => Enumerable.Range(0, values.Length / table.Kinds).Any(i => values[i * table.Kinds + kind] != LabelTable.NotTold))];
        double[] scales = [.. told.Select(kind => ScaleOf(model, kind, sampling))];
        if (scales.All(scale => scale == 1))
            return Told(values);
        var terms = told.Select((_, k) => new GuidanceTerm(Told(Only(told[..(k + 1)])), scales[k])).ToArray();
        return Guidance.ClassifierFree(Told(Only([])), terms, interval, sampling.GuidanceRescale);

        Denoiser Told(int[] these)
        {
            var labels = table.Indices(these, device);
            return Record((x, times) => model.Forward(x, times, labels), model);
        }

        int[] Only(int[] kinds) => [.. values.Select((value, i) => kinds.Contains(i % table.Kinds) ? value : LabelTable.NotTold)];
    }

    private static double ScaleOf(DiffusionModel model, int kind, SamplingConfig sampling) =>
        sampling.GuidanceOf is { } scales && scales.TryGetValue(model.LabelKinds[kind].Name, out double scale) ? scale : sampling.Guidance;

    // Of these weights for these samples: what was made of them in another precision is recorded too.
    private Denoiser Record(DenoisingNetwork network, DiffusionModel model)
    {
        var recorded = new RecordedNetwork(network);
        _networks.Add(recorded);
        return model.Denoiser(recorded.Forward);
    }
}
