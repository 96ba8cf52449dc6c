using System.Runtime.CompilerServices;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

/// <summary>What a network says about noised data.</summary>
public enum MlpTarget
{
    Noise,
    CleanSample,
    Velocity,
}

/// <summary>A round component of a mixture of Gaussians in the plane: <c>MlpTrainComponent</c> of <c>kernels/mlp_train.cuh</c>.</summary>
/// <param name="Deviation">Its standard deviation along every axis.</param>
/// <param name="Cumulative">The sum of the weights up to this component; 1 in the last.</param>
public readonly record struct MlpMixtureComponent(double X, double Y, double Deviation, double Cumulative);

/// <summary>What is trained: a network for points of the plane whose parameters lie in one arena of float32, at these offsets.</summary>
internal sealed record MlpTrainShape
{
    /// <summary>Of all hidden layers.</summary>
    public required int Width { get; init; }

    /// <summary>Elements of the time's embedding.</summary>
    public required int TimeWidth { get; init; }

    /// <summary>Samples of a step.</summary>
    public required int Batch { get; init; }

    public required MlpTarget Target { get; init; }

    public required int TimeWeight { get; init; }

    public required int TimeBias { get; init; }

    public required IReadOnlyList<(int Weight, int Bias)> Hidden { get; init; }

    public required int OutputWeight { get; init; }

    public required int OutputBias { get; init; }

    public int Layers => Hidden.Count;
}

/// <summary>Where the training lies.</summary>
/// <param name="Values">The arena.</param>
/// <param name="Gradients">Like the arena, and so the next three.</param>
/// <param name="Average">The moving average; null for none.</param>
/// <param name="Alpha">The signal's scale of each time.</param>
/// <param name="Sigma">The noise's scale of each time.</param>
/// <param name="Embedding">[times, time width].</param>
internal sealed record MlpTrainStorages(
    Storage Values, Storage Gradients, Storage M, Storage V, Storage? Average, Storage Alpha, Storage Sigma, Storage Embedding);

/// <summary>What is different in every step.</summary>
/// <param name="Data">The random numbers of the first sample; the others have the next blocks.</param>
/// <param name="Noise">Those of the times, one block, and behind it of the noise.</param>
/// <param name="EmaDecay">Of the moving average.</param>
internal readonly record struct MlpTrainMove(PhiloxState Data, PhiloxState Noise, AdamWStep AdamW, double EmaDecay);

public partial class CudaBackend
{
    /// <summary><c>MlpTrainStep</c> of the kernel, field for field.</summary>
    private struct MlpTrainStep(in MlpTrainMove move, double maxNorm)
    {
        public ulong FirstSample = move.Data.Offset;
        public ulong NoiseOffset = move.Noise.Offset;
        public AdamWScalars AdamW = new(move.AdamW, maxNorm);
        public float AverageRate = (float)(1 - move.EmaDecay);
    }

    /// <summary><c>MlpTrainArguments</c> of the kernel, field for field.</summary>
    private struct MlpTrainArguments
    {
        public const int MaxLayers = 8;

        [InlineArray(MaxLayers)]
        public struct PerLayer
        {
            private int _first;
        }

        public PhiloxStream Data, Noise;
        public DevicePointer Steps, Components, Alpha, Sigma, Embedding;
        public DevicePointer Values, Gradients, M, V, Average;
        public DevicePointer Turned, PartGradient, PartLoss, Squares, Losses, Norms, Arrived;
        public int StepCount, Batch, Parts, Times, TimeWidth, Layers, Target, Length;
        public int TimeWeight, TimeBias, OutputWeight, OutputBias;
        public PerLayer HiddenWeight, HiddenBias;
    }
}
