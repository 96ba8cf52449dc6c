using System.Buffers;

namespace RawDiffusion.Ops;

/// <summary>
/// The check that lets kernels trust their indices. It reads them back, so a recording goes without: the same work has run before, and
/// whoever writes other indices into its inputs vouches for them.
/// </summary>
internal static class IndexRange
{
    /// <exception cref="ArgumentOutOfRangeException">An element of <paramref name="index"/> is not in [0, end).</exception>
    public static void Check(string operation, Tensor index, int end)
    {
        if (index.Device.IsRecording)
            return;
        int[] values = ArrayPool<int>.Shared.Rent(Math.Max(1, index.Count));
        var indices = values.AsSpan(0, index.Count);
        index.Device.Download(index.Storage, indices);
        int outside = indices.IndexOfAnyExceptInRange(0, end - 1);
        int found = outside < 0 ? 0 : indices[outside];
        ArrayPool<int>.Shared.Return(values);
        if (outside >= 0)
            throw new ArgumentOutOfRangeException(
                nameof(index), $"{operation}: index {found} (element {outside} of {index.Shape}) is not in [0, {end}).");
    }
}
