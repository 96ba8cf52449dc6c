namespace RawDiffusion.Cuda;

/// <summary>What can be asked about a device (CUdevice_attribute, those used here).</summary>
public enum DeviceAttribute
{
    MaxThreadsPerBlock = 1,
    MaxBlockDimX = 2,
    MaxBlockDimY = 3,
    MaxBlockDimZ = 4,
    MaxGridDimX = 5,
    MaxGridDimY = 6,
    MaxGridDimZ = 7,

    /// <summary>Bytes of static and dynamic shared memory a block may have without asking.</summary>
    MaxSharedMemoryPerBlock = 8,

    TotalConstantMemory = 9,
    WarpSize = 10,
    MaxRegistersPerBlock = 12,

    /// <summary>Peak clock of the processor in kHz.</summary>
    ClockRate = 13,

    MultiprocessorCount = 16,

    /// <summary>Peak clock of the memory in kHz.</summary>
    MemoryClockRate = 36,

    /// <summary>Width of the memory bus in bits.</summary>
    GlobalMemoryBusWidth = 37,

    L2CacheSize = 38,
    MaxThreadsPerMultiprocessor = 39,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    MaxSharedMemoryPerMultiprocessor = 81,
    MaxRegistersPerMultiprocessor = 82,

    /// <summary>Bytes of shared memory a block may have after <see cref="FunctionAttribute.MaxDynamicSharedSizeBytes"/> was raised.</summary>
    MaxSharedMemoryPerBlockOptin = 97,

    MaxBlocksPerMultiprocessor = 106,

    /// <summary>Bytes of shared memory that the driver takes for itself in every block.</summary>
    ReservedSharedMemoryPerBlock = 111,
}

/// <summary>What can be asked about a kernel, and of it what can be set (CUfunction_attribute, those used here).</summary>
public enum FunctionAttribute
{
    /// <summary>Threads beyond which a launch fails: the registers of a block are limited.</summary>
    MaxThreadsPerBlock = 0,

    /// <summary>Bytes of shared memory that the kernel declares itself.</summary>
    SharedSizeBytes = 1,

    ConstSizeBytes = 2,

    /// <summary>Bytes of local memory per thread: spilled registers and arrays that are indexed.</summary>
    LocalSizeBytes = 3,

    Registers = 4,
    PtxVersion = 5,
    BinaryVersion = 6,

    /// <summary>Can be set: the most dynamic shared memory a launch may ask for; beyond 48 KiB only after it was raised.</summary>
    MaxDynamicSharedSizeBytes = 8,

    /// <summary>Can be set: the share of the combined cache wanted as shared memory, in percent; -1 leaves it to the driver.</summary>
    PreferredSharedMemoryCarveout = 9,
}

/// <summary>What a caching pool says about a piece of device memory that it manages itself (<see cref="CudaDriver.AnnotateMemory"/>).</summary>
public enum MemoryUse
{
    /// <summary>Handed out: the contents are undefined until written.</summary>
    Taken,

    /// <summary>Back in the pool: no work queued from here on may touch it.</summary>
    Returned,
}
