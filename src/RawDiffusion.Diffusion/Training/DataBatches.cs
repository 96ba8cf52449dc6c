using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Objectives;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// The batches of a data set, one after the other in the same memory: after the first, nothing is allocated. <see cref="Next"/> is the
/// <see cref="BatchSource"/> of a training.
/// </summary>
/// <param name="seed">Of the order of the samples.</param>
/// <param name="objective">
/// What is learned from the samples it is given, whose contents are replaced from step to step. With <paramref name="told"/> their labels are
/// what that makes of them.
/// </param>
/// <param name="told">Makes of labels what a network is told; null where they are left as they are.</param>
public sealed class DataBatches(ITrainingData data, ulong seed, Backend device, Func<Batch, TrainingBatch> objective, ToldLabels? told = null)
{
    private Batch _samples;
    private TrainingBatch? _batch;

    /// <summary>The batch that begins at sample number <paramref name="first"/>, in place of the one before it.</summary>
    public TrainingBatch Next(long first, int count)
    {
        if (_batch is null || _samples.X.Shape[0] != count)
        {
            // Labels of which something is made are looked at on the host, which must not wait for the device.
            _samples = Kept(data.Draw(first, count, seed, device, told is null ? device : RawDiffusion.Device.Cpu));
            _batch = objective(told is null ? _samples : new Batch(_samples.X, told.Of(_samples))).KeepForever();
        }
        else
        {
            data.Fill(_samples, first, seed);
            told?.Of(_samples);
            _batch.Redraw();
        }
        return _batch;
    }

    private static Batch Kept(Batch batch)
    {
        foreach (var tensor in (ReadOnlySpan<Tensor?>)[batch.X, batch.Labels, batch.Attributes])
        {
            if (tensor is not null)
                MemoryScope.KeepForever(tensor);
        }
        return batch;
    }
}
