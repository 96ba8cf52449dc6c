using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Data.Digits;

/// <summary>Takes the integers of a Philox stream one after the other, from a block on.</summary>
internal struct RandomReader(PhiloxState state, ulong block)
{
    private (uint R0, uint R1, uint R2, uint R3) _integers;
    private uint _taken;

    public uint Next()
    {
        if ((_taken & 3) == 0)
            _integers = Philox.Block(state, block + _taken / 4);
        return (_taken++ & 3) switch { 0 => _integers.R0, 1 => _integers.R1, 2 => _integers.R2, _ => _integers.R3 };
    }

    /// <summary>A whole number in [0, count); for counts this small the bias is below 2^-27.</summary>
    public int Below(int count) => (int)((ulong)Next() * (uint)count >> 32);

    public float Between(float low, float high) => low + (high - low) * (Next() * (1f / (1L << 32)));

    /// <summary>A number in (-1, 1), most likely near 0: the sum of two uniform ones. Its standard deviation is 1 / sqrt(6).</summary>
    public float Triangular()
    {
        uint r = Next();
        return ((r >> 16) + (r & 0xFFFF) + 1) * (1f / 65536) - 1;
    }
}
