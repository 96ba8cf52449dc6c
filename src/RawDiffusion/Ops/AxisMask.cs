using System.Numerics;

namespace RawDiffusion.Ops;

/// <summary>A set of axes, bit i for axis i.</summary>
internal readonly record struct AxisMask(int Bits)
{
    public static AxisMask All(int rank) => new((1 << rank) - 1);

    /// <summary>The named axes of a shape, all when there are none.</summary>
    /// <exception cref="ArgumentException">An axis does not exist or is named twice.</exception>
    public static AxisMask Of(string operation, Shape shape, ReadOnlySpan<int> axes)
    {
        if (axes.Length == 0)
            return All(shape.Rank);
        int bits = 0;
        foreach (int axis in axes)
        {
            int resolved = axis < 0 ? axis + shape.Rank : axis;
            if ((uint)resolved >= (uint)shape.Rank)
                throw new ArgumentException($"{operation}: axis {axis} does not exist in a tensor of shape {shape}.");
            if ((bits >> resolved & 1) != 0)
                throw new ArgumentException($"{operation}: axis {axis} of a tensor of shape {shape} is named twice.");
            bits |= 1 << resolved;
        }
        return new AxisMask(bits);
    }

    /// <exception cref="ArgumentException">There is nothing along these axes, and the reduction has no value for that.</exception>
    public AxisMask ExpectElements(string operation, Shape shape) => Count(shape, Bits) > 0
        ? this
        : throw new ArgumentException($"{operation}: a tensor of shape {shape} has no elements along the axes that are reduced.");

    /// <summary>
    /// The axes of <paramref name="to"/> along which <paramref name="from"/> is repeated to get there: new ones and those of extent 1.
    /// </summary>
    public static int Broadcast(Shape from, Shape to)
    {
        int added = to.Rank - from.Rank, bits = (1 << added) - 1;
        for (int i = 0; i < from.Rank; i++)
        {
            if (from[i] == 1 && to[i + added] != 1)
                bits |= 1 << (i + added);
        }
        return bits;
    }

    /// <summary>The shape without the axes, or with extent 1 in their place.</summary>
    public static Shape Remove(Shape shape, int bits, bool keepDims)
    {
        Span<int> extents = stackalloc int[shape.Rank];
        int rank = 0;
        for (int i = 0; i < shape.Rank; i++)
        {
            bool removed = (bits >> i & 1) != 0;
            if (!removed || keepDims)
                extents[rank++] = removed ? 1 : shape[i];
        }
        return new Shape(extents[..rank]);
    }

    /// <summary>Number of elements along the axes together.</summary>
    public static int Count(Shape shape, int bits)
    {
        int count = 1;
        for (; bits != 0; bits &= bits - 1)
            count *= shape[BitOperations.TrailingZeroCount(bits)];
        return count;
    }
}
