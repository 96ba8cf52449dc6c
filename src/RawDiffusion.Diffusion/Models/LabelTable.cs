using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// Where the labels of a sample stand in a network's table of embeddings: the values of the first kind of label from row 0 on and then a row
/// for "not told", the values of the second kind and another such row, and so on. Of one kind that is the usual table of classes with one
/// row more; a network that is told several adds up their rows.
/// </summary>
public sealed class LabelTable
{
    /// <summary>Stands for a value that the network is not told.</summary>
    public const int NotTold = -1;

    private readonly int[] _sizes, _first;

    /// <param name="sizes">How many values each kind of label has.</param>
    /// <exception cref="ArgumentException">There is no kind, or one without values.</exception>
    public LabelTable(params ReadOnlySpan<int> sizes)
    {
        (_sizes, _first) = (sizes.ToArray(), new int[sizes.Length]);
        foreach (int size in sizes)
        {
            if (size < 1)
                throw new ArgumentException($"LabelTable: a kind of label has at least one value, not {size}.");
        }
        for (int k = 0; k < _first.Length; k++)
            (_first[k], Rows) = (Rows, checked(Rows + _sizes[k] + 1));
        if (Rows == 0)
            throw new ArgumentException("LabelTable: there is no kind of label.");
    }

    /// <summary>Number of kinds, K.</summary>
    public int Kinds => _sizes.Length;

    /// <summary>Rows of the table: all values, and one more for each kind.</summary>
    public int Rows { get; }

    /// <summary>What a network is told.</summary>
    /// <param name="values">n values of each kind, [n * K], those of a sample together; <see cref="NotTold"/> where it is not told.</param>
    /// <returns>Rows of the table, Int32 [n] for one kind and [n, K] for several.</returns>
    /// <exception cref="ArgumentException">There are not K values for each, or one is none of its kind.</exception>
    public Tensor Indices(ReadOnlySpan<int> values, Backend? device = null)
    {
        int[] rows = values.ToArray();
        ToRows(rows);
        int n = values.Length / Kinds;
        return Tensor.From(rows, Kinds == 1 ? [n] : [n, Kinds], device);
    }

    /// <summary>Replaces values by their rows of the table.</summary>
    /// <inheritdoc cref="Indices"/>
    public void ToRows(Span<int> values)
    {
        if (values.Length % Kinds != 0)
            throw new ArgumentException($"LabelTable: {values.Length} values are not {Kinds} for each sample.");
        for (int i = 0; i < values.Length; i++)
        {
            int kind = i % Kinds, value = values[i] == NotTold ? _sizes[kind] : values[i];
            if (value < 0 || value > _sizes[kind] || value == _sizes[kind] && values[i] != NotTold)
                throw new ArgumentException($"LabelTable: label {values[i]} of kind {kind} is not in [0, {_sizes[kind] - 1}].");
            values[i] = _first[kind] + value;
        }
    }

    /// <summary>
    /// Leaves labels out, so that a network learns to do without and can be guided: of one kind each with a chance; of several all of a sample
    /// with this chance, and of the others each one with the same chance again. So the network sees every selection of them.
    /// </summary>
    /// <param name="values">As in <see cref="Indices"/>; they are changed.</param>
    /// <exception cref="ArgumentException">There are not K values for each sample, or the chance is not in [0, 1].</exception>
    public void Drop(Span<int> values, double chance, Generator generator)
    {
        if (values.Length % Kinds != 0 || chance is not (>= 0 and <= 1))
            throw new ArgumentException($"LabelTable: of {Kinds} labels for each sample some are left out by a chance in [0, 1], not of {values.Length} by {chance}.");
        int n = values.Length / Kinds, draws = Kinds == 1 ? 1 : Kinds + 1;
        var drawn = generator.Next(n * draws);
        for (int i = 0; i < values.Length; i++)
        {
            var (sample, kind) = Math.DivRem(i, Kinds);
            // The first number of a sample is for all its labels.
            if (IsDrawn(sample * draws) || draws > 1 && IsDrawn(sample * draws + 1 + kind))
                values[i] = NotTold;
        }

        // As Tensor.Rand makes numbers of [0, 1): of the upper 24 bits.
        bool IsDrawn(int number) => (Philox.Element(drawn, number) >> 8) / (double)(1 << 24) < chance;
    }
}
