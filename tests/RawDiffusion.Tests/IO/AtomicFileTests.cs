using RawDiffusion.IO;

namespace RawDiffusion.Tests;

public sealed class AtomicFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void ReplacesAFileAndLeavesNothingElse()
    {
        AtomicFile.WriteAllText(_folder["a.txt"], "first, and longer");
        AtomicFile.WriteAllText(_folder["a.txt"], "second");
        Assert.Equal("second", File.ReadAllText(_folder["a.txt"]));
        Assert.Equal([_folder["a.txt"]], Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void AFailedWriteKeepsTheOldFile()
    {
        AtomicFile.WriteAllText(_folder["a.txt"], "old");
        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(_folder["a.txt"], stream =>
        {
            stream.WriteByte(1);
            throw new InvalidOperationException();
        }));
        Assert.Equal("old", File.ReadAllText(_folder["a.txt"]));
        Assert.Single(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void AMissingFolderIsNamed()
    {
        var error = Assert.ThrowsAny<IOException>(() => AtomicFile.WriteAllText(_folder["missing/a.txt"], ""));
        Assert.Contains("missing", error.Message);
    }

    [Fact]
    public void AFolderIsNotReplaced()
    {
        Directory.CreateDirectory(_folder["a"]);
        Assert.ThrowsAny<Exception>(() => AtomicFile.WriteAllText(_folder["a"], "text"));
        Assert.Equal([_folder["a"]], Directory.GetFileSystemEntries(_folder.Path));
    }

    public static TheoryData<string> Formats => ["a.safetensors", "a.png", "a.gif", "a.json"];

    /// <summary>The disk is full after 0, 1, 2, ... bytes, or only when the file is flushed to it.</summary>
    [Theory]
    [MemberData(nameof(Formats))]
    public void ADiskThatIsFullAtAnyWriteKeepsTheOldFile(string name)
    {
        string path = _folder[name];
        AtomicFile.Write(path, stream => Write(name, stream, 1));
        byte[] old = File.ReadAllBytes(path);
        for (long room = 0; ; room++)
        {
            long left = room;
            var error = Record.Exception(() => AtomicFile.Write(path, stream => Write(name, stream, 2), temporary => new FullDisk(temporary, left)));
            Assert.Equal([path], Directory.GetFileSystemEntries(_folder.Path));
            if (error is null)
            {
                // All was written and flushed, for the first time: the new file is whole, and it took every byte of room but the last.
                using var whole = new MemoryStream();
                Write(name, whole, 2);
                Assert.Equal(whole.ToArray(), File.ReadAllBytes(path));
                Assert.Equal(whole.Length + 1, room);
                return;
            }
            Assert.Contains("No space left", Assert.IsType<IOException>(error).Message);
            Assert.Equal(old, File.ReadAllBytes(path));
        }
    }

    private static void Write(string name, Stream stream, int seed)
    {
        var values = Enumerable.Range(0, 12).Select(i => (float)Math.Sin(i * seed)).ToArray();
        var image = new Image(4, 3);
        for (int i = 0; i < image.Pixels.Length; i++)
            image.Pixels[i] = (byte)(i * i * seed);
        switch (name)
        {
            case "a.safetensors":
                Safetensors.Write(stream, [("x", Tensor.From(values, [3, 4])), ("n", Tensor.From([seed], [1]))]);
                break;
            case "a.png":
                stream.Write(image.EncodePng());
                break;
            case "a.gif":
                using (var gif = new GifWriter(stream, image.Width, image.Height))
                {
                    gif.Add(image, 0.1);
                    gif.Add(image, 0.2);
                }
                break;
            default:
                System.Text.Json.JsonSerializer.Serialize(stream, values);
                break;
        }
    }

    /// <summary>A file on a disk that has room for some bytes. The last byte of room is needed by the flush, for what a file system notes.</summary>
    private sealed class FullDisk(string path, long room) : FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1)
    {
        private long _left = room;

        public override void Write(byte[] buffer, int offset, int count)
        {
            int fits = (int)Math.Min(count, _left);
            base.Write(buffer, offset, fits);
            _left -= fits;
            if (fits < count)
                throw new IOException("No space left on device");
        }

        public override void Write(ReadOnlySpan<byte> buffer) => Write(buffer.ToArray(), 0, buffer.Length);

        public override void WriteByte(byte value) => Write([value], 0, 1);

        public override void Flush(bool flushToDisk)
        {
            if (flushToDisk && _left == 0)
                throw new IOException("No space left on device");
            base.Flush(flushToDisk);
        }
    }
}
