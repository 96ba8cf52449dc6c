using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace RawDiffusion.IO;

/// <summary>
/// Reads one PNG file. First all chunks are walked: lengths, checksums, order. Only then is it known whether the data can hold
/// the picture that the header promises, and memory is taken for it; the inflater is asked for that many bytes and one more.
/// </summary>
internal sealed class PngDecoder(string path, byte[] file)
{
    // Length, type and checksum.
    private const int ChunkFrame = 12;
    private const int HeaderBytes = 13;

    // Deflate codes at most 258 bytes in 2 bits.
    private const long LargestRatio = 1032;

    private readonly List<Range> _data = [];
    private int _width, _height, _dataBytes;
    private ColorType _type;
    private byte[] _palette = [], _opacity = [];

    private enum ColorType : byte
    {
        Grey = 0,
        Rgb = 2,
        Palette = 3,
        GreyAlpha = 4,
        Rgba = 6,
    }

    public PngPicture Decode()
    {
        if (!file.AsSpan().StartsWith(Png.Signature))
            throw Malformed("it does not begin like a PNG file");
        ReadChunks();
        // Bytes of a pixel in the file; the colours of a palette are looked up afterwards.
        int pixelBytes = _type == ColorType.Palette ? 1 : (int)Color;
        long stride = (long)_width * pixelBytes;
        if ((Int128)_height * (stride + 1) > _dataBytes * LargestRatio)
            throw Malformed($"its {_dataBytes} compressed bytes cannot hold {_width} x {_height} pixels");
        if ((Int128)_width * _height * (int)Color > Png.LargestPicture)
            throw Malformed($"{_width} x {_height} pixels are more than the {Png.LargestPicture} bytes that are read");
        byte[] pixels = Inflate((int)stride, pixelBytes);
        return new PngPicture(_width, _height, Color, _type == ColorType.Palette ? LookUp(pixels) : pixels);
    }

    private PngColor Color => _type switch
    {
        ColorType.Grey => PngColor.Grey,
        ColorType.GreyAlpha => PngColor.GreyAlpha,
        ColorType.Palette => _opacity.Length > 0 ? PngColor.Rgba : PngColor.Rgb,
        ColorType.Rgb => PngColor.Rgb,
        _ => PngColor.Rgba,
    };

    private void ReadChunks()
    {
        string type = "", before;
        for (int at = Png.Signature.Length; type != "IEND";)
        {
            before = type;
            (type, var data) = ReadChunk(at);
            if ((type == "IHDR") != (before.Length == 0))
                throw Malformed(before.Length == 0 ? $"it begins with {type} and not with its header" : "it has two headers");
            switch (type)
            {
                case "IHDR":
                    ReadHeader(file.AsSpan(data));
                    break;
                case "PLTE":
                    ReadPalette(file.AsSpan(data));
                    break;
                case "tRNS":
                    ReadOpacity(file.AsSpan(data));
                    break;
                case "IDAT":
                    if (_data.Count > 0 && before != "IDAT")
                        throw Malformed($"{before} stands between its data chunks");
                    _data.Add(data);
                    _dataBytes += file.AsSpan(data).Length;
                    break;
                case "IEND":
                    if (!file.AsSpan(data).IsEmpty)
                        throw Malformed("its last chunk, IEND, is not empty");
                    break;
                default:
                    // A capital first letter says that the picture cannot be understood without the chunk.
                    if (char.IsAsciiLetterUpper(type[0]))
                        throw Malformed($"it has a chunk {type}, which is not known here and cannot be left out");
                    break;
            }
            at += ChunkFrame + file.AsSpan(data).Length;
            if (type == "IEND" && at < file.Length)
                throw Malformed($"{file.Length - at} bytes follow its last chunk");
        }
        if (_data.Count == 0)
            throw Malformed("it has no data");
        if (_type == ColorType.Palette && _palette.Length == 0)
            throw Malformed("it has no palette");
    }

    /// <summary>Type of the chunk that begins at a byte, and where its data are.</summary>
    private (string Type, Range Data) ReadChunk(int at)
    {
        int left = file.Length - at - ChunkFrame;
        if (left < 0)
            throw Malformed("it is cut short: its last chunk, IEND, is not there");
        var type = file.AsSpan(at + 4, 4);
        foreach (byte letter in type)
        {
            if (!char.IsAsciiLetter((char)letter))
                throw Malformed($"there is no chunk at byte {at}, where one should begin");
        }
        string name = Encoding.ASCII.GetString(type);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at));
        if (length > left)
            throw Malformed($"it is cut short: its chunk {name} needs {length} bytes, {left} are there");
        int end = at + 8 + (int)length;
        uint checksum = BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(end));
        if (checksum != ~Crc32.Update(~0u, file.AsSpan()[(at + 4)..end]))
            throw Malformed($"the checksum of its chunk {name} at byte {at} is wrong");
        return (name, (at + 8)..end);
    }

    private void ReadHeader(ReadOnlySpan<byte> data)
    {
        if (data.Length != HeaderBytes)
            throw Malformed($"its header has {data.Length} bytes and not {HeaderBytes}");
        uint width = BinaryPrimitives.ReadUInt32BigEndian(data), height = BinaryPrimitives.ReadUInt32BigEndian(data[4..]);
        if (width is 0 or > int.MaxValue || height is 0 or > int.MaxValue)
            throw Malformed($"a picture of {width} x {height} pixels is impossible");
        (_width, _height) = ((int)width, (int)height);
        byte depth = data[8];
        _type = (ColorType)data[9];
        if (!Enum.IsDefined(_type))
            throw Malformed($"there is no colour type {data[9]}");
        if (depth is not (1 or 2 or 4 or 8 or 16))
            throw Malformed($"{depth} bits a channel are impossible");
        if (depth != 8)
            throw Malformed($"it has {depth} bits a channel; 8 can be read");
        if (data[10] != 0 || data[11] != 0)
            throw Malformed($"compression {data[10]} and filtering {data[11]} are not known; there is only 0");
        if (data[12] == 1)
            throw Malformed("it is interlaced, which cannot be read");
        if (data[12] != 0)
            throw Malformed($"there is no interlacing {data[12]}");
    }

    private void ReadPalette(ReadOnlySpan<byte> data)
    {
        if (_palette.Length > 0)
            throw Malformed("it has two palettes");
        if (_data.Count > 0)
            throw Malformed("its palette comes after its data");
        if (_type is ColorType.Grey or ColorType.GreyAlpha)
            throw Malformed("it is grey and has a palette");
        if (data.Length is 0 or > 3 * 256 || data.Length % 3 != 0)
            throw Malformed($"a palette of {data.Length} bytes is impossible");
        _palette = data.ToArray();
    }

    private void ReadOpacity(ReadOnlySpan<byte> data)
    {
        if (_type is ColorType.Grey or ColorType.Rgb)
            throw Malformed("it has a transparent colour (tRNS), which cannot be read");
        if (_type != ColorType.Palette)
            throw Malformed("it has alpha and a transparent colour (tRNS), which contradict each other");
        if (_opacity.Length > 0)
            throw Malformed("it says twice how opaque its palette is (tRNS)");
        if (_palette.Length == 0 || _data.Count > 0)
            throw Malformed("tRNS must stand between its palette and its data");
        if (data.IsEmpty || data.Length > _palette.Length / 3)
            throw Malformed($"tRNS says of {data.Length} colours how opaque they are, and the palette has {_palette.Length / 3}");
        _opacity = data.ToArray();
    }

    private byte[] Inflate(int stride, int pixelBytes)
    {
        var compressed = new byte[_dataBytes];
        int filled = 0;
        foreach (var range in _data)
        {
            var piece = file.AsSpan(range);
            piece.CopyTo(compressed.AsSpan(filled));
            filled += piece.Length;
        }
        var input = new CompressedInput(new MemoryStream(compressed), compressed.Length);
        using var inflater = new ZLibStream(input, CompressionMode.Decompress);
        var pixels = new byte[_height * stride];
        ReadOnlySpan<byte> above = new byte[stride];
        Span<byte> filter = stackalloc byte[1];
        for (int y = 0; y < _height; y++)
        {
            var row = pixels.AsSpan(y * stride, stride);
            if (Read(inflater, filter) < 1 || Read(inflater, row) < stride)
                throw Malformed($"its data end within row {y} of {_height}");
            if (filter[0] > PngFilter.Last)
                throw Malformed($"there is no filter {filter[0]}, which row {y} says it has");
            PngFilter.Undo(filter[0], row, above, pixelBytes);
            above = row;
        }
        if (Read(inflater, filter) > 0)
            throw Malformed($"its data go on after the last of {_height} rows");
        if (input.IsCutOff)
            throw Malformed("its data are cut short");
        if (input.IsTooLong)
            throw Malformed("something follows the end of its compressed data");
        return pixels;
    }

    private int Read(ZLibStream inflater, Span<byte> buffer)
    {
        try
        {
            return inflater.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            // The input is in memory, so that an error of input or output, too, is one of the data: it needs a preset dictionary.
            throw new FileFormatException(path, "its compressed data are damaged", e);
        }
    }

    private byte[] LookUp(byte[] indices)
    {
        int pixelBytes = (int)Color, colors = _palette.Length / 3;
        var pixels = new byte[indices.Length * pixelBytes];
        for (int i = 0; i < indices.Length; i++)
        {
            int index = indices[i];
            if (index >= colors)
                throw Malformed($"a pixel has colour {index} of a palette of {colors}");
            _palette.AsSpan(3 * index, 3).CopyTo(pixels.AsSpan(i * pixelBytes));
            if (pixelBytes == (int)PngColor.Rgba)
                pixels[i * pixelBytes + 3] = index < _opacity.Length ? _opacity[index] : byte.MaxValue;
        }
        return pixels;
    }

    private FileFormatException Malformed(string reason) => new(path, reason);
}
