namespace RawDiffusion.Verification;

/// <summary>Every operation of the library with the shapes it is verified on. One file of rows per family, in <c>Rows/</c>.</summary>
public static class OperationTable
{
    /// <summary>All cases, in the order of the families.</summary>
    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. Rows.ElementwiseRows.Cases(),
        .. Rows.ReductionRows.Cases(),
        .. Rows.SoftmaxRows.Cases(),
        .. Rows.MatMulRows.Cases(),
        .. Rows.ConvolutionRows.Cases(),
        .. Rows.NormalizationRows.Cases(),
        .. Rows.AttentionRows.Cases(),
        .. Rows.ResamplingRows.Cases(),
        .. Rows.ShapingRows.Cases(),
        .. Rows.IndexingRows.Cases(),
        .. Rows.RandomRows.Cases(),
        .. Rows.DiffusionRows.Cases(),
    ];
}
