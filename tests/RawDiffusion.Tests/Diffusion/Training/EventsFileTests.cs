using System.Buffers.Binary;
using System.Text;
using RawDiffusion.Diffusion.Training.TensorBoard;
using RawDiffusion.IO;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>Read back without the code that wrote them: records and checksums bit by bit, messages from the bare wire format.</summary>
public sealed class EventsFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_first_record_says_which_format_follows()
    {
        using var file = new EventsFile(_folder.Path, firstStep: 1);
        var record = Assert.Single(ReadRecords(file.Path));

        Assert.Equal("brain.Event:2", Encoding.UTF8.GetString(Field(record, 3)));
        double wallTime = BitConverter.ToDouble(Field(record, 1));
        Assert.InRange(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - wallTime, -5, 600);
        Assert.Matches(@"^events\.out\.tfevents\.\d{10}\..+\.\d+\.\d+$", Path.GetFileName(file.Path));
    }

    [Fact]
    public void Numbers_stand_under_their_tags_and_steps()
    {
        using var file = new EventsFile(_folder.Path, firstStep: 1);
        file.AddScalars(7, ("loss", 0.25), ("lr", 1e-3));
        file.AddScalars(300, ("loss", double.NaN));
        var records = ReadRecords(file.Path);

        Assert.Equal([7, 300], records.Skip(1).Select(record => Integer(record, 2)));
        var values = Fields(Field(records[1], 5), 1).ToArray();
        Assert.Equal(["loss", "lr"], values.Select(value => Encoding.UTF8.GetString(Field(value, 1))));
        Assert.Equal([0.25f, 1e-3f], values.Select(value => BitConverter.ToSingle(Field(value, 2))));
        Assert.Equal(float.NaN, BitConverter.ToSingle(Field(Field(Field(records[2], 5), 1), 2)));
    }

    [Fact]
    public void A_picture_is_a_whole_png_with_its_size()
    {
        var image = new Image(5, 3);
        image[4, 2][0] = 200;
        using var file = new EventsFile(_folder.Path, firstStep: 1);
        file.AddImage(12, "samples", image);
        byte[] value = Field(Field(ReadRecords(file.Path)[1], 5), 1), picture = Field(value, 4);

        Assert.Equal("samples", Encoding.UTF8.GetString(Field(value, 1)));
        Assert.Equal([3, 5, 3], new[] { 1, 2, 3 }.Select(number => Integer(picture, number)));
        Assert.Equal(image.EncodePng(), Field(picture, 4));
    }

    [Fact]
    public void A_run_that_goes_on_begins_a_file_of_its_own_and_voids_what_it_repeats()
    {
        using var first = new EventsFile(_folder.Path, firstStep: 1);
        using var second = new EventsFile(_folder.Path, firstStep: 41);
        Assert.NotEqual(first.Path, second.Path);

        byte[] session = ReadRecords(second.Path)[1];
        Assert.Equal(41, Integer(session, 2));
        Assert.Equal(1, Integer(Field(session, 7), 1));
    }

    private static List<byte[]> ReadRecords(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var records = new List<byte[]>();
        for (int at = 0; at < bytes.Length;)
        {
            int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
            Assert.Equal(Masked(bytes.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 8)));
            byte[] data = bytes[(at + 12)..(at + 12 + length)];
            Assert.Equal(Masked(data), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at + 12 + length)));
            records.Add(data);
            at += length + 16;
        }
        return records;
    }

    [Fact]
    public void The_checksum_of_these_tests_is_the_published_one() => Assert.Equal(0xE3069283, Crc32C("123456789"u8));

    private static uint Masked(ReadOnlySpan<byte> data)
    {
        uint crc = Crc32C(data);
        return unchecked(((crc >> 15) | (crc << 17)) + 0xA282EAD8);
    }

    private static uint Crc32C(ReadOnlySpan<byte> data)
    {
        uint crc = ~0u;
        foreach (byte value in data)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? 0x82F63B78 ^ crc >> 1 : crc >> 1;
        }
        return ~crc;
    }

    private static byte[] Field(byte[] message, int number) => Assert.Single(Fields(message, number));

    private static int Integer(byte[] message, int number)
    {
        byte[] field = Field(message, number);
        int at = 0;
        return (int)Varint(field, ref at);
    }

    /// <summary>The contents of the fields with a number; a varint stays in its own bytes.</summary>
    private static IEnumerable<byte[]> Fields(byte[] message, int number)
    {
        for (int at = 0; at < message.Length;)
        {
            ulong key = Varint(message, ref at);
            int start = at;
            switch (key & 7)
            {
                case 0:
                    Varint(message, ref at);
                    break;
                case 1:
                    at += 8;
                    break;
                case 2:
                    int length = (int)Varint(message, ref at);
                    start = at;
                    at += length;
                    break;
                case 5:
                    at += 4;
                    break;
                default:
                    Assert.Fail($"wire type {key & 7}");
                    break;
            }
            if (key >> 3 == (ulong)number)
                yield return message[start..at];
        }
    }

    private static ulong Varint(byte[] bytes, ref int at)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte next = bytes[at++];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return value;
        }
    }
}
