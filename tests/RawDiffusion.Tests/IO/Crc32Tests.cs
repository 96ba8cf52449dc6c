using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public class Crc32Tests
{
    /// <summary>The check value of the catalogue of CRCs (CRC-32/ISO-HDLC).</summary>
    [Fact]
    public void TheCheckValueIsThatOfTheStandard() => Assert.Equal(0xCBF43926, ~Crc32.Update(~0u, "123456789"u8));

    [Fact]
    public void PiecesOfAnyLengthGiveTheSameAsAPlainLoop()
    {
        var bytes = new byte[100];
        new Random(1).NextBytes(bytes);
        for (int length = 0; length <= bytes.Length; length++)
        {
            uint expected = PngBytes.Crc(bytes.AsSpan(0, length));
            Assert.Equal(expected, ~Crc32.Update(~0u, bytes.AsSpan(0, length)));
            int cut = length / 3;
            Assert.Equal(expected, ~Crc32.Update(Crc32.Update(~0u, bytes.AsSpan(0, cut)), bytes.AsSpan(cut, length - cut)));
        }
    }
}
