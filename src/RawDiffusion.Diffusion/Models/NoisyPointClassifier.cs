using RawDiffusion.Backends;
using RawDiffusion.Nn;

namespace RawDiffusion.Diffusion.Models;

/// <summary>
/// A classifier of noised points: x_t[N, dimensions] and times[N] -> logits [N, classes]. A multi-layer perceptron that is told the time as
/// <see cref="MlpDenoiser"/> is.
/// </summary>
public sealed class NoisyPointClassifier : Module
{
    private const int TimeWidth = 32;

    /// <param name="layers">Number of layers of <paramref name="width"/>, at least 1.</param>
    public NoisyPointClassifier(Generator generator, int classes, Backend? device = null, int dimensions = 2, int width = 64, int layers = 2)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(layers, 1);
        Time = new Linear(TimeWidth, width, generator, device: device);
        Hidden = [.. Enumerable.Range(0, layers).Select(i => new Linear(i == 0 ? dimensions : width, width, generator, device: device))];
        Output = new Linear(width, classes, generator, device: device);
    }

    public Linear Time { get; }

    public Linear[] Hidden { get; }

    public Linear Output { get; }

    /// <param name="x">[N, dimensions].</param>
    /// <param name="times">[N]; see <see cref="Processes.ForwardProcess.NetworkTime"/>.</param>
    /// <returns>Logits [N, classes].</returns>
    public Tensor Forward(Tensor x, Tensor times)
    {
        var time = Time.Forward(MlpDenoiser.EmbedTimes(times, TimeWidth).To(x.DType));
        var h = x;
        foreach (var layer in Hidden)
            h = F.Silu(layer.Forward(h) + time);
        return Output.Forward(h);
    }
}
