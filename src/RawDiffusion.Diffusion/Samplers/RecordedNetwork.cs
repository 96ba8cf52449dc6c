using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Samplers;

/// <summary>
/// A network's forward pass that a GPU is given as a whole after the first two: in sampling, above all of few images, most of the time
/// would go into asking for the hundreds of kernels one by one. Whatever the sampler does with the answer is its own affair. Elsewhere, and
/// where derivatives are wanted, the network is simply called.
/// </summary>
/// <remarks>
/// The pass is recorded with the memory of the weights, so their values may change between calls, but not what the network makes of them
/// once, such as their copies in bfloat16: use one of these for one set of weights. It must draw no random numbers.
/// </remarks>
public sealed class RecordedNetwork : IDisposable
{
    private readonly DenoisingNetwork _network;
    private Tensor? _x, _times, _y;
    private StepGraph? _graph;

    /// <param name="network">A network that reads nothing from the device.</param>
    public RecordedNetwork(DenoisingNetwork network) => _network = network;

    /// <summary>Whether a call is one launch by now.</summary>
    public bool IsRecorded => _graph is { IsRecorded: true };

    /// <inheritdoc cref="DenoisingNetwork"/>
    public Tensor Forward(Tensor x, Tensor times)
    {
        if (!x.Device.CanRecord || x.RequiresGrad)
            return _network(x, times);
        if (_graph is null || _x!.Shape != x.Shape || _x.DType != x.DType || _x.Device != x.Device || _times!.DType != times.DType)
            Prepare(x, times);
        _x!.CopyFrom(x);
        _times!.CopyFrom(times);
        _graph!.Run();
        return _y!.Clone();
    }

    public void Dispose() => _graph?.Dispose();

    private void Prepare(Tensor x, Tensor times)
    {
        _graph?.Dispose();
        _x = MemoryScope.KeepForever(x.Clone());
        _y = null;
        _times = MemoryScope.KeepForever(times.Clone());
        _graph = new StepGraph(x.Device, () =>
        {
            using var noGrad = new NoGrad();
            using var scope = new MemoryScope();
            var answer = _network(_x, _times);
            // The first time, which is not recorded yet, shows what shape answers have: with a learned variance, twice the channels.
            if (_y is null)
                _y = MemoryScope.KeepForever(answer.Clone());
            else
                _y.CopyFrom(answer);
        });
    }
}
