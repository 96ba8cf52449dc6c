using System.Buffers.Binary;
using System.Text;
using RawDiffusion.IO;
using Xunit.Abstractions;

namespace RawDiffusion.Tests;

public class PngFuzzTests(ITestOutputHelper output)
{
    private static readonly string[] s_types = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND", "tEXt", "gAMA", "ABCD", "ab3d"];

    private static readonly byte[][] s_whole = MakeWholeFiles();

    [Fact]
    public void DamagedFilesAreReadOrRefused() => Fuzz.Run(
        output, MakeDamaged, file => Png.Decode("x.png", file), Check,
        // The picture is at most what deflate can make of the file, times four where a palette is looked up, and once more.
        file => Fuzz.Slack + 4L * file.Length + 5 * 1032L * file.Length,
        "does not begin like", "cut short", "no chunk at byte", "checksum of its chunk", "two headers", "bytes and not 13", "is impossible", "no colour type",
        "bits a channel", "interlaced", "no interlacing", "compression", "is grey and has a palette", "two palettes", "comes after its data",
        "a palette of", "has no palette", "a pixel has colour", "transparent colour", "tRNS must stand", "tRNS says of", "has no data",
        "stands between its data chunks", "follow its last chunk", "IEND, is not empty", "cannot be left out", "cannot hold",
        "data end within row", "no filter", "data go on after", "data are cut short", "something follows", "compressed data are damaged");

    private static void Check(byte[] file, PngPicture picture)
    {
        var plain = PngBytes.Decode(file);
        Assert.Equal((plain.Width, plain.Height, plain.Channels), (picture.Width, picture.Height, (int)picture.Color));
        Assert.True(plain.Pixels.AsSpan().SequenceEqual(picture.Pixels));
    }

    private static byte[] MakeDamaged(Random random)
    {
        byte[] file = random.Pick<byte[]>(s_whole);
        if (random.Next(8) == 0)
            return Damage.Bytes(random, file);
        // The rest gets its checksums right, so that the damage is seen by what comes after them.
        var chunks = PngBytes.Chunks(file).ConvertAll(chunk => (
            Type: Encoding.ASCII.GetString(file, chunk.At + 4, 4), Data: file[(chunk.At + 8)..(chunk.At + chunk.Length - 4)]));
        for (int i = random.Next(1, 3); i > 0; i--)
        {
            int at = random.Next(chunks.Count), other = random.Next(chunks.Count);
            switch (random.Next(9))
            {
                case 0:
                    chunks[at] = (chunks[at].Type, Damage.Bytes(random, chunks[at].Data));
                    break;
                case 1:
                    chunks.Insert(other, chunks[at]);
                    break;
                case 2 when chunks.Count > 1:
                    chunks.RemoveAt(at);
                    break;
                case 3:
                    (chunks[at], chunks[other]) = (chunks[other], chunks[at]);
                    break;
                case 4:
                    chunks.Insert(at, (random.Pick<string>(s_types), Damage.Bytes(random, new byte[random.Next(1, 9)])));
                    break;
                case 5:
                    chunks[0] = ("IHDR", DamageHeader(random, chunks[0].Data));
                    break;
                case 6:
                    // Data in many pieces, the last of them perhaps empty.
                    int cut = random.Next(chunks[at].Data.Length + 1);
                    chunks.Insert(at + 1, (chunks[at].Type, chunks[at].Data[cut..]));
                    chunks[at] = (chunks[at].Type, chunks[at].Data[..cut]);
                    break;
                default:
                    // Rows that were damaged before they were compressed.
                    int data = chunks.FindIndex(chunk => chunk.Type == "IDAT");
                    if (data >= 0 && TryInflateStored(chunks[data].Data, out byte[] rows))
                        chunks[data] = ("IDAT", PngBytes.Stored(Damage.Bytes(random, rows)));
                    break;
            }
        }
        return PngBytes.File([.. chunks.Select(chunk => PngBytes.Chunk(chunk.Type, chunk.Data))]);
    }

    private static byte[] DamageHeader(Random random, byte[] header)
    {
        byte[] damaged = [.. header];
        if (damaged.Length != 13)
            return Damage.Bytes(random, damaged);
        int field = random.Next(7);
        if (field < 2)
            BinaryPrimitives.WriteUInt32BigEndian(damaged.AsSpan(4 * field), random.Next(2) == 0 ? (uint)random.Extreme() : (uint)random.Next(40));
        else
            damaged[field + 6] = (byte)random.Next(random.Pick(4, 18, 256));
        return damaged;
    }

    /// <summary>What <see cref="PngBytes.Stored"/> wrote, from a file whose data are in one chunk.</summary>
    private static bool TryInflateStored(byte[] zlib, out byte[] rows)
    {
        bool whole = zlib.Length > 11 && zlib[2] == 1 && BinaryPrimitives.ReadUInt16LittleEndian(zlib.AsSpan(3)) == zlib.Length - 11;
        rows = whole ? zlib[7..^4] : [];
        return whole;
    }

    private static byte[][] MakeWholeFiles()
    {
        var random = new Random(1);
        var files = new List<byte[]>();
        foreach (int type in new[] { 0, 2, 3, 4, 6 })
        {
            int channels = type switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 };
            foreach (bool stored in new[] { false, true })
            {
                const int Width = 5, Height = 6;
                var rows = new byte[Height * (1 + Width * channels)];
                for (int i = 0; i < rows.Length; i++)
                    rows[i] = (byte)(i % (1 + Width * channels) == 0 ? random.Next(5) : random.Next(type == 3 ? 2 : 256));
                if (type == 3)
                {
                    for (int y = 0; y < Height; y++)
                        rows[y * (1 + Width)] = 0;
                }
                byte[][] palette = type == 3 ? [PngBytes.Chunk("PLTE", 1, 2, 3, 4, 5, 6), .. stored ? new[] { PngBytes.Chunk("tRNS", 9) } : []] : [];
                byte[] data = stored ? PngBytes.Chunk("IDAT", PngBytes.Stored(rows)) : PngBytes.Data(rows);
                files.Add(PngBytes.File([PngBytes.Header(Width, Height, type: type), .. palette, data, PngBytes.Chunk("tEXt", 65, 0, 66), PngBytes.End()]));
            }
        }
        return [.. files];
    }
}
