using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using RawDiffusion.Backends;

namespace RawDiffusion.IO;

/// <summary>An open safetensors file. Its header has been checked; its tensors are read one by one.</summary>
public sealed class SafetensorsFile : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly Dictionary<string, SafetensorsEntry> _entries;
    private readonly long _dataStart;

    internal SafetensorsFile(string path, SafeFileHandle handle, SafetensorsHeader header, long dataStart)
    {
        Path = path;
        Entries = header.Entries;
        Metadata = header.Metadata;
        _entries = header.Entries.ToDictionary(static entry => entry.Name, StringComparer.Ordinal);
        _handle = handle;
        _dataStart = dataStart;
    }

    public string Path { get; }

    /// <summary>Name, dtype and shape of every tensor, in the order of the data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    public IReadOnlyDictionary<string, string> Metadata { get; }

    public bool Contains(string name) => _entries.ContainsKey(name);

    /// <exception cref="FileFormatException">There is no tensor of that name.</exception>
    public SafetensorsEntry this[string name] => _entries.TryGetValue(name, out var entry)
        ? entry
        : throw new FileFormatException(Path, $"there is no tensor {FileFormatException.Quote(name)} in it");

    /// <summary>
    /// Reads a tensor. F32, F16, BF16 and F64 become floats of the device (F64 is rounded to the nearest float32 where the device
    /// has no float64; the others are exact); I32 and I64 become Int32.
    /// </summary>
    /// <param name="device">Where to; <see cref="Device.Default"/> if left out.</param>
    /// <exception cref="FileFormatException">
    /// There is no such tensor, its dtype is another, an I64 value does not fit 32 bits, or it has more than
    /// <see cref="Shape.MaxRank"/> axes or 2^31 elements or more.
    /// </exception>
    public Tensor Read(string name, Backend? device = null)
    {
        var entry = this[name];
        var shape = ShapeOf(entry);
        switch (entry.DType)
        {
            case "F32":
                return Tensor.From(ReadValues<float>(entry, shape.Count), shape, device);
            case "F64":
                return Tensor.From(ReadValues<double>(entry, shape.Count), shape, device);
            case "F16":
                var halves = ReadValues<Half>(entry, shape.Count);
                return Tensor.From(Array.ConvertAll(halves, static half => (float)half), shape, device);
            case "BF16":
                var words = ReadValues<ushort>(entry, shape.Count);
                return Tensor.From(Array.ConvertAll(words, static word => BitConverter.UInt32BitsToSingle((uint)word << 16)), shape, device);
            case "I32":
                return Tensor.From(ReadValues<int>(entry, shape.Count), shape, device);
            case "I64":
                return Tensor.From(Narrow(entry, ReadValues<long>(entry, shape.Count)), shape, device);
            default:
                throw new FileFormatException(
                    Path, $"tensor {FileFormatException.Quote(name)} has dtype {entry.DType}; F32, F64, F16, BF16, I32 and I64 can be read");
        }
    }

    public void Dispose() => _handle.Dispose();

    internal static void ReadExactly(string path, SafeFileHandle handle, Span<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty)
        {
            int read = RandomAccess.Read(handle, buffer, offset);
            if (read == 0)
                throw new FileFormatException(path, $"the file ended at byte {offset} while it was read");
            buffer = buffer[read..];
            offset += read;
        }
    }

    private Shape ShapeOf(SafetensorsEntry entry)
    {
        try
        {
            return new Shape(entry.Shape.Select(static extent => checked((int)extent)).ToArray());
        }
        catch (Exception e) when (e is ArgumentException or OverflowException)
        {
            string name = FileFormatException.Quote(entry.Name);
            throw new FileFormatException(Path, $"tensor {name} has more than {Shape.MaxRank} axes or 2^31 elements, too many for a tensor here", e);
        }
    }

    private T[] ReadValues<T>(SafetensorsEntry entry, int count) where T : unmanaged
    {
        var values = new T[count];
        const int Piece = 1 << 24;
        long offset = _dataStart + entry.Offset;
        for (int start = 0; start < count; start += Piece)
        {
            var bytes = MemoryMarshal.AsBytes(values.AsSpan(start, Math.Min(Piece, count - start)));
            ReadExactly(Path, _handle, bytes, offset);
            offset += bytes.Length;
        }
        Safetensors.ToLittleEndian<T>(values);
        return values;
    }

    private int[] Narrow(SafetensorsEntry entry, long[] values)
    {
        var narrow = new int[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            if (values[i] is < int.MinValue or > int.MaxValue)
                throw new FileFormatException(Path, $"tensor {FileFormatException.Quote(entry.Name)} holds {values[i]}, too much for 32 bits");
            narrow[i] = (int)values[i];
        }
        return narrow;
    }
}
