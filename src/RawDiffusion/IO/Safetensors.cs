using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using RawDiffusion.Backends;

namespace RawDiffusion.IO;

/// <summary>
/// Reads and writes safetensors files (huggingface.co/docs/safetensors): a length, a JSON header, then the bare numbers.
/// Nothing in such a file is executed, and nothing in it can make the reader take more memory than the file is long.
/// </summary>
public static class Safetensors
{
    /// <summary>Opens a file and checks all of its header. The numbers are read when a tensor is asked for.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">The file is not a whole, well-formed safetensors file.</exception>
    public static SafetensorsFile Load(string path)
    {
        if (Directory.Exists(path))
            throw new FileFormatException(path, "this is a folder, not a safetensors file");
        var handle = File.OpenHandle(path, share: FileShare.Read | FileShare.Delete, options: FileOptions.RandomAccess);
        try
        {
            long fileLength = RandomAccess.GetLength(handle);
            Span<byte> prefix = stackalloc byte[SafetensorsHeader.LengthBytes];
            if (fileLength < prefix.Length)
                throw new FileFormatException(path, $"{fileLength} bytes are too few for a safetensors file");
            SafetensorsFile.ReadExactly(path, handle, prefix, 0);
            ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
            if (headerLength > SafetensorsHeader.LongestHeader)
                throw new FileFormatException(path, $"a header of {headerLength} bytes is longer than the {SafetensorsHeader.LongestHeader} that the format allows; this is no safetensors file");
            long dataStart = prefix.Length + (long)headerLength;
            if (dataStart > fileLength)
                throw new FileFormatException(path, $"the file is cut short: its header needs {headerLength} bytes, {fileLength - prefix.Length} are there");
            var json = new byte[headerLength];
            SafetensorsFile.ReadExactly(path, handle, json, prefix.Length);
            var header = SafetensorsHeader.Parse(path, json, fileLength - dataStart);
            return new SafetensorsFile(path, handle, header, dataStart);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes tensors under their names: Float32 as F32, Float64 as F64, Int32 as I32. The file appears whole or not at all.
    /// The data are in the order given, but for eight-byte types, which come first so that every tensor is aligned.
    /// </summary>
    /// <exception cref="ArgumentException">A name comes twice, is not valid Unicode, or is the reserved "__metadata__".</exception>
    public static void Save(string path, IEnumerable<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var ordered = tensors.OrderByDescending(static item => item.Tensor.DType == DType.Float64).ToArray();
        var entries = new SafetensorsEntry[ordered.Length];
        var names = new HashSet<string>(StringComparer.Ordinal) { SafetensorsHeader.MetadataKey };
        long offset = 0;
        for (int i = 0; i < ordered.Length; i++)
        {
            var (name, tensor) = ordered[i];
            if (!names.Add(name))
                throw new ArgumentException($"Safetensors.Save: the name {FileFormatException.Quote(name)} is {(name == SafetensorsHeader.MetadataKey ? "reserved" : "given to two tensors")}.");
            string dtype = tensor.DType switch { DType.Float32 => "F32", DType.Float64 => "F64", _ => "I32" };
            long length = (long)tensor.Count * SafetensorsHeader.ElementSize(dtype);
            entries[i] = new SafetensorsEntry(name, dtype, Array.ConvertAll(tensor.Shape.ToArray(), static extent => (long)extent), offset, length);
            offset += length;
        }
        byte[] header = SafetensorsHeader.Format(entries, metadata);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(header);
            foreach (var (_, tensor) in ordered)
                WriteData(stream, tensor);
        });
    }

    private static void WriteData(Stream stream, Tensor tensor)
    {
        switch (tensor.DType)
        {
            case DType.Float32:
                WriteLittleEndian<float>(stream, tensor.ToArray());
                break;
            case DType.Float64:
                WriteLittleEndian<double>(stream, tensor.ToDoubleArray());
                break;
            default:
                WriteLittleEndian<int>(stream, tensor.ToInt32Array());
                break;
        }
    }

    private static void WriteLittleEndian<T>(Stream stream, T[] values) where T : unmanaged
    {
        ToLittleEndian<T>(values);
        // A span of bytes holds 2^31 at most, and a tensor can have more.
        const int Piece = 1 << 24;
        for (int start = 0; start < values.Length; start += Piece)
            stream.Write(MemoryMarshal.AsBytes(values.AsSpan(start, Math.Min(Piece, values.Length - start))));
    }

    /// <summary>Swaps the bytes of each value where the machine is big-endian; the same call swaps them back.</summary>
    internal static void ToLittleEndian<T>(Span<T> values) where T : unmanaged
    {
        if (BitConverter.IsLittleEndian)
            return;
        foreach (ref var value in values)
            MemoryMarshal.AsBytes(new Span<T>(ref value)).Reverse();
    }
}

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
                throw new FileFormatException(Path, $"tensor {FileFormatException.Quote(name)} has dtype {entry.DType}; those that can be read are F32, F64, F16, BF16, I32 and I64");
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
            throw new FileFormatException(Path, $"tensor {FileFormatException.Quote(entry.Name)} has more than {Shape.MaxRank} axes or 2^31 elements, too many for a tensor here", e);
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
                throw new FileFormatException(Path, $"tensor {FileFormatException.Quote(entry.Name)} holds {values[i]}, which does not fit 32 bits");
            narrow[i] = (int)values[i];
        }
        return narrow;
    }
}
