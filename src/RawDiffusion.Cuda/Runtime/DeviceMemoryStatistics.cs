namespace RawDiffusion.Cuda;

/// <summary>What the memory pool of a device holds and has done.</summary>
/// <param name="HeldBytes">Taken from the device: in use, reserved for graphs, or waiting in the pool.</param>
/// <param name="FreeBytes">Of these: waiting in the pool.</param>
/// <param name="ReservedBytes">Of these: reserved for captured graphs, in use or not.</param>
/// <param name="Allocations">How often the driver was asked for memory. A warm step adds none.</param>
public readonly record struct DeviceMemoryStatistics(long HeldBytes, long FreeBytes, long ReservedBytes, long Allocations);
