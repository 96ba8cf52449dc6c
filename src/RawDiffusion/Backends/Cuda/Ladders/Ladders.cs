namespace RawDiffusion.Backends.Cuda.Ladders;

/// <summary>The operations that are computed in more than one way.</summary>
public static class Ladders
{
    public static IReadOnlyList<Ladder> All { get; } =
    [
        MatMulLadder.Ladder,
        ConvolutionLadders.Forward, ConvolutionLadders.GradInput, ConvolutionLadders.GradWeight,
        AttentionLadder.Forward, AttentionLadder.Backward,
        .. NormLadders.All,
        ShapingLadders.Permute,
    ];

    /// <summary>The ladder of an operation, or null where there is one way only.</summary>
    public static Ladder? Find(string operation) => All.FirstOrDefault(ladder => ladder.Operation == operation);
}
