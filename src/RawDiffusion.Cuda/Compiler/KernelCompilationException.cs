namespace RawDiffusion.Cuda;

/// <summary>NVRTC refused a source. The message is its log: file, line, the line's text and what is wrong with it.</summary>
/// <param name="name">The source's name.</param>
public sealed class KernelCompilationException(string name, KernelTarget target, string reason, string log)
    : Exception($"{name} does not compile for {target}: {reason}{(log.Length == 0 ? "" : "\n" + log)}")
{
    public string Name { get; } = name;

    public KernelTarget Target { get; } = target;

    /// <summary>All that the compiler said.</summary>
    public string Log { get; } = log;
}
