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
}
