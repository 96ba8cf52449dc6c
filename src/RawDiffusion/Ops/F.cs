namespace RawDiffusion;

/// <summary>
/// The functional interface, in PyTorch's vocabulary (<c>torch.nn.functional</c>): operations with parameters, fused operations
/// and losses. Each is defined in the file of its family.
/// </summary>
public static partial class F
{
}
