using RawDiffusion.Backends;

namespace RawDiffusion;

/// <summary>
/// A source of random numbers: a seed, a stream and how far it has been used. The same numbers come out on every device.
/// Seed and offset are all there is to save and restore.
/// </summary>
public sealed class Generator(ulong seed, ulong stream = 0, ulong offset = 0)
{
    public ulong Seed { get; } = seed;

    /// <summary>Streams of one seed are independent of each other.</summary>
    public ulong Stream { get; } = stream;

    /// <summary>Number of Philox blocks (of four 32-bit integers) used so far.</summary>
    public ulong Offset { get; set; } = offset;

    /// <summary>Another stream of the same seed, at its beginning.</summary>
    public Generator Fork(ulong stream) => new(Seed, stream);

    /// <summary>Sets <paramref name="elements"/> random numbers aside, for one operation or for the host (<see cref="Philox"/>).</summary>
    public PhiloxState Next(int elements)
    {
        var state = new PhiloxState(Seed, Stream, Offset);
        Offset += PhiloxState.Blocks(elements);
        return state;
    }

    /// <summary>The numbers 0 to <paramref name="count"/> - 1 in random order, each order equally likely (Fisher-Yates).</summary>
    public int[] Permutation(int count)
    {
        var state = Next(count);
        var order = new int[count];
        for (int i = 0; i < count; i++)
            order[i] = i;
        for (int i = count - 1; i > 0; i--)
        {
            int other = (int)Philox.Integer(state, i, (uint)i + 1);
            (order[i], order[other]) = (order[other], order[i]);
        }
        return order;
    }
}
