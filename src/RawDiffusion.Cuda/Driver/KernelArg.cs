using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace RawDiffusion.Cuda;

/// <summary>What the caller of a kernel meant an argument to be.</summary>
public enum KernelArgKind : byte
{
    /// <summary>An integer of <see cref="KernelArg.Size"/> bytes, signed or not: kernels do not tell them apart.</summary>
    Integer,

    /// <summary>A floating-point number of <see cref="KernelArg.Size"/> bytes: 2 (half or bfloat16), 4 or 8.</summary>
    Float,

    /// <summary>An address in device memory, 8 bytes.</summary>
    Pointer,

    /// <summary>A structure passed by value, of any size.</summary>
    Struct,
}

/// <summary>
/// One argument of a kernel: the value's bytes, and its size and kind so that a driver that knows the kernel's parameters (the
/// emulator) can refuse an <c>int</c> where the kernel reads a <c>float</c> or a <c>long</c>. Made by implicit conversion, so that
/// <c>Launch(grid, block, shared, stream, x, y, 3, 0.5f)</c> neither boxes nor allocates.
/// </summary>
public readonly struct KernelArg
{
    private readonly ulong _bits;

    private KernelArg(ulong bits, int size, KernelArgKind kind) => (_bits, Size, Kind) = (bits, size, kind);

    /// <summary>Bytes that the kernel reads.</summary>
    public int Size { get; }

    public KernelArgKind Kind { get; }

    /// <summary>The bytes that the kernel reads, <see cref="Size"/> of them, little-endian as on the device.</summary>
    [UnscopedRef]
    public unsafe ReadOnlySpan<byte> Bytes => Kind == KernelArgKind.Struct
        ? new ReadOnlySpan<byte>((void*)_bits, Size)
        : MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in _bits))[..Size];

    /// <summary>
    /// A structure passed by value. It is read during the launch: it must stay where it is (on the stack, or fixed) until then. Its
    /// fields lie in memory as C declares them, which those of a C# struct do and those of a tuple do not.
    /// </summary>
    /// <exception cref="ArgumentException">The runtime chose the order of the fields: a tuple.</exception>
    public static unsafe KernelArg Struct<T>(T* value) where T : unmanaged => typeof(T).IsAutoLayout
        ? throw new ArgumentException($"{typeof(T).Name} does not keep the order of its fields; pass a struct of your own.")
        : new((ulong)value, sizeof(T), KernelArgKind.Struct);

    /// <summary>A bfloat16 given by its bits: the upper half of a float.</summary>
    public static KernelArg BFloat16(ushort bits) => new(bits, 2, KernelArgKind.Float);

    public static implicit operator KernelArg(DevicePointer value) => new(value.Address, 8, KernelArgKind.Pointer);

    public static implicit operator KernelArg(float value) => new(BitConverter.SingleToUInt32Bits(value), 4, KernelArgKind.Float);

    public static implicit operator KernelArg(double value) => new(BitConverter.DoubleToUInt64Bits(value), 8, KernelArgKind.Float);

    public static implicit operator KernelArg(Half value) => new(BitConverter.HalfToUInt16Bits(value), 2, KernelArgKind.Float);

    public static implicit operator KernelArg(int value) => new((uint)value, 4, KernelArgKind.Integer);

    public static implicit operator KernelArg(uint value) => new(value, 4, KernelArgKind.Integer);

    public static implicit operator KernelArg(long value) => new((ulong)value, 8, KernelArgKind.Integer);

    public static implicit operator KernelArg(ulong value) => new(value, 8, KernelArgKind.Integer);

    public static implicit operator KernelArg(short value) => new((ushort)value, 2, KernelArgKind.Integer);

    public static implicit operator KernelArg(ushort value) => new(value, 2, KernelArgKind.Integer);

    public static implicit operator KernelArg(sbyte value) => new((byte)value, 1, KernelArgKind.Integer);

    public static implicit operator KernelArg(byte value) => new(value, 1, KernelArgKind.Integer);

    /// <summary>A C++ <c>bool</c>: one byte, 0 or 1.</summary>
    public static implicit operator KernelArg(bool value) => new(value ? 1ul : 0ul, 1, KernelArgKind.Integer);

    public override string ToString() => Kind switch
    {
        KernelArgKind.Pointer => $"0x{_bits:x}",
        KernelArgKind.Struct => $"struct of {Size} bytes",
        KernelArgKind.Integer => Size switch
        {
            8 => ((long)_bits).ToString(),
            4 => ((int)_bits).ToString(),
            2 => ((short)_bits).ToString(),
            _ => ((sbyte)_bits).ToString(),
        },
        _ => Size switch
        {
            8 => BitConverter.UInt64BitsToDouble(_bits).ToString("R"),
            4 => BitConverter.UInt32BitsToSingle((uint)_bits).ToString("R"),
            _ => $"0x{_bits:x4} (16 bits)",
        },
    };
}
