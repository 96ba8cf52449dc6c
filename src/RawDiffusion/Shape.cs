using System.Collections;
using System.Runtime.CompilerServices;

namespace RawDiffusion;

/// <summary>
/// The extent of a tensor along each axis, row-major, last axis fastest. Held inline (no array), so making one allocates
/// nothing. Writable as a collection expression: <c>Tensor.Zeros([64, 28, 28, 1])</c>. A scalar has rank 0.
/// </summary>
[CollectionBuilder(typeof(Shape), nameof(Create))]
public readonly struct Shape : IEquatable<Shape>, IEnumerable<int>
{
    /// <summary>The largest rank a tensor can have.</summary>
    public const int MaxRank = 6;

    [InlineArray(MaxRank)]
    private struct Extents
    {
        private int _first;
    }

    private readonly Extents _extents;

    /// <exception cref="ArgumentException">More than <see cref="MaxRank"/> axes, a negative extent, or 2^31 elements or more.</exception>
    public Shape(params ReadOnlySpan<int> extents)
    {
        if (extents.Length > MaxRank)
            throw new ArgumentException($"A tensor has at most {MaxRank} axes, not {extents.Length}.");
        long count = 1;
        for (int i = 0; i < extents.Length; i++)
        {
            if (extents[i] < 0)
                throw new ArgumentException($"Axis {i} has the negative extent {extents[i]}.");
            _extents[i] = extents[i];
            count *= extents[i];
            if (count > int.MaxValue)
                throw new ArgumentException($"A tensor has fewer than 2^31 elements; [{string.Join(", ", extents.ToArray())}] has more.");
        }
        Rank = extents.Length;
        Count = (int)count;
    }

    public static Shape Create(ReadOnlySpan<int> extents) => new(extents);

    public static readonly Shape Scalar = new();

    private static int ScalarCount => 1;

    /// <summary>Number of axes.</summary>
    public int Rank { get; }

    /// <summary>Number of elements: the product of the extents, 1 for a scalar.</summary>
    public int Count { get => Rank == 0 ? ScalarCount : field; }

    /// <summary>Extent of an axis; a negative axis counts from the last, so -1 is the last.</summary>
    public int this[int axis] => _extents[Axis(axis)];

    /// <summary>Extent of an axis; <c>^1</c> is the last.</summary>
    public int this[Index axis] => _extents[Axis(axis.GetOffset(Rank))];

    /// <summary>The axis as a number from 0 to <see cref="Rank"/> - 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The tensor has no such axis.</exception>
    public int Axis(int axis)
    {
        int resolved = axis < 0 ? axis + Rank : axis;
        if ((uint)resolved >= (uint)Rank)
            throw new ArgumentOutOfRangeException(nameof(axis), $"Axis {axis} does not exist in a tensor of shape {this}.");
        return resolved;
    }

    /// <summary>Product of the extents of the axes from <paramref name="start"/> up to, not including, <paramref name="end"/>.</summary>
    public int Product(int start, int end)
    {
        int product = 1;
        for (int i = start; i < end; i++)
            product *= _extents[i];
        return product;
    }

    /// <summary>This shape with one extent replaced.</summary>
    public Shape With(int axis, int extent)
    {
        Span<int> extents = stackalloc int[Rank];
        CopyTo(extents);
        extents[Axis(axis)] = extent;
        return new Shape(extents);
    }

    /// <summary>This shape behind one more axis: <c>SampleShape.Prepend(n)</c> is the shape of a batch.</summary>
    public Shape Prepend(int extent)
    {
        Span<int> extents = stackalloc int[Rank + 1];
        CopyTo(extents[1..]);
        extents[0] = extent;
        return new Shape(extents);
    }

    public void CopyTo(Span<int> extents)
    {
        for (int i = 0; i < Rank; i++)
            extents[i] = _extents[i];
    }

    public int[] ToArray()
    {
        var extents = new int[Rank];
        CopyTo(extents);
        return extents;
    }

    /// <summary>The shape that two operands broadcast to, by NumPy's rule: align at the last axis; extents agree or one is 1.</summary>
    /// <exception cref="ArgumentException">The shapes do not broadcast; the message names both and the operation.</exception>
    public static Shape Broadcast(Shape a, Shape b, string operation)
    {
        if (a == b)
            return a;
        int rank = Math.Max(a.Rank, b.Rank);
        Span<int> extents = stackalloc int[rank];
        for (int i = 0; i < rank; i++)
        {
            int x = i < rank - a.Rank ? 1 : a._extents[i - (rank - a.Rank)];
            int y = i < rank - b.Rank ? 1 : b._extents[i - (rank - b.Rank)];
            if (x != y && x != 1 && y != 1)
                throw new ArgumentException($"{operation}: shapes {a} and {b} do not broadcast ({x} against {y}).");
            extents[i] = x == 1 ? y : x;
        }
        return new Shape(extents);
    }

    public bool Equals(Shape other)
    {
        if (Rank != other.Rank)
            return false;
        for (int i = 0; i < Rank; i++)
        {
            if (_extents[i] != other._extents[i])
                return false;
        }
        return true;
    }

    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        for (int i = 0; i < Rank; i++)
            hash.Add(_extents[i]);
        return hash.ToHashCode();
    }

    public static bool operator ==(Shape a, Shape b) => a.Equals(b);

    public static bool operator !=(Shape a, Shape b) => !a.Equals(b);

    public IEnumerator<int> GetEnumerator() => ((IEnumerable<int>)ToArray()).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>For example <c>[64, 28, 28, 1]</c>; a scalar is <c>[]</c>.</summary>
    public override string ToString() => $"[{string.Join(", ", ToArray())}]";
}
