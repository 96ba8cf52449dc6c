namespace RawDiffusion.Cuda;

/// <summary>
/// Work that is captured needs memory that the pool does not have, and none can be asked for meanwhile: the work has not run before, or what
/// it left in the pool has been taken by another graph. Running it once puts back what it needs.
/// </summary>
public sealed class GraphMemoryException(string message) : InvalidOperationException(message);
