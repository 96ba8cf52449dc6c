using RawDiffusion.Backends;
using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

public unsafe class PhiloxTests
{
    /// <summary>The known answers that the authors publish with Random123 (kat_vectors, philox4x32 with 10 rounds).</summary>
    [Theory]
    [InlineData(0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [InlineData(0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [InlineData(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void Known_answers(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint r0, uint r1, uint r2, uint r3)
    {
        Assert.Equal((r0, r1, r2, r3), Philox.Rounds(c0, c1, c2, c3, k0, k1));
        var state = new PhiloxState((ulong)k1 << 32 | k0, (ulong)c3 << 32 | c2, (ulong)c1 << 32 | c0);
        Assert.Equal((r0, r1, r2, r3), Philox.Block(state, 0));
        Assert.Equal([r0, r1, r2, r3], Vectorised(state, 0, 8)[..4]);
        for (int i = 0; i < 4; i++)
            Assert.Equal(new[] { r0, r1, r2, r3 }[i], Philox.Element(state, i));
    }

    /// <summary>The second state carries from the low to the high counter word inside a group of blocks, the third wraps around.</summary>
    [Theory]
    [InlineData(1, 0, 0)]
    [InlineData(0x0123456789abcdef, 3, 0xfffffffaul)]
    [InlineData(ulong.MaxValue, 0xfedcba9876543210, ulong.MaxValue - 12)]
    public void Vectors_of_blocks_are_the_blocks(ulong seed, ulong stream, ulong offset)
    {
        var state = new PhiloxState(seed, stream, offset);
        uint[] actual = Vectorised(state, 5, 64);
        uint* even = stackalloc uint[128], odd = stackalloc uint[128];
        PhiloxSimd.Pairs(state, 5, 64, even, odd);
        for (int block = 0; block < 64; block++)
        {
            var (r0, r1, r2, r3) = Philox.Block(state, 5 + (ulong)block);
            Assert.Equal([r0, r1, r2, r3], actual[(4 * block)..(4 * block + 4)]);
            Assert.Equal((r0, r1, r2, r3), (even[2 * block], odd[2 * block], even[2 * block + 1], odd[2 * block + 1]));
        }
    }

    [Fact]
    public void Generator_uses_a_block_for_every_four_elements_begun()
    {
        var generator = new Generator(7);
        var together = Tensor.Rand(generator, [8], device: Device.Cpu).ToArray();
        Assert.Equal(2ul, generator.Offset);
        generator.Offset = 1;
        Assert.Equal(together[4..], Tensor.Rand(generator, [3], device: Device.Cpu).ToArray().Append(together[7]));
        Assert.Equal(2ul, generator.Offset);
    }

    private static uint[] Vectorised(PhiloxState state, ulong first, int count)
    {
        var r = new uint[4 * count];
        fixed (uint* to = r)
            PhiloxSimd.Blocks(state, first, count, to);
        return r;
    }
}
