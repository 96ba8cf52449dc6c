using RawDiffusion.Backends;

namespace RawDiffusion.Diffusion.Data;

/// <summary>Some samples of a data set.</summary>
/// <param name="X">[n, ...SampleShape].</param>
/// <param name="Labels">The class of each, Int32 [n]; null where the data are not labelled.</param>
/// <param name="Attributes">
/// All that is said of each, Int32 [n, k], one column for each of <see cref="ITrainingData.LabelKinds"/>, the class first; null where
/// the class is all there is.
/// </param>
public readonly record struct Batch(Tensor X, Tensor? Labels = null, Tensor? Attributes = null);

/// <summary>One thing that is said of every sample, such as its class.</summary>
/// <param name="Name">In the singular: <c>digit</c>, <c>colour</c>.</param>
/// <param name="Values">What label 0, 1, ... means.</param>
public sealed record LabelKind(string Name, IReadOnlyList<string> Values);

/// <summary>
/// A data set as an endless stream of numbered samples: shuffled epochs of a finite set, fresh draws of a procedural one. What has
/// been seen is one number, so a run that resumes at sample n goes on exactly where it stopped.
/// </summary>
public interface ITrainingData
{
    /// <summary>As written on a command line: <c>mnist</c>, <c>two-moons</c>.</summary>
    string Name { get; }

    /// <summary>Of one sample: [height, width, channels] in [-1, 1], or [2] for points of the plane.</summary>
    Shape SampleShape { get; }

    /// <summary>What is said of each sample, the class first; empty where nothing is.</summary>
    IReadOnlyList<LabelKind> LabelKinds { get; }

    /// <summary>Number of classes; 0 where the data are not labelled.</summary>
    int Classes => LabelKinds.Count == 0 ? 0 : LabelKinds[0].Values.Count;

    /// <summary>Number of different samples, which is the length of an epoch; null where every draw is fresh.</summary>
    int? Count { get; }

    /// <summary>
    /// Replaces the contents of a batch by samples first, first + 1, ... of the stream of this seed. They are a pure function of the
    /// arguments: the same bits on every call, for any number of threads, however the stream is cut into batches.
    /// </summary>
    /// <param name="batch">Of the shapes that <see cref="TrainingData.Draw"/> gives it; labels and attributes may be left out.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number.</exception>
    /// <exception cref="ArgumentException">The batch is for other samples.</exception>
    void Fill(Batch batch, long first, ulong seed);

    /// <summary>
    /// Data of the same distribution to be judged by, none of which is in any training stream: the test set of a finite one (in a
    /// stream's first <see cref="Count"/> samples each occurs once), other random numbers for a procedural one. A held-out set answers itself.
    /// </summary>
    ITrainingData HeldOut { get; }
}

/// <summary>What every data set can do.</summary>
public static class TrainingData
{
    /// <summary>Samples first, first + 1, ... of the stream of a seed, in a batch of their own; see <see cref="ITrainingData.Fill"/>.</summary>
    /// <param name="labelDevice">Where labels and attributes go, where that is another device.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number.</exception>
    public static Batch Draw(this ITrainingData data, long first, int count, ulong seed, Backend? device = null, Backend? labelDevice = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        int kinds = data.LabelKinds.Count;
        var batch = new Batch(
            Tensor.Empty(data.SampleShape.Prepend(count), device),
            kinds > 0 ? Tensor.EmptyInt32([count], labelDevice ?? device) : null,
            kinds > 1 ? Tensor.EmptyInt32([count, kinds], labelDevice ?? device) : null);
        data.Fill(batch, first, seed);
        return batch;
    }
}
