namespace RawDiffusion.Backends;

/// <summary>
/// Work that a device was given once and repeats as a whole: a CUDA graph. It reads and writes the memory that it was recorded with;
/// numbers are those of the recording, but for those in <see cref="StepScalars"/>.
/// </summary>
public abstract class RecordedWork : IDisposable
{
    /// <summary>Queues all of it and does not wait.</summary>
    /// <param name="scalars">What takes the place of the numbers of the recording.</param>
    /// <exception cref="InvalidOperationException">A number that the work needs is not given.</exception>
    public abstract void Replay(StepScalars scalars);

    /// <summary>Gives the memory that was reserved for the work back to the pool.</summary>
    public abstract void Dispose();
}

/// <summary>The work could not be recorded since memory was wanting that one more ordinary run leaves behind.</summary>
public sealed class RecordingMemoryException(string message, Exception inner) : InvalidOperationException(message, inner);

/// <summary>
/// The numbers by which one training step differs from the next. On a device they lie in memory that the recorded kernels read, and
/// are written there before each replay.
/// </summary>
public sealed class StepScalars
{
    /// <summary>
    /// Where the random numbers of each stream now begin. What the work drew from a stream in several places follows at the distances
    /// of the recording.
    /// </summary>
    public List<PhiloxState> Streams { get; } = [];

    /// <summary>Hyper-parameters of the AdamW step that the work holds.</summary>
    public AdamWStep? AdamW { get; set; }

    /// <summary>Hyper-parameters of the SGD step that the work holds.</summary>
    public SgdStep? Sgd { get; set; }

    /// <summary>The decay of the moving average that the work holds.</summary>
    public double? EmaDecay { get; set; }
}
