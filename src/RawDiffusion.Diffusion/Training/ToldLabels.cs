using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Models;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// What a network is told of the samples of a batch: rows of its table of labels, a share of them left out. All batches of a size share the
/// memory.
/// </summary>
/// <param name="dropout">The chance that labels are left out, see <see cref="LabelTable.Drop"/>.</param>
/// <param name="generator">Draws which.</param>
public sealed class ToldLabels(LabelTable table, double dropout, Generator generator, Backend device)
{
    private int[] _values = [];
    private Tensor? _rows;

    /// <summary>Of the next batch, whose labels lie on the host.</summary>
    /// <returns>As <see cref="LabelTable.Indices"/>; the same tensor with other contents for every batch of a size.</returns>
    public Tensor Of(Batch samples)
    {
        var given = table.Kinds == 1 ? samples.Labels! : samples.Attributes!;
        if (_rows?.Shape != given.Shape)
        {
            _values = new int[given.Count];
            _rows = MemoryScope.KeepForever(Tensor.EmptyInt32(given.Shape, device));
        }
        given.CopyTo(_values);
        table.Drop(_values, dropout, generator);
        table.ToRows(_values);
        _rows.CopyFrom(_values);
        return _rows;
    }
}
