using RawDiffusion.Backends;

namespace RawDiffusion;

/// <summary>
/// A table that stays on a device and of which the host takes rows again and again, such as all images of a data set: an index for each row
/// is all that is sent. What <see cref="F.Embedding"/> does, without reading indices back and, once warm, without allocating.
/// </summary>
/// <param name="table">[rows, ...].</param>
public sealed class RowTable(Tensor table)
{
    private readonly int _size = table.Count / Math.Max(1, table.Shape[0]);
    private Tensor? _index;

    /// <summary>Replaces the contents of <paramref name="rows"/> by the rows of these indices.</summary>
    /// <param name="rows">[n, ...], on the device of the table.</param>
    /// <param name="indices">n of them; any may repeat.</param>
    /// <exception cref="ArgumentException">The rows do not fit the table.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such row.</exception>
    public void CopyTo(Tensor rows, ReadOnlySpan<int> indices)
    {
        int count = table.Shape[0], outside = indices.IndexOfAnyExceptInRange(0, count - 1);
        if (outside >= 0)
            throw new ArgumentOutOfRangeException(nameof(indices), $"rowTable: there is no row {indices[outside]} in a table of {count}.");
        Tensor.ExpectSameDevice("rowTable", table, rows);
        Tensor.ExpectSameType("rowTable", table, rows);
        if (rows.Count != (long)indices.Length * _size)
            throw new ArgumentException($"rowTable: {indices.Length} rows of a table {table.Shape} do not fill {rows.Shape}.");
        if (_index?.Count != indices.Length)
            _index = MemoryScope.KeepForever(Tensor.EmptyInt32([indices.Length], table.Device));
        _index.CopyFrom(indices);
        table.Device.Embedding(new GatherGeometry(1, count, _size, indices.Length), table.Storage, _index.Storage, rows.Storage);
        rows.MarkChanged();
    }
}
