using System.Runtime.InteropServices;

namespace RawDiffusion.IO;

/// <summary>
/// Reads and writes safetensors files (huggingface.co/docs/safetensors): a length, a JSON header, then the bare numbers.
/// Nothing in such a file is executed, and the memory that its reader takes is bounded by the length of its header and of the
/// tensors that are asked for.
/// </summary>
public static class Safetensors
{
    /// <summary>
    /// Opens a file and checks all of its header. The file is mapped into memory, so that it may be larger than that: its numbers
    /// are read when a tensor is asked for. Until it is closed, no program may shorten it in place, which would end this one
    /// (<see cref="Save"/> does not: it puts another file into its place).
    /// </summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="FileFormatException">The file is not a whole, well-formed safetensors file.</exception>
    public static SafetensorsFile Load(string path)
    {
        if (Directory.Exists(path))
            throw new FileFormatException(path, "this is a folder, not a safetensors file");
        return SafetensorsFile.Open(path);
    }

    /// <summary>
    /// Writes tensors under their names: Float32 as F32, Float64 as F64, BFloat16 as BF16, Int32 as I32. The file appears whole or not at
    /// all. The data are in the order given, but for wider types, which come before narrower ones so that every tensor is aligned.
    /// </summary>
    /// <exception cref="ArgumentException">A name comes twice, is not valid Unicode, or is the reserved "__metadata__".</exception>
    public static void Save(string path, IEnumerable<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        AtomicFile.Write(path, stream => Write(stream, tensors, metadata));

    internal static void Write(Stream stream, IEnumerable<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var ordered = tensors.OrderByDescending(static item => item.Tensor.DType.Size()).ToArray();
        var entries = new SafetensorsEntry[ordered.Length];
        var names = new HashSet<string>(StringComparer.Ordinal) { SafetensorsHeader.MetadataKey };
        long offset = 0;
        for (int i = 0; i < ordered.Length; i++)
        {
            var (name, tensor) = ordered[i];
            if (!names.Add(name))
            {
                string fault = name == SafetensorsHeader.MetadataKey ? "reserved" : "given to two tensors";
                throw new ArgumentException($"Safetensors.Save: the name {FileFormatException.Quote(name)} is {fault}.");
            }
            string dtype = tensor.DType switch { DType.Float32 => "F32", DType.Float64 => "F64", DType.BFloat16 => "BF16", _ => "I32" };
            long length = (long)tensor.Count * SafetensorsHeader.ElementSize(dtype);
            entries[i] = new SafetensorsEntry(name, dtype, Array.ConvertAll(tensor.Shape.ToArray(), static extent => (long)extent), offset, length);
            offset += length;
        }
        byte[] header = SafetensorsHeader.Format(entries, metadata);
        stream.Write(header);
        foreach (var (_, tensor) in ordered)
            WriteData(stream, tensor);
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
            case DType.BFloat16:
                WriteLittleEndian<ushort>(stream, Array.ConvertAll(tensor.ToArray(), BFloat16.Round));
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
