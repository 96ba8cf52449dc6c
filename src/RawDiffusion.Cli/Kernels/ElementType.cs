using System.Buffers.Binary;
using System.Globalization;

namespace RawDiffusion.Cli.Kernels;

/// <summary>What the elements of a buffer on the command line are: <c>f32</c>, <c>i64</c>, ...</summary>
internal sealed record ElementType(string Name, int Bytes, Func<byte[], int, double> Read, Action<byte[], int, double> Write)
{
    /// <summary>All there are.</summary>
    public static IReadOnlyList<ElementType> All { get; } =
    [
        new("f32", 4, (bytes, at) => BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(at)), (bytes, at, x) => BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(at), (float)x)),
        new("f64", 8, (bytes, at) => BinaryPrimitives.ReadDoubleLittleEndian(bytes.AsSpan(at)), (bytes, at, x) => BinaryPrimitives.WriteDoubleLittleEndian(bytes.AsSpan(at), x)),
        new("f16", 2, (bytes, at) => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes.AsSpan(at)), (bytes, at, x) => BinaryPrimitives.WriteHalfLittleEndian(bytes.AsSpan(at), (Half)x)),
        new("i32", 4, (bytes, at) => BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(at)), (bytes, at, x) => BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(at), (int)x)),
        new("u32", 4, (bytes, at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at)), (bytes, at, x) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), (uint)x)),
        new("i64", 8, (bytes, at) => BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at)), (bytes, at, x) => BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(at), (long)x)),
        new("u8", 1, (bytes, at) => bytes[at], (bytes, at, x) => bytes[at] = (byte)x),
    ];

    public bool IsFloat => Name[0] == 'f';

    /// <summary>An element as text, in full.</summary>
    public string Text(double value) => Name == "f32" ? ((float)value).ToString("G7", CultureInfo.InvariantCulture) : value.ToString(CultureInfo.InvariantCulture);
}
