namespace RawDiffusion.Cuda;

// What a driver hands out. A handle means something only to the driver that made it; default(...) is no handle.

/// <summary>The primary context of a device.</summary>
public readonly record struct CuContext(nint Handle);

/// <summary>A loaded module: functions and global variables.</summary>
public readonly record struct CuModule(nint Handle);

/// <summary>A kernel of a module.</summary>
public readonly record struct CuFunction(nint Handle);

/// <summary>A queue of work on a device.</summary>
public readonly record struct CuStream(nint Handle);

/// <summary>A mark in a stream.</summary>
public readonly record struct CuEvent(nint Handle);

/// <summary>A captured graph of work: a description that can be instantiated.</summary>
public readonly record struct CuGraph(nint Handle);

/// <summary>An instantiated graph: it can be launched.</summary>
public readonly record struct CuGraphExec(nint Handle);

/// <summary>An address in the memory of a device, in bytes.</summary>
public readonly record struct DevicePointer(ulong Address)
{
    public static DevicePointer Null => default;

    public bool IsNull => Address == 0;

    public static DevicePointer operator +(DevicePointer pointer, long bytes) => new(pointer.Address + (ulong)bytes);

    public static DevicePointer operator -(DevicePointer pointer, long bytes) => new(pointer.Address - (ulong)bytes);

    /// <summary>The distance in bytes.</summary>
    public static long operator -(DevicePointer end, DevicePointer start) => (long)(end.Address - start.Address);

    public override string ToString() => $"0x{Address:x}";
}
