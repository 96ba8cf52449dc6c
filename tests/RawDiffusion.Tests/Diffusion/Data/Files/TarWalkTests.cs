using System.Formats.Tar;
using System.Text;
using RawDiffusion.Diffusion.Data.Files;
using RawDiffusion.IO;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

/// <summary>Archives made by the library's writer, whole and damaged.</summary>
public class TarWalkTests(ITestOutputHelper output)
{
    private const int LargestEntry = 4096;

    private static readonly (string Name, byte[] Contents)[] s_entries =
        [("empty", []), ("one", [1]), ("block", Bytes(512)), ("more", Bytes(1300))];

    [Theory]
    [InlineData(TarEntryFormat.Ustar)]
    [InlineData(TarEntryFormat.V7)]
    [InlineData(TarEntryFormat.Gnu)]
    public void EntriesAreReadInOrder(TarEntryFormat format)
    {
        var read = ReadAll(Make(format));
        Assert.Equal(s_entries.Select(entry => entry.Name).Prepend(""), read.Select(entry => entry.Name));
        Assert.All(s_entries.Zip(read.Skip(1)), pair => Assert.Equal(pair.First.Contents, pair.Second.Contents));
    }

    /// <summary>An extended header is an entry of its own, before the one that it is about.</summary>
    [Fact]
    public void ExtendedHeadersAreSteppedOver()
    {
        var read = ReadAll(Make(TarEntryFormat.Pax));
        Assert.Equal(Bytes(1300), read.Single(entry => entry.Name == "more").Contents);
    }

    [Fact]
    public void AnEntryThatIsNotReadIsSteppedOver()
    {
        var walk = new TarWalk("x", new MemoryStream(Make(TarEntryFormat.Ustar)), 1 << 20);
        var names = new List<string>();
        while (walk.MoveNext())
            names.Add(walk.Name);
        Assert.Equal(["", "empty", "one", "block", "more"], names);
    }

    [Fact]
    public void AnArchiveBeyondTheLimitIsRefused()
    {
        byte[] file = Make(TarEntryFormat.Ustar);
        Assert.Contains("there are more than 3000 bytes in it", Assert.Throws<FileFormatException>(() => ReadAll(file, 3000)).Message);
        Assert.Contains("goes on", Assert.Throws<FileFormatException>(() => ReadAll([.. file, 1])).Message);
        Assert.Contains("cut short", Assert.Throws<FileFormatException>(() => ReadAll(file[..1000])).Message);
        Assert.Contains("not a tar archive", Assert.Throws<FileFormatException>(() => ReadAll(Bytes(2000))).Message);
    }

    [Fact]
    public void DamagedFilesAreReadOrRefused()
    {
        byte[][] whole = [Make(TarEntryFormat.Ustar), Make(TarEntryFormat.Gnu), Make(TarEntryFormat.Pax)];
        Fuzz.Run(
            output, random => MakeDamaged(random, random.Pick<byte[]>(whole)), file => ReadAll(file),
            (file, entries) => Assert.True(entries.Sum(entry => entry.Contents.Length) <= file.Length),
            // Entries up to the limit are made before it is seen that the file ends.
            file => Fuzz.Slack + 4L * file.Length + LargestEntry, "cut short", "not a tar archive", "goes on after");
    }

    /// <summary>Damage with the sums of the headers made right again in two of three files, so that it gets beyond them.</summary>
    private static byte[] MakeDamaged(Random random, byte[] file)
    {
        byte[] damaged = Damage.Bytes(random, file);
        if (random.Next(3) == 0)
            return damaged;
        damaged = [.. damaged];
        for (int at = 0; at + 512 <= damaged.Length; at += 512)
        {
            var header = damaged.AsSpan(at, 512);
            // Only what looks like a header; contents stay as they are.
            if (header[257..].StartsWith("ustar"u8))
            {
                header.Slice(148, 8).Fill((byte)' ');
                int sum = 0;
                foreach (byte value in header)
                    sum += value;
                Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(header[148..]);
            }
        }
        return damaged;
    }

    private static List<(string Name, byte[] Contents)> ReadAll(byte[] file, long limit = 1 << 20)
    {
        var walk = new TarWalk("x", new MemoryStream(file), limit);
        var entries = new List<(string, byte[])>();
        while (walk.MoveNext())
        {
            if (walk.Length <= LargestEntry)
                entries.Add((walk.Name, walk.Read()));
        }
        return entries;
    }

    private static byte[] Make(TarEntryFormat format)
    {
        using var file = new MemoryStream();
        using (var writer = new TarWriter(file, format, leaveOpen: true))
        {
            writer.WriteEntry(MakeEntry(TarEntryType.Directory, "folder/"));
            foreach (var (name, contents) in s_entries)
            {
                var entry = MakeEntry(format == TarEntryFormat.V7 ? TarEntryType.V7RegularFile : TarEntryType.RegularFile, $"folder/{name}");
                entry.DataStream = new MemoryStream(contents);
                writer.WriteEntry(entry);
            }
        }
        return file.ToArray();

        TarEntry MakeEntry(TarEntryType type, string name) => format switch
        {
            TarEntryFormat.Ustar => new UstarTarEntry(type, name),
            TarEntryFormat.V7 => new V7TarEntry(type, name),
            TarEntryFormat.Gnu => new GnuTarEntry(type, name),
            _ => new PaxTarEntry(type, name),
        };
    }

    private static byte[] Bytes(int count) => [.. Enumerable.Range(0, count).Select(i => (byte)(i * 7 + 1))];
}
