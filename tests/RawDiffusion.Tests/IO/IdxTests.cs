using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public sealed class IdxTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PlainAndCompressedFilesAreRead(bool compressed)
    {
        byte[] values = [1, 2, 3, 4, 5, 6];
        Write(IdxBytes.Make([2, 1, 3], values), compressed);
        var idx = Idx.Load(Path);
        Assert.Equal([2, 1, 3], idx.Extents);
        Assert.Equal(values, idx.Values);
    }

    public static TheoryData<byte[], string> Malformed => new()
    {
        { [], "ends before its first four bytes" },
        { [0, 0, 8], "ends before its first four bytes: 3 of 4" },
        { [0, 1, 8, 1, 0, 0, 0, 0], "begins with 00010801; this is no IDX file" },
        { [0, 0, 0x0D, 1, 0, 0, 0, 0], "type 0D" },
        { [0, 0, 8, 0], "0 axes" },
        { [0, 0, 8, 9], "9 axes" },
        { [0, 0, 8, 2, 0, 0, 0, 1, 0], "ends before its header: 5 of 8" },
        { [0, 0, 8, 1, 0xFF, 0xFF, 0xFF, 0xFF], "impossible extent 4294967295" },
        { [0, 0, 8, 1, 0x7F, 0xFF, 0xFF, 0xFF, 1], "too many for its size" },
        { [0, 0, 8, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1], "too many for its size" },
        { [0, 0, 8, 1, 0, 0, 0, 3, 1, 2], "ends before the 3 values that it says it holds: 2 of 3" },
        { [0, 0, 8, 1, 0, 0, 0, 1, 1, 2], "goes on after the 1 values" },
        { [0, 0, 8, 1, 0, 0, 0, 0, 2], "goes on after the 0 values" },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public void AMalformedFileIsRefusedWithItsName(byte[] file, string reason)
    {
        foreach (bool compressed in new[] { false, true })
        {
            Write(file, compressed);
            string message = Assert.Throws<FileFormatException>(() => Idx.Load(Path)).Message;
            Assert.StartsWith($"{Path}: ", message);
            Assert.Contains(reason, message);
        }
    }

    [Fact]
    public void EveryTruncationOfACompressedFileIsRefused()
    {
        Write(IdxBytes.Make([40], Enumerable.Range(0, 40).Select(i => (byte)(i * i)).ToArray()), compressed: true);
        byte[] whole = File.ReadAllBytes(Path);
        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(Path, whole.AsSpan(0, length));
            Assert.Throws<FileFormatException>(() => Idx.Load(Path));
        }
    }

    [Fact]
    public void ADamagedByteOfACompressedFileIsNoticed()
    {
        Write(IdxBytes.Make([400], Enumerable.Range(0, 400).Select(i => (byte)(i * i)).ToArray()), compressed: true);
        byte[] whole = File.ReadAllBytes(Path);
        // The first ten bytes are gzip's own header, of which time and system are free to differ.
        for (int at = 10; at < whole.Length; at += 3)
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 0x10;
            File.WriteAllBytes(Path, damaged);
            Assert.Throws<FileFormatException>(() => Idx.Load(Path));
        }
    }

    private string Path => _folder["test-idx"];

    private void Write(byte[] file, bool compressed) => File.WriteAllBytes(Path, compressed ? IdxBytes.Gzip(file) : file);
}
