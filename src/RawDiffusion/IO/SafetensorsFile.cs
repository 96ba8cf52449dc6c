using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Numerics;
using RawDiffusion.Backends;

namespace RawDiffusion.IO;

/// <summary>An open safetensors file, mapped into memory. Its header has been checked; its tensors are copied out one by one.</summary>
public sealed class SafetensorsFile : IDisposable
{
    private readonly Mapping _mapping;
    private readonly Dictionary<string, SafetensorsEntry> _entries;
    private readonly long _dataStart;

    private SafetensorsFile(string path, Mapping mapping, SafetensorsHeader header, long dataStart)
    {
        Path = path;
        Entries = header.Entries;
        Metadata = header.Metadata;
        _entries = header.Entries.ToDictionary(static entry => entry.Name, StringComparer.Ordinal);
        _mapping = mapping;
        _dataStart = dataStart;
    }

    private delegate TResult Reader<T, TResult>(ReadOnlySpan<T> values) where T : unmanaged;

    public string Path { get; }

    /// <summary>Name, dtype and shape of every tensor, in the order of the data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    public IReadOnlyDictionary<string, string> Metadata { get; }

    public bool Contains(string name) => _entries.ContainsKey(name);

    /// <exception cref="FileFormatException">There is no tensor of that name.</exception>
    public SafetensorsEntry this[string name] => _entries.TryGetValue(name, out var entry)
        ? entry
        : throw new FileFormatException(Path, $"there is no tensor {FileFormatException.Quote(name)} in it");

    internal static SafetensorsFile Open(string path)
    {
        var handle = File.OpenHandle(path, share: FileShare.Read | FileShare.Delete, options: FileOptions.RandomAccess);
        Mapping mapping;
        try
        {
            long length = RandomAccess.GetLength(handle);
            if (length < SafetensorsHeader.LengthBytes)
                throw new FileFormatException(path, $"{length} bytes are too few for a safetensors file");
            mapping = new Mapping(handle, length);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
        try
        {
            ulong headerLength = mapping.Read<byte, ulong>(0, SafetensorsHeader.LengthBytes, BinaryPrimitives.ReadUInt64LittleEndian);
            if (headerLength > SafetensorsHeader.LongestHeader)
            {
                throw new FileFormatException(
                    path, $"a header of {headerLength} bytes is longer than the format allows; this is no safetensors file");
            }
            long dataStart = SafetensorsHeader.LengthBytes + (long)headerLength, dataLength = mapping.Length - dataStart;
            if (dataLength < 0)
            {
                throw new FileFormatException(
                    path, $"the file is cut short: its header needs {headerLength} bytes, {mapping.Length - SafetensorsHeader.LengthBytes} are there");
            }
            var header = mapping.Read<byte, SafetensorsHeader>(
                SafetensorsHeader.LengthBytes, (int)headerLength, json => SafetensorsHeader.Parse(path, json, dataLength));
            return new SafetensorsFile(path, mapping, header, dataStart);
        }
        catch
        {
            mapping.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Copies a tensor out of the file. F32, F16, BF16 and F64 become floats of the device (F64 is rounded to the nearest float32
    /// where the device has no float64; the others are exact). Integers of any width and BOOL (0 and 1) become Int32.
    /// </summary>
    /// <param name="device">Where to; <see cref="Device.Default"/> if left out.</param>
    /// <exception cref="FileFormatException">
    /// There is no such tensor, its dtype is another, an integer does not fit 32 bits, or it has more than
    /// <see cref="Shape.MaxRank"/> axes or 2^31 elements or more.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The file has been closed.</exception>
    public Tensor Read(string name, Backend? device = null)
    {
        var entry = this[name];
        var shape = ShapeOf(entry);
        switch (entry.DType)
        {
            case "F32":
                return Read<float>(values => Tensor.From(values, shape, device));
            case "F64":
                return Read<double>(values => Tensor.From(values, shape, device));
            case "F16":
                return Read<Half>(values => Tensor.From(Convert(values, static half => (float)half), shape, device));
            case "BF16":
                // The upper half of a float32.
                return Read<ushort>(values => Tensor.From(Convert(values, static word => BitConverter.UInt32BitsToSingle((uint)word << 16)), shape, device));
            case "I32":
                return Read<int>(values => Tensor.From(values, shape, device));
            case "I64":
                return Read<long>(Narrow);
            case "U64":
                return Read<ulong>(Narrow);
            case "U32":
                return Read<uint>(Narrow);
            case "I16":
                return Read<short>(Narrow);
            case "U16":
                return Read<ushort>(Narrow);
            case "I8":
                return Read<sbyte>(Narrow);
            case "U8":
                return Read<byte>(Narrow);
            case "BOOL":
                return Read<byte>(values => values.ContainsAnyExceptInRange((byte)0, (byte)1)
                    ? throw Fault(entry, $"is BOOL and holds {values[values.IndexOfAnyExceptInRange((byte)0, (byte)1)]}, neither 0 nor 1")
                    : Narrow(values));
            default:
                throw Fault(entry, $"has dtype {entry.DType}, which cannot be read; F64, F32, F16, BF16, integers and BOOL can");
        }

        Tensor Read<T>(Reader<T, Tensor> reader) where T : unmanaged => _mapping.Read(_dataStart + entry.Offset, shape.Count, reader);

        Tensor Narrow<T>(ReadOnlySpan<T> values) where T : unmanaged, IBinaryInteger<T> => Tensor.From(
            Convert(values, value => value >= T.CreateSaturating(int.MinValue) && value <= T.CreateSaturating(int.MaxValue)
                ? int.CreateTruncating(value)
                : throw Fault(entry, $"holds {value}, too much for 32 bits")),
            shape, device);
    }

    /// <summary>Gives the mapping back at once.</summary>
    public void Dispose() => _mapping.Dispose();

    private Shape ShapeOf(SafetensorsEntry entry)
    {
        try
        {
            return new Shape(entry.Shape.Select(static extent => checked((int)extent)).ToArray());
        }
        catch (Exception e) when (e is ArgumentException or OverflowException)
        {
            throw Fault(entry, $"has more than {Shape.MaxRank} axes or 2^31 elements, too many for a tensor here", e);
        }
    }

    private FileFormatException Fault(SafetensorsEntry entry, string what, Exception? inner = null) =>
        new(Path, $"tensor {FileFormatException.Quote(entry.Name)} {what}", inner);

    private static TOut[] Convert<TIn, TOut>(ReadOnlySpan<TIn> values, Func<TIn, TOut> convert)
    {
        var result = new TOut[values.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = convert(values[i]);
        return result;
    }

    /// <summary>The file in memory. Reading and closing at the same time is safe: the mapping outlives the reads that are under way.</summary>
    private sealed unsafe class Mapping : IDisposable
    {
        private readonly MemoryMappedFile _map;
        private readonly MemoryMappedViewAccessor _view;

        /// <param name="handle">Belongs to the mapping from here on, unless this throws.</param>
        public Mapping(Microsoft.Win32.SafeHandles.SafeFileHandle handle, long length)
        {
            _map = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            try
            {
                _view = _map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            }
            catch
            {
                _map.Dispose();
                throw;
            }
            Length = length;
        }

        public long Length { get; }

        /// <summary>Hands numbers to a reader, which must not keep them.</summary>
        /// <param name="offset">First byte in the file; any, so the numbers need not be aligned.</param>
        public TResult Read<T, TResult>(long offset, int count, Reader<T, TResult> reader) where T : unmanaged
        {
            if (offset < 0 || offset + (long)count * sizeof(T) > Length)
                throw new ArgumentOutOfRangeException(nameof(offset), $"{count} elements at byte {offset} are not in a file of {Length} bytes.");
            byte* start = null;
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            try
            {
                var values = new ReadOnlySpan<T>(start + _view.PointerOffset + offset, count);
                if (BitConverter.IsLittleEndian)
                    return reader(values);
                T[] swapped = values.ToArray();
                Safetensors.ToLittleEndian<T>(swapped);
                return reader(swapped);
            }
            finally
            {
                _view.SafeMemoryMappedViewHandle.ReleasePointer();
            }
        }

        public void Dispose()
        {
            _view.Dispose();
            _map.Dispose();
        }
    }
}
