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

    [Fact]
    public void MoreValuesThanTheLimitAreRefusedBeforeAnyMemoryIsTaken()
    {
        // 2 MiB of gzip can hold 2 GiB.
        byte[] file = IdxBytes.Make([1 << 15, 1 << 15, 1], []);
        Write([.. file, .. new byte[1 << 10]], compressed: false);
        Refuse("holds 32768 values or more, too many for its size");
        var noise = new byte[2 << 20];
        new Random(1).NextBytes(noise);
        Write([.. IdxBytes.Make([1 << 15, 1 << 15, 2], []), .. noise], compressed: true);
        Refuse("holds 32768 x 32768 x 2 values or more, and 1073741824 is the most that is read");

        void Refuse(string reason)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Contains(reason, Assert.Throws<FileFormatException>(() => Idx.Load(Path)).Message);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 17);
        }
    }

    /// <summary>A small file that inflates to much more than it says is left alone after one byte too many.</summary>
    [Fact]
    public void InflatingStopsAtTheDeclaredSize()
    {
        Write([.. IdxBytes.Make([10], new byte[10]), .. new byte[64 << 20]], compressed: true);
        Assert.InRange(new FileInfo(Path).Length, 0, 1 << 17);
        using var file = new MeteredStream(File.ReadAllBytes(Path));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("goes on after the 10 values", Assert.Throws<FileFormatException>(() => Idx.Read(Path, file)).Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 17);
        // A buffer of the inflater, and the end of the file.
        Assert.InRange(file.BytesRead, 0, 1 << 14);
    }

    public static TheoryData<byte[]> Tails => new()
    {
        { [0] },
        { new byte[1000] },
        // Once more the trailer of the true file, so that a reader that looks for it at the end finds it.
        { IdxBytes.Gzip(IdxBytes.Make([3], [1, 2, 3]))[^8..] },
        // A second member: gzip allows it, nobody writes it.
        { IdxBytes.Gzip([4]) },
    };

    [Theory]
    [MemberData(nameof(Tails))]
    public void WhatFollowsACompressedFileIsNoticed(byte[] tail)
    {
        byte[] file = [.. IdxBytes.Gzip(IdxBytes.Make([3], [1, 2, 3])), .. tail];
        File.WriteAllBytes(Path, file);
        Assert.StartsWith($"{Path}: ", Assert.Throws<FileFormatException>(() => Idx.Load(Path)).Message);
    }

    [Fact]
    public void TheHeaderOfACompressedFileMayHoldANameAndMore()
    {
        byte[] plain = IdxBytes.Gzip(IdxBytes.Make([3], [1, 2, 3]));
        // Extra field, name, comment and the checksum of all that.
        byte[] header = [0x1F, 0x8B, 8, 2 + 4 + 8 + 16, 1, 2, 3, 4, 0, 3, 3, 0, 9, 0, 9, .. "train"u8, 0, .. "digits"u8, 0];
        ushort checksum = (ushort)PngBytes.Crc(header);
        byte[] file = [.. header, (byte)checksum, (byte)(checksum >> 8), .. plain[10..]];
        File.WriteAllBytes(Path, file);
        Assert.Equal([1, 2, 3], Idx.Load(Path).Values);

        foreach (var (at, reason) in new[] { (4, "checksum of its header"), (2, "another method"), (3, "flags of no known meaning") })
        {
            byte[] damaged = [.. file];
            damaged[at] ^= 0x80;
            File.WriteAllBytes(Path, damaged);
            Assert.Contains(reason, Assert.Throws<FileFormatException>(() => Idx.Load(Path)).Message);
        }
        // Lengths without end: an extra field longer than the file, and a name that never stops.
        foreach (byte[] endless in new byte[][] { [0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0, 255, 255, .. new byte[99]], [0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 0, .. "name"u8] })
        {
            File.WriteAllBytes(Path, endless);
            Assert.Contains("cut short", Assert.Throws<FileFormatException>(() => Idx.Load(Path)).Message);
        }
    }

    /// <summary>Counts the bytes that are read from it.</summary>
    private sealed class MeteredStream(byte[] bytes) : MemoryStream(bytes)
    {
        public long BytesRead { get; private set; }

        public override int Read(Span<byte> buffer)
        {
            int read = base.Read(buffer);
            BytesRead += read;
            return read;
        }

        public override int ReadByte()
        {
            int value = base.ReadByte();
            BytesRead += value < 0 ? 0 : 1;
            return value;
        }
    }

    private string Path => _folder["test-idx"];

    private void Write(byte[] file, bool compressed) => File.WriteAllBytes(Path, compressed ? IdxBytes.Gzip(file) : file);
}
