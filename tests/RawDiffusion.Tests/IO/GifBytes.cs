using System.Buffers.Binary;

namespace RawDiffusion.Tests;

/// <summary>A plain reading of the GIF89a specification, which knows nothing of the library's writer.</summary>
internal sealed class GifBytes
{
    private readonly byte[] _file;
    private int _at;

    private GifBytes(byte[] file) => _file = file;

    public int Width { get; private set; }

    public int Height { get; private set; }

    /// <summary>How often it plays; 0 for ever, null where the file does not say.</summary>
    public int? Loops { get; private set; }

    /// <summary>What is seen, and for how many hundredths of a second. Pixels [Height, Width, 3].</summary>
    public List<(byte[] Pixels, int Delay)> Frames { get; } = [];

    public static GifBytes Decode(byte[] file)
    {
        var gif = new GifBytes(file);
        gif.Read();
        return gif;
    }

    private void Read()
    {
        Assert.Equal("GIF89a"u8.ToArray(), Take(6));
        (Width, Height) = (Short(), Short());
        int flags = Byte();
        Take(2);
        byte[] global = (flags & 0x80) != 0 ? Take(3 << (flags & 7) + 1) : [];
        int delay = -1;
        while (true)
        {
            switch (Byte())
            {
                case 0x3B:
                    Assert.Equal(_file.Length, _at);
                    return;
                case 0x21 when Byte() is var label:
                    byte[] body = Blocks(out byte[] first);
                    if (label == 0xF9)
                        delay = BinaryPrimitives.ReadUInt16LittleEndian(first.AsSpan(1));
                    else if (label == 0xFF && first.AsSpan().SequenceEqual("NETSCAPE2.0"u8))
                        Loops = BinaryPrimitives.ReadUInt16LittleEndian(body.AsSpan(first.Length + 1));
                    break;
                case 0x2C:
                    Assert.Equal((0, 0, Width, Height), (Short(), Short(), Short(), Short()));
                    flags = Byte();
                    byte[] palette = (flags & 0x80) != 0 ? Take(3 << (flags & 7) + 1) : global;
                    int bits = Byte();
                    byte[] indices = Lzw(Blocks(out _), bits);
                    Assert.Equal(Width * Height, indices.Length);
                    Frames.Add((indices.SelectMany(index => palette[(3 * index)..(3 * index + 3)]).ToArray(), delay));
                    break;
                default:
                    Assert.Fail($"unknown block before byte {_at}");
                    break;
            }
        }
    }

    private static byte[] Lzw(byte[] data, int bits)
    {
        int clear = 1 << bits, end = clear + 1, width = bits + 1, bitAt = 0;
        var known = new List<byte[]>();
        byte[]? previous = null;
        var result = new List<byte>();
        while (true)
        {
            int code = 0;
            for (int i = 0; i < width; i++, bitAt++)
                code |= (data[bitAt / 8] >> bitAt % 8 & 1) << i;
            if (code == end)
            {
                // Nothing but the rest of a byte follows.
                Assert.Equal(data.Length, (bitAt + 7) / 8);
                return [.. result];
            }
            if (code == clear)
            {
                known.Clear();
                for (int i = 0; i < end + 1; i++)
                    known.Add([(byte)i]);
                width = bits + 1;
                previous = null;
                continue;
            }
            Assert.InRange(code, 0, previous is null ? clear - 1 : known.Count);
            byte[] run = code < known.Count ? known[code] : [.. previous!, previous![0]];
            result.AddRange(run);
            if (previous is not null && known.Count < 4096)
                known.Add([.. previous, run[0]]);
            if (known.Count == 1 << width && width < 12)
                width++;
            previous = run;
        }
    }

    private byte[] Blocks(out byte[] first)
    {
        first = [];
        var all = new List<byte>();
        for (int length = Byte(); length > 0; length = Byte())
        {
            byte[] block = Take(length);
            if (all.Count == 0)
                first = block;
            all.AddRange(block);
        }
        return [.. all];
    }

    private int Byte() => _file[_at++];

    private int Short() => Byte() | Byte() << 8;

    private byte[] Take(int length) => _file[_at..(_at += length)];
}
