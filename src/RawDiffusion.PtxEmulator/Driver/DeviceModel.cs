using RawDiffusion.Cuda;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>
/// The limits of a real product, so that a kernel meets the same ones here. Sources: CUDA C++ Programming Guide, technical specifications
/// per compute capability; the product's data sheet for the rest.
/// </summary>
internal sealed record DeviceModel
{
    public required int ComputeCapability { get; init; }

    public required string Product { get; init; }

    public required int Multiprocessors { get; init; }

    public required int ThreadsPerMultiprocessor { get; init; }

    public required int BlocksPerMultiprocessor { get; init; }

    public required int SharedPerMultiprocessor { get; init; }

    public required int SharedPerBlockOptin { get; init; }

    public required int SharedReserved { get; init; }

    public required int ClockKiloHertz { get; init; }

    public required int MemoryClockKiloHertz { get; init; }

    public required int BusBits { get; init; }

    public required int L2Bytes { get; init; }

    public const int WarpSize = 32, MaxThreadsPerBlock = 1024, RegistersPerBlock = 65536, SharedPerBlock = 48 * 1024;

    public static readonly Dim3 MaxBlock = new(1024, 1024, 64), MaxGrid = new(int.MaxValue, 65535, 65535);

    private static readonly DeviceModel[] s_models =
    [
        new()
        {
            ComputeCapability = 75, Product = "T4", Multiprocessors = 40, ThreadsPerMultiprocessor = 1024, BlocksPerMultiprocessor = 16,
            SharedPerMultiprocessor = 64 << 10, SharedPerBlockOptin = 64 << 10, SharedReserved = 0,
            ClockKiloHertz = 1_590_000, MemoryClockKiloHertz = 5_001_000, BusBits = 256, L2Bytes = 4 << 20,
        },
        new()
        {
            ComputeCapability = 80, Product = "A100", Multiprocessors = 108, ThreadsPerMultiprocessor = 2048, BlocksPerMultiprocessor = 32,
            SharedPerMultiprocessor = 164 << 10, SharedPerBlockOptin = 163 << 10, SharedReserved = 1 << 10,
            ClockKiloHertz = 1_410_000, MemoryClockKiloHertz = 1_215_000, BusBits = 5120, L2Bytes = 40 << 20,
        },
        new()
        {
            ComputeCapability = 90, Product = "H100", Multiprocessors = 132, ThreadsPerMultiprocessor = 2048, BlocksPerMultiprocessor = 32,
            SharedPerMultiprocessor = 228 << 10, SharedPerBlockOptin = 227 << 10, SharedReserved = 1 << 10,
            ClockKiloHertz = 1_980_000, MemoryClockKiloHertz = 2_619_000, BusBits = 5120, L2Bytes = 50 << 20,
        },
    ];

    /// <exception cref="ArgumentException">There is no model of this compute capability.</exception>
    public static DeviceModel Of(int capability) => Array.Find(s_models, model => model.ComputeCapability == capability)
        ?? throw new ArgumentException($"The emulator has no device of compute capability {capability}; it has {string.Join(", ", s_models.Select(model => model.ComputeCapability))}.");

    public string Name => $"Emulated GPU with the limits of an {Product} (compute capability {ComputeCapability / 10}.{ComputeCapability % 10})";

    public int this[DeviceAttribute attribute] => attribute switch
    {
        DeviceAttribute.MaxThreadsPerBlock => MaxThreadsPerBlock,
        DeviceAttribute.MaxBlockDimX => MaxBlock.X,
        DeviceAttribute.MaxBlockDimY => MaxBlock.Y,
        DeviceAttribute.MaxBlockDimZ => MaxBlock.Z,
        DeviceAttribute.MaxGridDimX => MaxGrid.X,
        DeviceAttribute.MaxGridDimY => MaxGrid.Y,
        DeviceAttribute.MaxGridDimZ => MaxGrid.Z,
        DeviceAttribute.MaxSharedMemoryPerBlock => SharedPerBlock,
        DeviceAttribute.TotalConstantMemory => 64 << 10,
        DeviceAttribute.WarpSize => WarpSize,
        DeviceAttribute.MaxRegistersPerBlock => RegistersPerBlock,
        DeviceAttribute.ClockRate => ClockKiloHertz,
        DeviceAttribute.MultiprocessorCount => Multiprocessors,
        DeviceAttribute.MemoryClockRate => MemoryClockKiloHertz,
        DeviceAttribute.GlobalMemoryBusWidth => BusBits,
        DeviceAttribute.L2CacheSize => L2Bytes,
        DeviceAttribute.MaxThreadsPerMultiprocessor => ThreadsPerMultiprocessor,
        DeviceAttribute.ComputeCapabilityMajor => ComputeCapability / 10,
        DeviceAttribute.ComputeCapabilityMinor => ComputeCapability % 10,
        DeviceAttribute.MaxSharedMemoryPerMultiprocessor => SharedPerMultiprocessor,
        DeviceAttribute.MaxRegistersPerMultiprocessor => RegistersPerBlock,
        DeviceAttribute.MaxSharedMemoryPerBlockOptin => SharedPerBlockOptin,
        DeviceAttribute.MaxBlocksPerMultiprocessor => BlocksPerMultiprocessor,
        DeviceAttribute.ReservedSharedMemoryPerBlock => SharedReserved,
        _ => throw new CudaException("cuDeviceGetAttribute", CudaResult.InvalidValue, $"attribute {attribute}"),
    };

    /// <summary>How many blocks fit on a multiprocessor at a time.</summary>
    /// <param name="registers">Per thread; they are given out to warps in pieces of 256.</param>
    /// <param name="shared">Static and dynamic bytes per block.</param>
    public int ActiveBlocks(int threads, int registers, int shared)
    {
        if (threads is < 1 or > MaxThreadsPerBlock || shared > SharedPerBlockOptin)
            return 0;
        int warps = (threads + WarpSize - 1) / WarpSize;
        int perWarp = (registers * WarpSize + 255) / 256 * 256;
        int blocks = Math.Min(BlocksPerMultiprocessor, ThreadsPerMultiprocessor / WarpSize / warps);
        blocks = Math.Min(blocks, RegistersPerBlock / Math.Max(perWarp, 1) / warps);
        int sharedEach = shared + SharedReserved;
        return sharedEach == 0 ? blocks : Math.Min(blocks, SharedPerMultiprocessor / sharedEach);
    }
}
